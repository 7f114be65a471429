"""Load over time as text on a fixed scale of 0 to 100 %, in braille or plain ASCII.

Pure. A missing reading leaves a gap; zero draws its lowest dot, so that idle and unknown look different.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

_LEFT = (0x00, 0x40, 0x44, 0x46, 0x47)
_RIGHT = (0x00, 0x80, 0xA0, 0xB0, 0xB8)
_ASCII = " .:-=+*#"
_EIGHTHS = " ▁▂▃▄▅▆▇█"


def graph_rows(values: Sequence[float | None], width: int, height: int, *, ascii_only: bool) -> list[str]:
    """`height` rows of `width` cells, the newest value (shares of 0..1) at the right edge."""
    if width <= 0 or height <= 0:
        return []
    if ascii_only:
        levels = [_level(value, height * (len(_ASCII) - 1)) for value in values[-width:]]
        levels = [0] * (width - len(levels)) + levels
        full = len(_ASCII) - 1
        return ["".join(_ASCII[_part(level, row, full)] for level in levels) for row in _from_top(height)]
    levels = [_level(value, height * 4) for value in values[-2 * width :]]
    levels = [0] * (2 * width - len(levels)) + levels
    columns = [_column(*pair, height) for pair in zip(levels[::2], levels[1::2], strict=True)]
    return ["".join(row) for row in zip(*columns, strict=True)]


def bar(share: float | None, width: int, *, ascii_only: bool) -> str:
    """A progress bar of `width` cells."""
    full = round((share or 0.0) * width)
    on, off = ("#", ".") if ascii_only else ("▓", "░")
    return on * min(width, full) + off * max(0, width - full)


def cores_row(shares: Sequence[float], width: int, *, ascii_only: bool) -> str:
    """One cell for each core; of more cores than fit, cells stand for the busiest of several."""
    if not shares or width <= 0:
        return ""
    per_cell = -(-len(shares) // width)
    busiest = [max(shares[at : at + per_cell]) for at in range(0, len(shares), per_cell)]
    scale = _ASCII if ascii_only else _EIGHTHS
    return "".join(scale[max(1, _level(share, len(scale) - 1))] for share in busiest)


def _level(value: float | None, top: int) -> int:
    if value is None:
        return 0
    return max(1, min(top, round(value * top)))


def _from_top(height: int) -> range:
    return range(height - 1, -1, -1)


def _part(level: int, row: int, per_row: int) -> int:
    return max(0, min(per_row, level - row * per_row))


@lru_cache(maxsize=2048)  # a graph moves by half a cell each second, and is whole again
def _column(left: int, right: int, height: int) -> tuple[str, ...]:
    """Two values as cells, from the top."""
    return tuple(_cell(left, right, row) for row in _from_top(height))


def _cell(left: int, right: int, row: int) -> str:
    dots = _LEFT[_part(left, row, 4)] | _RIGHT[_part(right, row, 4)]
    return chr(0x2800 + dots) if dots else " "
