"""Job output as plain text: what a terminal would show of it, and nothing that could act on one.

Pure. Output is hostile: escape sequences, control bytes and direction overrides never pass.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

MAX_LINE_CHARS = 4096
CUT_MARK = " ..."
TAB_CELLS = 8

_SEQUENCE = re.compile(
    r"\x1b(?:\[([0-?]*)[ -/]*([@-~])"  # CSI, with its parameters and its final letter
    r"|\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: titles, links, clipboard
    r"|[PX^_][^\x1b]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|[ -/]*[0-~])?"
)
_STEP_OF = re.compile(r"(?<![\w/.\-])(\d{1,9}) ?/ ?(\d{1,9})(?![\w/.\-])")
_ROUND = re.compile(r"\s*epoch:? +(\d{1,9}) ?/ ?(\d{1,9})[\s.:]*", re.IGNORECASE | re.ASCII)
_ROUND_IN = re.compile(r"\bepoch\b", re.IGNORECASE)
_PERCENT = re.compile(r"(?<![\w.\-])(\d{1,3}(?:\.\d+)?) ?%")


def collapse(raw: bytes | str) -> str:
    """What is left of one line (without its newline) after all rewriting, as printable text.

    Carriage returns, backspaces and the erase sequences of progress bars act as on a terminal; every other
    escape sequence is dropped. Invalid UTF-8 becomes U+FFFD; longer lines end with a mark.
    """
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    if text.isprintable():
        return _cut(text)
    cells: list[str] = []
    column = 0
    position = 0
    while position < len(text):
        char = text[position]
        if char == "\x1b":
            found = _SEQUENCE.match(text, position)
            assert found is not None
            position = found.end()
            column = _act(cells, column, found[1] or "", found[2] or "")
            continue
        position += 1
        if char == "\r":
            column = 0
        elif char == "\b":
            column = max(0, column - 1)
        elif char == "\t":
            column += TAB_CELLS - column % TAB_CELLS
        elif char.isprintable():
            cells += [" "] * (column - len(cells))
            cells[column : column + 1] = [char]
            column += 1
        elif unicodedata.category(char) in ("Zs", "Zl", "Zp"):
            cells += [" "] * (column - len(cells) + 1)
            column += 1
    return _cut("".join(cells).rstrip(" "))


def progress_of(line: str) -> float | None:
    """How far a line says that its work is (0..1): `412/642`, `Epoch 3/20 412/642`, `37%`; else None."""
    steps = [
        (int(done), int(total))
        for done, total in _STEP_OF.findall(line)
        if int(total) > 0 and int(done) <= int(total)
    ]
    if len(steps) >= 2 and steps[0][0] > 0:  # an outer count and the step within it
        (outer, rounds), (done, total) = steps[:2]
        return (outer - 1 + done / total) / rounds
    if steps:
        return steps[0][0] / steps[0][1]
    percents = [float(number) for number in _PERCENT.findall(line) if float(number) <= 100]
    return percents[0] / 100 if percents else None


def progress_of_lines(lines: Sequence[str]) -> float | None:
    """How far the last lines of a log say that the work is: the newest that says so counts.

    A count of steps below a line that is `Epoch 3/20` alone is a part of that round, as Keras prints it.
    """
    for number in range(len(lines) - 1, -1, -1):
        share = progress_of(lines[number])
        if share is None:
            continue
        if (header := _ROUND.fullmatch(lines[number])) is not None:
            return _within(header, 0.0, share)
        if _ROUND_IN.search(lines[number]) is None:
            for above in range(number - 1, -1, -1):
                if (header := _ROUND.fullmatch(lines[above])) is not None:
                    return _within(header, share, share)
        return share
    return None


def _within(header: re.Match[str], share: float, otherwise: float) -> float:
    """The share of all rounds, when `share` of the round of this header is done."""
    number, rounds = int(header[1]), int(header[2])
    return (number - 1 + share) / rounds if 1 <= number <= rounds else otherwise


def _act(cells: list[str], column: int, parameters: str, letter: str) -> int:
    """Erase or move within the line as a CSI sequence says; returns the new column."""
    number = int(parameters) if parameters.isdecimal() and len(parameters) < 5 else 0
    if letter == "K":
        if number == 0:
            del cells[column:]
        elif number == 2:
            cells.clear()
        else:
            cells[: column + 1] = [" "] * min(column + 1, len(cells))
    elif letter == "G":
        return min(max(0, number - 1), MAX_LINE_CHARS)
    elif letter == "D":
        return max(0, column - max(1, number))
    elif letter == "C":
        return min(column + max(1, number), MAX_LINE_CHARS)
    return column


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LINE_CHARS else text[: MAX_LINE_CHARS - len(CUT_MARK)] + CUT_MARK
