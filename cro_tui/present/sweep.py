"""A grid of parameters: `n_estimators=50,100 max_depth=4,8` is four jobs; and a sweep in words. Pure.

Values are separated by commas; one that holds a comma is put in double quotes.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING

from cro_tui.present.amounts import clean, counted
from cro_tui.present.jobs import STATE_WORDS
from jobs.core.jobs import ParamValue
from jobs.core.ports import BadInput

if TYPE_CHECKING:
    from jobs.core.sweeps import SweepSummary


def values_of(text: str) -> tuple[str, ...]:
    """The values that are written in one parameter, at least one. Raises BadInput."""
    if "," not in text and '"' not in text:
        return (text,)
    try:
        (row,) = csv.reader([text], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):
        raise BadInput(f"{text[:40]!r} has a quote that is not closed.", 'Write it like "a,b",c.') from None
    if len(row) > 1 and "" in (value.strip() for value in row):
        raise BadInput(f"{text[:40]!r} has an empty value between its commas.", "Leave out that comma.")
    return tuple(row)


def grid(params: Mapping[str, Sequence[str]]) -> list[dict[str, ParamValue]]:
    """Every combination, the last parameter changing fastest."""
    return [dict(zip(params, values, strict=True)) for values in product(*params.values())]


def name_of(base: str, params: Mapping[str, Sequence[str]], point: Mapping[str, ParamValue]) -> str:
    """What a job of a sweep is called: its recipe, and the parameters that differ."""
    told = [f"{name}={point[name]}" for name, values in params.items() if len(values) > 1]
    return " ".join([base, *told])


def sweep_line(sweep: SweepSummary) -> str:
    """ "#12 to #17: 3 of 6 ended (DONE 3, RUN 1, WAIT 2); best #14 accuracy 0.972, n_estimators=100"."""
    from jobs.core.sweeps import score

    states = ", ".join(f"{STATE_WORDS[name]} {count}" for name, count in sweep.counts.items())
    if sweep.optimized:
        states += f"; {sweep.pruned} pruned" if sweep.pruned else ""
        which, number = f"optimization #{sweep.first}", counted(sweep.size, "trial")
    else:
        which, number = f"#{sweep.first} to #{sweep.first + sweep.size - 1}", counted(sweep.size, "job")
    said = f"{which}: {sweep.ended} of {number} ended ({states or 'none queued yet'})"
    best = sweep.best
    if best is None or (value := score(best, sweep.metric)) is None:
        return said
    params = dict(best.spec.params)
    point = " ".join(f"{clean(name, 24)}={clean(str(params.get(name, '')), 24)}" for name in sweep.varying)
    of = "" if sweep.optimized or len(sweep.jobs) >= sweep.size else f" of the first {len(sweep.jobs):,}"
    return f"{said}; best{of} #{best.id} {clean(sweep.metric, 24)} {value:.4g}, {point}"
