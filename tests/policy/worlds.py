"""Short ways to say a machine, a reading of it and jobs in every state the policy looks at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from jobs.core.jobs import (
    GIB,
    Dependency,
    DependencyKind,
    Grant,
    Held,
    Job,
    JobId,
    JobSpec,
    Needs,
    Paused,
    Queued,
    Reason,
    ReasonCode,
    Running,
    Starting,
    StateName,
    Usage,
)
from jobs.core.machine import Capacity, Device, DeviceSample, Pressure, Sample
from jobs.core.rules import SchedulerSettings
from jobs.core.world import Plan, World

NOW = 1_000.0
FIRST_COME = SchedulerSettings(learned_order=False, evict=False)


def spec(
    needs: Needs,
    *,
    priority: int = 50,
    expected_s: float | None = None,
    after: Mapping[int, DependencyKind] | None = None,
) -> JobSpec:
    dependencies = tuple(Dependency(JobId(i), kind) for i, kind in (after or {}).items())
    return JobSpec(
        "job",
        ("true",),
        "/",
        "digest",
        needs,
        priority=priority,
        expected_s=expected_s,
        after=dependencies,
    )


def queued(
    job_id: int,
    needs: Needs = Needs(),  # noqa: B008 - frozen
    *,
    priority: int = 50,
    expected_s: float | None = None,
    after: Mapping[int, DependencyKind] | None = None,
) -> Job:
    wanted = spec(needs, priority=priority, expected_s=expected_s, after=after)
    return Job(JobId(job_id), wanted, Queued(NOW - 5), NOW - 5)


def held(job_id: int) -> Job:
    return replace(queued(job_id), state=Held(NOW - 5))


def running(
    job_id: int,
    needs: Needs = Needs(),  # noqa: B008 - frozen
    *,
    on: Iterable[str] = (),
    started_at: float = NOW - 100,
    expected_s: float | None = None,
) -> Job:
    state = Running(started_at, 1, Grant(tuple(on)), 4242)
    return Job(JobId(job_id), spec(needs, expected_s=expected_s), state, NOW - 200, attempts=1)


def starting(job_id: int, needs: Needs, *, on: Iterable[str] = (), since_at: float = NOW) -> Job:
    state = Starting(since_at, 1, Grant(tuple(on)))
    return Job(JobId(job_id), spec(needs), state, NOW - 200, attempts=1)


def paused(job_id: int, needs: Needs, *, on: Iterable[str] = ()) -> Job:
    state = Paused(NOW - 50, NOW - 100, 1, Grant(tuple(on)), 4242)
    return Job(JobId(job_id), spec(needs), state, NOW - 200, attempts=1)


def gpu(index: int, gib: int = 16) -> Device:
    return Device(f"GPU-{index}", index, "Test", gib * GIB)


def reading(
    index: int,
    used_gib: float | None = 0.0,
    *,
    foreign_gib: float | None = 0.0,
    foreign_processes: int | None = 0,
) -> DeviceSample:
    return DeviceSample(f"GPU-{index}", _bytes(used_gib), _bytes(foreign_gib), foreign_processes)


def sample(
    *,
    at: float = NOW,
    available_gib: float | None = 15.0,
    total_gib: float = 16.0,
    cpu_foreign: float | None = 0.0,
    live_gib: Mapping[int, float] | None = None,
    devices: Iterable[DeviceSample] = (),
    pressure: Pressure = Pressure(),  # noqa: B008 - frozen
    gpu_live_gib: Mapping[int, float] | None = None,
) -> Sample:
    gpu_live = gpu_live_gib or {}
    jobs = {
        JobId(i): Usage(mem_bytes=_bytes(gib), gpu_mem_bytes=_bytes(gpu_live.get(i)))
        for i, gib in (live_gib or {}).items()
    }
    return Sample(
        at,
        cpu_foreign=cpu_foreign,
        mem_total_bytes=_bytes(total_gib),
        mem_available_bytes=_bytes(available_gib),
        devices=tuple(devices),
        jobs=jobs,
        pressure=pressure,
    )


def world(
    *jobs: Job,
    cpus: float = 8.0,
    gib: float = 16.0,
    devices: Iterable[Device] = (),
    read: Sample | None = None,
    unreadable: bool = False,
    rules: SchedulerSettings = FIRST_COME,
    fates: Mapping[int, StateName] | None = None,
) -> World:
    """A machine with 1 GiB of headroom by default, read just now, and these jobs."""
    known = tuple(devices)
    if read is None and not unreadable:
        read = sample(devices=[reading(device.index) for device in known])
    return World(
        NOW,
        Capacity(cpus, int(gib * GIB), known),
        rules,
        {job.id: job for job in jobs},
        {JobId(i): fate for i, fate in (fates or {}).items()},
        read,
        queued_outside_window=0,
    )


def started(plan: Plan) -> list[int]:
    return [start.job_id for start in plan.starts]


def codes(plan: Plan, job_id: int) -> list[ReasonCode]:
    return [reason.code for reason in plan.held[JobId(job_id)]]


def only(plan: Plan, job_id: int) -> Reason:
    """The one reason of a held job."""
    (reason,) = plan.held[JobId(job_id)]
    return reason


def _bytes(gib: float | None) -> int | None:
    return None if gib is None else int(gib * GIB)
