"""All that is remembered under one name of earlier runs, and the forecast that follows. Pure.

Where it is kept is the store's business, how time and needs follow is that of `predict` and `sizing`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from jobs.core.jobs import Forecast, JobSpec, Usage
from jobs.core.machine import Capacity
from jobs.core.rules import SchedulerSettings
from jobs.policy.runtime_model import NOTHING, Moments, forecast, program, runtime_keys
from jobs.policy.sizing import History, learned_needs, size_keys, used, with_run

_NEWEST = 0.3  # what the newest save or restart counts
_BROKEN_WORDS = 2  # in a row, after which no job of the program is asked to save


@dataclass(frozen=True, slots=True)
class RunHistory:
    """Run times, what the runs used, and how often in a row they did not save when they were asked.

    `save_s`, `restart_s`: what a save and stop took, and what it took to be at work again, newer ones
    counting more; None where that was never seen.
    """

    moments: Moments = NOTHING
    used: History = ()
    failed_saves: int = 0
    save_s: float | None = None
    restart_s: float | None = None

    @property
    def restart_cost_s(self) -> float | None:
        """What it costs to stop and go on; None until both halves were seen."""
        return None if self.save_s is None or self.restart_s is None else self.save_s + self.restart_s


UNKNOWN = RunHistory()
Remembered = Callable[[str], RunHistory | None]


def after_run(spec: JobSpec, run_s: float, usage: Usage, remembered: Remembered) -> dict[str, RunHistory]:
    """What is to be remembered from now on, by key, when a run has succeeded."""
    changed, sizes, run = {}, size_keys(spec), used(spec, usage)
    for key in runtime_keys(spec):
        past = remembered(key) or UNKNOWN
        history = with_run(past.used, run) if key in sizes else past.used
        changed[key] = replace(past, moments=past.moments.with_run(run_s), used=history)
    return changed


def after_save(spec: JobSpec, saved: bool, took_s: float, remembered: Remembered) -> dict[str, RunHistory]:
    """What is to be remembered, by key, of a job that was asked to save and stop."""
    if (key := _program_key(spec)) is None:
        return {}
    past = remembered(key) or UNKNOWN
    if not saved:
        return {key: replace(past, failed_saves=past.failed_saves + 1)}
    return {key: replace(past, failed_saves=0, save_s=_faded(past.save_s, took_s))}


def after_restart(spec: JobSpec, took_s: float, remembered: Remembered) -> dict[str, RunHistory]:
    """What is to be remembered, by key, of a job that went on from its checkpoint."""
    if (key := _program_key(spec)) is None:
        return {}
    past = remembered(key) or UNKNOWN
    return {key: replace(past, restart_s=_faded(past.restart_s, took_s))}


def forecast_of(
    spec: JobSpec, remembered: Remembered, capacity: Capacity, rules: SchedulerSettings
) -> Forecast:
    """What the next run is expected to take, what it should reserve, and whether it is going to save."""
    made = forecast(spec, lambda key: (remembered(key) or UNKNOWN).moments)
    needs, runs = learned_needs(spec, lambda key: (remembered(key) or UNKNOWN).used, capacity, rules)
    key = _program_key(spec)
    past = UNKNOWN if key is None else remembered(key) or UNKNOWN
    return replace(
        made,
        needs=needs,
        sized_runs=runs,
        saves=past.failed_saves < _BROKEN_WORDS,
        restart_cost_s=past.restart_cost_s,
    )


def _program_key(spec: JobSpec) -> str | None:
    kind = program(spec)
    return None if kind is None else f"program {kind}"


def _faded(mean_s: float | None, seen_s: float) -> float:
    """An exponentially weighted mean, of which the first one seen is all."""
    return seen_s if mean_s is None else mean_s + _NEWEST * (seen_s - mean_s)
