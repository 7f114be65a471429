"""When the machine stalls: who gives memory back, and how slowly jobs start while the disks are busy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from jobs.core.jobs import GIB, Job, JobId, Needs, ReasonCode
from jobs.core.machine import Pressure
from jobs.core.rules import SchedulerSettings
from jobs.core.world import World
from jobs.policy.decide import decide
from tests.policy.worlds import NOW, queued, running, sample, world

TIGHT = Pressure(memory_full_avg10=35.0)
SMALL = Needs(cpus=1, mem_bytes=2 * GIB)


def saver(job_id: int, *, saves: bool = True) -> Job:
    job = running(job_id, SMALL)
    return replace(job, spec=replace(job.spec, checkpoint=saves))


def stalling(
    *jobs: Job,
    used_gib: Mapping[int, float] | None = None,
    pressure: Pressure = TIGHT,
    rules: SchedulerSettings = SchedulerSettings(),  # noqa: B008 - frozen
) -> World:
    return world(*jobs, read=sample(live_gib=used_gib, pressure=pressure), rules=rules)


def test_the_job_furthest_over_its_reservation_saves_and_stops() -> None:
    plan = decide(stalling(saver(1), saver(2), saver(3), used_gib={1: 3.0, 2: 5.5, 3: 1.0}))
    ((asked, for_jobs, cause),) = [(e.job_id, e.for_jobs, e.cause) for e in plan.evictions]
    assert (asked, for_jobs) == (2, ())
    assert "3.5 GiB more than it reserved" in cause


@pytest.mark.parametrize(
    "now",
    [
        stalling(saver(1), used_gib={1: 2.0}),
        stalling(saver(1, saves=False), used_gib={1: 9.0}),
        stalling(saver(1), pressure=Pressure(memory_full_avg10=15.0), used_gib={1: 9.0}),
        stalling(saver(1), pressure=Pressure(), used_gib={1: 9.0}),
        stalling(saver(1), rules=SchedulerSettings(evict=False), used_gib={1: 9.0}),
        replace(stalling(saver(1), used_gib={1: 9.0}), evicted_at=NOW - 5),
    ],
    ids=["within it", "cannot save", "calm enough", "unknown", "switched off", "one was asked just now"],
)
def test_nobody_else_is_asked(now: World) -> None:
    assert decide(now).evictions == ()


def test_while_the_disks_stall_one_job_a_minute_starts() -> None:
    busy = Pressure(io_some_avg60=75.0)
    plan = decide(stalling(queued(1), queued(2), pressure=busy))
    assert [start.job_id for start in plan.starts] == [1]
    (reason,) = plan.held[JobId(2)]
    assert (reason.code, reason.until_at) == (ReasonCode.PRESSURE, NOW + 60)
    assert plan.wake_at == NOW + 60
    later = decide(stalling(running(1, started_at=NOW - 20), queued(2), pressure=busy))
    assert later.starts == ()
    (reason,) = later.held[JobId(2)]
    assert reason.until_at == NOW + 40
    assert "disks stall 75 %" in reason.detail
    assert later.wake_at == NOW + 40
    over = decide(stalling(running(1, started_at=NOW - 61), queued(2), pressure=busy))
    assert [start.job_id for start in over.starts] == [2]
