"""All that is remembered under one name of earlier runs, and the forecast that follows. Pure.

Where it is kept is the store's business, how time and needs follow is that of `predict` and `sizing`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from jobs.machine import Capacity
from jobs.model import Forecast, JobSpec, Usage
from jobs.policy.predict import NOTHING, Moments, forecast, program, runtime_keys
from jobs.policy.sizing import History, size_keys, sized, used, with_run
from jobs.rules import Rules

_BROKEN_WORDS = 2  # in a row, after which no job of the program is asked to save


@dataclass(frozen=True, slots=True)
class Past:
    """Run times, what the runs used, and how often in a row they did not save when they were asked."""

    moments: Moments = NOTHING
    used: History = ()
    failed_saves: int = 0


UNKNOWN = Past()
Remembered = Callable[[str], Past | None]


def after_run(spec: JobSpec, run_s: float, usage: Usage, remembered: Remembered) -> dict[str, Past]:
    """What is to be remembered from now on, by key, when a run has succeeded."""
    changed, sizes, run = {}, size_keys(spec), used(spec, usage)
    for key in runtime_keys(spec):
        past = remembered(key) or UNKNOWN
        history = with_run(past.used, run) if key in sizes else past.used
        changed[key] = replace(past, moments=past.moments.with_run(run_s), used=history)
    return changed


def after_save(spec: JobSpec, saved: bool, remembered: Remembered) -> dict[str, Past]:
    """What is to be remembered, by key, of a job that was asked to save and stop."""
    if (kind := program(spec)) is None:
        return {}
    key = f"program {kind}"
    past = remembered(key) or UNKNOWN
    return {key: replace(past, failed_saves=0 if saved else past.failed_saves + 1)}


def foresee(spec: JobSpec, remembered: Remembered, capacity: Capacity, rules: Rules) -> Forecast:
    """What the next run is expected to take, what it should reserve, and whether it is going to save."""
    made = forecast(spec, lambda key: (remembered(key) or UNKNOWN).moments)
    needs, runs = sized(spec, lambda key: (remembered(key) or UNKNOWN).used, capacity, rules)
    kind = program(spec)
    broken = 0 if kind is None else (remembered(f"program {kind}") or UNKNOWN).failed_saves
    return replace(made, needs=needs, sized_runs=runs, saves=broken < _BROKEN_WORDS)
