"""Plain text into exact cells: what every line-drawing widget of this package builds its rows from.

Widths are measured as Textual measures them, so columns stay aligned whatever a name holds. No markup.
"""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from cro_tui.present import clean

_JOINERS = {ord(char): None for char in "\ufe0e\ufe0f"}  # widths differ between terminals


def plain(text: str, width: int = 200) -> str:
    """Text from outside as one printable line of at most `width` cells."""
    return clean(text, width).translate(_JOINERS)


def fit(text: str, width: int, *, right: bool = False) -> str:
    """The text in exactly `width` cells; what does not fit ends in one dot-dot."""
    if width <= 0:
        return ""
    text = text if text.isascii() else text.translate(_JOINERS)
    size = len(text) if text.isascii() else cell_len(text)
    if size > width:
        return set_cell_size(text, width - 2) + ".." if width > 4 else set_cell_size(text, width)
    filler = " " * (width - size)
    return filler + text if right else text + filler


def wrapped(text: str, width: int) -> list[str]:
    """The text in rows of at most `width` cells, broken at spaces where there are some."""
    rows: list[str] = []
    row = ""
    for word in text.split(" "):
        candidate = f"{row} {word}" if row else word
        if cell_len(candidate) <= width:
            row = candidate
            continue
        if row:
            rows.append(row)
        while cell_len(word) > width > 0:
            head = set_cell_size(word, width)
            rows.append(head)
            word = word[max(1, len(head.rstrip(" "))) :]
        row = word
    return [*rows, row]


def strip(parts: list[tuple[str, Style]], width: int, base: Style) -> Strip:
    """One row of `width` cells over a base style."""
    segments = [Segment(text, base + style) for text, style in parts if text]
    return Strip(segments).adjust_cell_length(width, base)
