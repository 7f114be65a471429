"""Starts foretold by running the engine forward: ends, dependents, evictions, and what cannot be told."""

from __future__ import annotations

from dataclasses import replace

from jobs.core.jobs import GIB, DependencyKind, Forecast, Job, JobId, Needs
from jobs.core.rules import SchedulerSettings
from jobs.core.world import World
from jobs.engine.lookahead import starts_at, with_priority, with_runs
from tests.policy.worlds import NOW, held, queued, running, world

LEARNED = SchedulerSettings(learned_order=True)


def cpus(number: float, limit_s: float | None = None) -> Needs:
    return Needs(cpus=number, mem_bytes=GIB // 4, time_limit_s=limit_s)


def expecting(job: Job, run_s: float, *, saves: bool = False, spread: float = 0.5) -> Job:
    forecast = Forecast(run_s, run_s / 50, 3, spread)
    return replace(job, spec=replace(job.spec, checkpoint=saves), forecast=forecast)


def busy(*jobs: Job) -> World:
    holder = expecting(running(1, cpus(8)), 160.0)  # began 100 s ago
    return world(holder, *jobs, rules=LEARNED)


def test_it_starts_when_what_is_in_the_way_ends() -> None:
    now = busy(expecting(queued(2, cpus(8)), 50.0), expecting(queued(3, cpus(8)), 70.0))
    assert starts_at(now, JobId(2)) == NOW + 60
    assert starts_at(now, JobId(3)) == NOW + 110


def test_what_fits_starts_now() -> None:
    assert starts_at(world(queued(2, cpus(1)), rules=LEARNED), JobId(2)) == NOW


def test_a_step_more_of_priority_can_bring_it_forward() -> None:
    now = busy(expecting(queued(2, cpus(8)), 50.0), expecting(queued(3, cpus(8)), 70.0))
    assert starts_at(with_priority(now, JobId(3), 1), JobId(3)) == NOW + 60


def test_longer_runs_mean_later_starts() -> None:
    now = busy(expecting(queued(2, cpus(8)), 50.0))
    sooner, later = (starts_at(with_runs(now, z), JobId(2)) for z in (-1.28, 1.28))
    assert sooner is not None
    assert later is not None
    assert NOW < sooner < later


def test_a_dependent_starts_after_what_it_waits_for() -> None:
    waiting = queued(2, cpus(1), after={1: DependencyKind.OK})
    assert starts_at(busy(waiting), JobId(2)) == NOW + 60


def test_it_foresees_that_a_long_job_makes_room() -> None:
    long = expecting(running(1, cpus(8), started_at=NOW - 100), 50_000.0, saves=True)
    now = world(long, expecting(queued(2, cpus(8)), 10.0), rules=LEARNED)
    at = starts_at(now, JobId(2))
    assert at == NOW + 200 + 5, "when its trial is over and it has saved"
    assert starts_at(replace(now, settings=replace(LEARNED, evict=False)), JobId(2)) == NOW + 49_900


def test_what_nobody_can_tell_is_not_told() -> None:
    endless = running(1, cpus(8))
    assert starts_at(world(endless, queued(2, cpus(8)), rules=LEARNED), JobId(2)) is None
    assert starts_at(world(queued(2), unreadable=True), JobId(2)) is None
    assert starts_at(replace(world(queued(2)), draining=True), JobId(2)) is None
    assert starts_at(world(held(2)), JobId(2)) is None
    big = queued(2, cpus(99))
    assert starts_at(world(big, rules=LEARNED), JobId(2)) is None
