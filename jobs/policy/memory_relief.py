"""Who gives memory back when the machine stalls for it, and who may start while its disks stall. Pure.

A job within its own reservation is never asked; nor is one that cannot save: what stalls is slow, not lost.
"""

from __future__ import annotations

from jobs.core.jobs import GIB, Paused, Reason, ReasonCode, Running, Starting
from jobs.core.world import Eviction, World
from jobs.policy.eviction import askable, under_way
from jobs.policy.free_resources import readable

DISK_PAUSE_S = 60.0  # between two starts while the disks stall


def memory_relief(world: World) -> tuple[Eviction, ...]:
    """The job furthest beyond its reservation, the younger first, once memory stalls badly, as in oomd."""
    rules, sample = world.settings, world.sample
    if sample is None or not rules.evict or not readable(world) or under_way(world):
        return ()
    stalls = sample.pressure.memory_full_avg10
    if stalls is None or stalls <= rules.memory_full_evict:
        return ()
    over = []
    for job in world.jobs.values():
        used = sample.jobs.get(job.id)
        if askable(job) and used is not None and used.mem_bytes is not None:
            over.append((used.mem_bytes - job.needs.mem_bytes, job.id))
    most, job_id = max(over, default=(0, None))
    if job_id is None or most <= 0:
        return ()
    cause = (
        f"memory stalls {stalls:.0f} % of the time, and it uses {most / GIB:.1f} GiB more than it reserved"
    )
    return (Eviction(job_id, (), cause),)


def disks_are_stalled(world: World) -> Reason | None:
    """Why no more than one job may start now; `until_at`, which may be past, is when the next one may."""
    sample, limit = world.sample, world.settings.io_some_slow
    stalls = None if sample is None else sample.pressure.io_some_avg60
    if stalls is None or stalls <= limit:
        return None
    begun = [
        job.state.since_at if isinstance(job.state, Starting) else job.state.started_at
        for job in world.jobs.values()
        if isinstance(job.state, Starting | Running | Paused)
    ]
    last_at = max(begun, default=world.now - DISK_PAUSE_S)
    detail = f"disks stall {stalls:.0f} % of the time, limit {limit:g} %: one start a minute"
    return Reason(ReasonCode.PRESSURE, until_at=last_at + DISK_PAUSE_S, detail=detail)
