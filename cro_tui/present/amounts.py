"""Amounts, times and hostile text as words for a terminal.

Pure. Every number gets one unit and a bounded width, a missing reading is "-", and text from outside
becomes one line that cannot move a cursor, change a colour or reorder what stands beside it.
"""

from __future__ import annotations

import time
import unicodedata

from jobs.core.jobs import GIB, MIB, Unit

MISSING = "-"
MAX_NAME_CELLS = 200
_MAX_MARKS = 2  # combining marks kept on one character


def clean(text: str, max_cells: int = MAX_NAME_CELLS) -> str:
    """One printable line of at most `max_cells` cells; what was cut off shows as "..." at the end.

    Line breaks and tabs become spaces; control characters, escapes, direction overrides and characters
    without a glyph vanish.
    """
    text = text[: max_cells * 8]
    if not (text.isascii() and text.isprintable()):
        kept: list[str] = []
        marks = 0
        for char in text:
            category = unicodedata.category(char)
            if category in ("Mn", "Me"):
                marks += 1
                if kept and marks <= _MAX_MARKS:
                    kept.append(char)
                continue
            marks = 0
            if char.isprintable():
                kept.append(char)
            elif char.isspace() or category in ("Zs", "Zl", "Zp"):
                kept.append(" ")
        text = "".join(kept)
    return cut(text.strip(), max_cells)


def cells(text: str) -> int:
    """How many terminal cells a cleaned text takes."""
    if text.isascii():
        return len(text)
    return sum(_cells_of(char) for char in text)


def cut(text: str, width: int) -> str:
    """The text in at most `width` cells, its end replaced by dots where it is longer."""
    if cells(text) <= width:
        return text
    dots = "..."[: max(0, width)]
    room = width - len(dots)
    kept: list[str] = []
    for char in text:
        room -= _cells_of(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept) + dots


def pad(text: str, width: int, *, right: bool = False) -> str:
    """The text in exactly `width` cells; `right` puts the padding before it."""
    text = cut(text, width)
    filler = " " * (width - cells(text))
    return filler + text if right else text + filler


def _cells_of(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def bytes_text(amount: float | None) -> str:
    """At most five cells, powers of 1024: "812M", "6.2G", "128G", "1.5T"."""
    if amount is None:
        return MISSING
    amount = max(0.0, amount)
    if amount < 1024:
        return f"{amount:.0f}B"
    if amount < MIB:
        return f"{amount / 1024:.0f}K"
    if round(amount / MIB) < 1024:
        return f"{amount / MIB:.0f}M"
    unit, letter = (GIB, "G") if round(amount / GIB) < 1024 else (1024 * GIB, "T")
    number = amount / unit
    return f"{number:.1f}{letter}" if round(number, 1) < 100 else f"{number:.0f}{letter}"


def number_text(value: float | None) -> str:
    """A count of cores or devices: "4", "2.4", "0.05"."""
    if value is None:
        return MISSING
    text = f"{value:.1f}" if round(value, 1) or value == 0 else f"{value:.2f}"
    return text.removesuffix(".0")


def percent_text(share: float | None) -> str:
    """A share of 0..1 as "61%"."""
    return MISSING if share is None else f"{100 * share:.0f}%"


def duration_text(seconds: float | None) -> str:
    """Elapsed time in eight cells, "00:41:12"; from 100 hours on "12d04h"."""
    if seconds is None:
        return MISSING
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    if hours >= 100:
        return f"{hours // 24}d{hours % 24:02d}h"
    return f"{hours:02d}:{rest // 60:02d}:{rest % 60:02d}"


def span_text(seconds: float | None) -> str:
    """A rough length of time: "8s", "16m", "2h05m", "3d"."""
    if seconds is None:
        return MISSING
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes}m"
    if minutes < 600:
        return f"{minutes // 60}h{minutes % 60:02d}m"
    hours = round(minutes / 60)
    return f"{hours}h" if hours < 48 else f"{round(hours / 24)}d"


def estimate_text(at: float | None, now: float) -> str:
    """How long until an expected moment, as "~16m"; "soon" once it has passed."""
    if at is None:
        return MISSING
    return f"~{span_text(at - now)}" if at - now >= 0.5 else "soon"


def ago(at: float | None, now: float) -> str:
    """ "16m ago"."""
    if at is None:
        return MISSING
    return "just now" if now - at < 1 else f"{span_text(now - at)} ago"


def clock_text(at: float | None, now: float) -> str:
    """Local time of day, "12:21", with the day where it is another one: "24 Nov 12:21"."""
    if at is None:
        return MISSING
    then, today = time.localtime(at), time.localtime(now)
    same_day = then[:3] == today[:3]
    return time.strftime("%H:%M" if same_day else "%d %b %H:%M", then)


def amount_text(value: float | None, unit: Unit | None) -> str:
    """A number of a reason in its unit."""
    if value is None:
        return MISSING
    match unit:
        case Unit.BYTES:
            return bytes_text(value)
        case Unit.PERCENT:
            return f"{value:.0f} %"
        case Unit.SECONDS:
            return span_text(value)
        case _:
            return number_text(value)


def counted(value: float, one: str, many: str = "") -> str:
    """ "1 core", "2.4 cores"."""
    return f"{number_text(value)} {one if value == 1 else many or one + 's'}"
