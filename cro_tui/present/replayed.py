"""A replay, or two side by side, as a table of words and numbers. Pure; the command draws the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cro_tui.present.amounts import span_text

if TYPE_CHECKING:
    from jobs.simulation.what_if import Replayed

HEADS = ("", "as it is", "changed", "ratio")
_SAME = 0.005  # ratios closer to 1 say nothing


def replayed_rows(before: Replayed, after: Replayed | None) -> list[tuple[str, str, str, str]]:
    """Label, before, after, and how many times as much; the last two empty without an `after`."""
    rows = []
    for label, value, text in _ROWS:
        old = value(before)
        new, ratio = "", ""
        if after is not None:
            new = text(value(after))
            ratio = _ratio(old, value(after))
        rows.append((label, text(old), new, ratio))
    return rows


def _ratio(old: float, new: float) -> str:
    if old == 0 or abs(new / old - 1) < _SAME:
        return ""
    return f"x {new / old:.2g}"


def _times(value: float) -> str:
    return f"{value:.3g}x" if value < 1000 else f"{value:.0f}x"


def _share(value: float) -> str:
    return f"{value:.1%}"


_ROWS: tuple[tuple[str, Callable[[Replayed], float], Callable[[float], str]], ...] = (
    ("slowdown, mean", lambda r: r.figures.slowdown_mean, _times),
    ("slowdown, 95th percentile", lambda r: r.figures.slowdown_p95, _times),
    ("slowdown, largest tenth", lambda r: r.figures.large_slowdown_mean, _times),
    ("wait, mean", lambda r: r.figures.wait_mean_s, span_text),
    ("wait, 95th percentile", lambda r: r.figures.wait_p95_s, span_text),
    ("wait, longest", lambda r: r.figures.wait_max_s, span_text),
    ("all done after", lambda r: r.figures.makespan_s, span_text),
    ("over what is possible", lambda r: r.figures.makespan_s / max(r.bound_s, 1e-9), _times),
    ("machine in use", lambda r: r.figures.utilisation, _share),
    ("fairness between users", lambda r: r.figures.jain, lambda value: f"{value:.2f}"),
    ("evictions", lambda r: float(r.figures.evictions), lambda value: f"{value:.0f}"),
    ("work done twice", lambda r: r.figures.lost_share, _share),
)
