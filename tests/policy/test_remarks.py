"""What a waiting job is told beside what is short, with typed reasons."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.core.jobs import GIB, Forecast, Job, JobId, Needs, Reason, ReasonCode, Running, Unit
from jobs.core.rules import SchedulerSettings
from jobs.core.world import World
from jobs.policy.decide import decide
from tests.policy.worlds import NOW, codes, queued, running, sample, started, world

LEARNED = SchedulerSettings(learned_order=True)
ALL = Needs(cpus=8, mem_bytes=GIB)


def long(*, saves: bool = True, age_s: float = 100.0) -> Job:
    job = running(1, ALL, started_at=NOW - age_s)
    spec = replace(job.spec, checkpoint=saves)
    return replace(job, spec=spec, forecast=Forecast(50_000.0, 900.0, 3))


def seen(job: Job, run_s: float = 10.0, *, runs: int = 3, user: str = "ann") -> Job:
    spec = replace(job.spec, user=user)
    return replace(job, spec=spec, forecast=Forecast(run_s, run_s / 10, runs))


def saving(job: Job, run_s: float, *, user: str) -> Job:
    job = seen(job, run_s, user=user)
    return replace(job, spec=replace(job.spec, checkpoint=True))


def of(now: World, job_id: int, code: ReasonCode) -> Reason:
    (found,) = [each for each in decide(now).held[JobId(job_id)] if each.code is code]
    return found


def test_a_job_that_nobody_has_run_is_told_of_its_trial() -> None:
    first, again = seen(queued(2, ALL), 600.0, runs=0), seen(queued(3, ALL), 600.0)
    plan = decide(world(long(), first, again, rules=LEARNED))
    assert codes(plan, 2) == [ReasonCode.CPUS, ReasonCode.TRIAL]
    assert codes(plan, 3) == [ReasonCode.CPUS]
    assert ReasonCode.TRIAL not in codes(decide(world(long(saves=False), first, rules=LEARNED)), 2)


def test_who_makes_room_is_named_at_once_and_until_the_room_is_there() -> None:
    now = world(long(age_s=400.0), seen(queued(2, ALL)), rules=LEARNED)
    assert of(now, 2, ReasonCode.MAKING_ROOM).jobs == (JobId(1),)
    assert codes(decide(now), 2)[0] is ReasonCode.MAKING_ROOM
    state = now.jobs[JobId(1)].state
    assert isinstance(state, Running)
    asked = replace(now.jobs[JobId(1)], state=replace(state, evict_requested_at=NOW, evict_for=(JobId(2),)))
    later = replace(now, jobs={**now.jobs, JobId(1): asked}, promised=(JobId(2),), evicted_at=NOW)
    assert of(later, 2, ReasonCode.MAKING_ROOM).jobs == (JobId(1),)


def test_what_was_saved_and_what_was_grown_is_said_with_its_numbers() -> None:
    saved = replace(seen(queued(2, ALL)), evictions=1, attained_s=420.0, attempts=1)
    grown = replace(seen(queued(3, ALL)), memory_tries=2, grown_mem_bytes=4 * GIB, attempts=2)
    now = world(long(), saved, grown, rules=LEARNED)
    kept = of(now, 2, ReasonCode.EVICTED)
    assert (kept.needed, kept.unit) == (420.0, Unit.SECONDS)
    more = of(now, 3, ReasonCode.MORE_MEMORY)
    assert (more.needed, more.detail) == (4 * GIB, "2 of 3")


def test_use_of_late_is_named_only_where_it_costs_a_place() -> None:
    mine, other = saving(queued(2, ALL), 10.0, user="ann"), saving(queued(3, ALL), 12.0, user="bo")
    usage = {"ann": 9_000.0, "bo": 1_000.0}
    now = replace(world(long(), mine, other, rules=LEARNED), usage=usage, usage_at=NOW)
    fair = of(now, 2, ReasonCode.FAIR)
    assert fair.jobs == (JobId(3),)
    assert fair.needed == pytest.approx(1.8)
    assert ReasonCode.FAIR not in codes(decide(now), 3)
    alone = replace(now, jobs={i: job for i, job in now.jobs.items() if i != 3})
    assert ReasonCode.FAIR not in codes(decide(alone), 2)


def test_a_job_that_waited_for_weeks_is_told_that_it_is_next() -> None:
    late = replace(seen(queued(2, ALL)), submitted_at=NOW - 4_000_000.0)
    now = world(long(), late, rules=LEARNED)
    assert of(now, 2, ReasonCode.OVERDUE)


def test_room_is_kept_while_somebody_types_and_said_so() -> None:
    rules = replace(LEARNED, guard_cpus=2.0, guard_mem_bytes=GIB)
    job = queued(2, Needs(cpus=7, mem_bytes=GIB))
    typing = world(job, rules=rules, read=replace(sample(), idle_s=20.0))
    assert [each.needed for each in decide(typing).held[JobId(2)] if each.code is ReasonCode.GUARD] == [
        2.0,
        GIB,
    ]
    away = world(job, rules=rules, read=replace(sample(), idle_s=301.0))
    assert started(decide(away)) == [2]
    nobody = world(job, rules=rules, read=sample())
    assert started(decide(nobody)) == [2]
