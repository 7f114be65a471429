"""Runs as lines through parallel axes, one for each parameter and one for the metric, as rows of text.

After Inselberg's parallel coordinates. Pure. Each kind of line has a mark of its own, so that it can be
read without colour; of very many runs some are drawn, evenly chosen by rank.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from cro_tui.present.amounts import cells, clean, cut
from jobs.core.jobs import ParamValue
from jobs.core.sweeps import GroupRuns

MOST_LINES = 200
_AXIS_CELLS = 11  # between two axes, at least
_TICKS = 8  # values that are named one by one
_LOG_FROM = 100.0  # times the least is the largest: then equal steps are equal factors
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
OTHER, BEST, CHOSEN, AXIS, LABEL = "other", "best", "chosen", "axis", "label"
_MARKS = {BEST: "●", CHOSEN: "◆", AXIS: "│"}
_ASCII_MARKS = {BEST: "#", CHOSEN: "O", AXIS: "|"}

Cell = tuple[str, str]  # a character and its look


@dataclass(frozen=True, slots=True)
class ParallelAxis:
    """One parameter or metric from its least value at the bottom to its largest, and which are named.

    `words` has the places of values that are no numbers. `ticks` are (place, text), 0 at the bottom to 1.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    by_log: bool = False
    words: Mapping[str, float] = field(default_factory=dict)
    ticks: Sequence[tuple[float, str]] = ()


def axis_of(name: str, values: Iterable[ParamValue | None]) -> ParallelAxis:
    """Numbers by their size (by their logarithm where they span much), anything else in order of value."""
    known = set(values) - {None}
    if known and {int, float} >= set(map(type, known)):
        numbers = {value for value in known if math.isfinite(value)} or {0.0}  # type: ignore[arg-type]
        low, high = float(min(numbers)), float(max(numbers))  # type: ignore[type-var, arg-type]
        by_log = low > 0 and high / low >= _LOG_FROM
        bare = ParallelAxis(clean(name, 40) + (" log" if by_log else ""), low, high, by_log)
        named = sorted(map(float, numbers)) if len(numbers) <= _TICKS else [low, high]  # type: ignore[arg-type]
        return replace(bare, ticks=[(place_of(bare, value) or 0.0, f"{value:.4g}") for value in named])
    words = sorted({str(value) for value in known})
    step = max(1, len(words) - 1)
    places = {word: at / step if len(words) > 1 else 0.5 for at, word in enumerate(words)}
    named_words = words if len(words) <= _TICKS else [words[0], words[-1]]
    return ParallelAxis(
        clean(name, 40), words=places, ticks=[(places[word], clean(word, 24)) for word in named_words]
    )


def place_of(axis: ParallelAxis, value: ParamValue | None) -> float | None:
    """Where a value stands on its axis; None of a missing one."""
    if axis.words or value is None:
        return axis.words.get(str(value))
    number = float(value)
    if not math.isfinite(number):
        return None
    scale = math.log if axis.by_log else float
    span = scale(axis.high) - scale(axis.low)
    return (scale(number) - scale(axis.low)) / span if span else 0.5


def axes_of(runs: GroupRuns, metric: str, width: int) -> tuple[list[ParallelAxis], int]:
    """As many parameters as there is room for, then the metric; and how many were left out."""
    room = max(1, (width - 2) // _AXIS_CELLS - 1)
    names = runs.varying[:room]
    axes = [axis_of(name, runs.columns.params[name]) for name in names]
    axes.append(axis_of(metric, runs.columns.metrics.get(metric, ())))
    return axes, len(runs.varying) - len(names)


def drawn_of(ranked: Sequence[int], runs: GroupRuns, metric: str) -> list[int]:
    """Which runs are drawn: those that have the metric, at most `MOST_LINES`, evenly by rank."""
    column = runs.columns.metrics.get(metric)
    found = [] if column is None else [place for place in ranked if column[place] is not None]
    step = max(1, -(-len(found) // MOST_LINES))
    return found[::step]


def line_of(axes: Sequence[ParallelAxis], runs: GroupRuns, metric: str, place: int) -> list[float | None]:
    """Where one run's line meets the axes that `axes_of` made."""
    columns = [*(runs.columns.params[name] for name in runs.varying[: len(axes) - 1])]
    columns.append(runs.columns.metrics[metric])
    return [place_of(axis, column[place]) for axis, column in zip(axes, columns, strict=True)]


def picture(
    axes: Sequence[ParallelAxis],
    others: Sequence[Sequence[float | None]],
    best: Sequence[float | None] | None,
    chosen: Sequence[float | None] | None,
    size: tuple[int, int],
    *,
    ascii_only: bool,
) -> list[list[Cell]]:
    """`size` is (width, height) in cells; a line is its places on the axes, None where it is broken."""
    width, height = size
    body = height - 1
    if body < 2 or width < 8:
        return []
    marks = _ASCII_MARKS if ascii_only else _MARKS
    at = _columns(len(axes), width, max((len(text) for _, text in axes[-1].ticks), default=0))
    dots: dict[tuple[int, int], int] = {}
    for line in others:
        _draw_dots(dots, line, at, body, ascii_only=ascii_only)
    rows: list[list[Cell]] = [[(" ", "")] * width for _ in range(body)]
    for (x, y), bits in dots.items():
        rows[y][x] = ("." if ascii_only else chr(0x2800 + bits), OTHER)
    for x in at:
        for row in rows:
            row[x] = (marks[AXIS], AXIS)
    for look, marked in ((BEST, best), (CHOSEN, chosen)):
        if marked is not None:
            for x, y in _cells(marked, at, body):
                rows[y][x] = (marks[look], look)
    for number, axis in enumerate(axes):
        room = (at[number + 1] if number + 1 < len(at) else width) - at[number] - 2
        for place, text in axis.ticks:
            _write(rows[_row(place, body)], at[number] + 1, cut(text, max(1, room)), LABEL)
    head: list[Cell] = [(" ", "")] * width
    for number, axis in enumerate(axes):
        end = at[number + 1] - 1 if number + 1 < len(at) else width
        _write(head, at[number], cut(axis.name, max(1, end - at[number])), LABEL)
    return [head, *rows]


def _columns(number: int, width: int, last: int) -> list[int]:
    right = max(number, width - 2 - max(last, 8))
    return [round(each * right / max(1, number - 1)) for each in range(number)]


def _row(place: float, body: int) -> int:
    return round((1.0 - place) * (body - 1))


def _write(row: list[Cell], at: int, text: str, look: str) -> None:
    for offset, char in enumerate(text):
        if at + offset < len(row):
            row[at + offset] = (char if cells(char) == 1 else "?", look)


def _cells(line: Sequence[float | None], at: Sequence[int], body: int) -> list[tuple[int, int]]:
    found = []
    for (x0, y0), (x1, y1) in _legs(line, at):
        for x in range(x0, x1 + 1):
            place = y0 + (y1 - y0) * (x - x0) / max(1, x1 - x0)
            found.append((x, _row(place, body)))
    return found


def _legs(
    line: Sequence[float | None], at: Sequence[int]
) -> list[tuple[tuple[int, float], tuple[int, float]]]:
    points = list(zip(at, line, strict=True))
    return [
        ((x0, y0), (x1, y1)) for (x0, y0), (x1, y1) in pairwise(points) if y0 is not None and y1 is not None
    ]


def _draw_dots(
    dots: dict[tuple[int, int], int],
    line: Sequence[float | None],
    at: Sequence[int],
    body: int,
    *,
    ascii_only: bool,
) -> None:
    if ascii_only:
        for cell in _cells(line, at, body):
            dots[cell] = 1
        return
    top = body * 4 - 1
    for (x0, y0), (x1, y1) in _legs(line, at):
        left, steps = 2 * x0, 2 * (x1 - x0)
        start, slope = (1.0 - y0) * top, (y0 - y1) * top / max(1, steps)
        for column in range(left, left + steps + 1):
            row = int(start + slope * (column - left) + 0.5)
            key = column >> 1, row >> 2
            dots[key] = dots.get(key, 0) | _DOTS[row & 3][column & 1]
