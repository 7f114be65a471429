"""When waiting jobs will start, by running the start pass forward on planned ends.

Pure and bounded: some events and the first few jobs, whatever the queue. A job gets a time only if planned
ends lead to it; an end that is unknown never comes here. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jobs.core.jobs import Job, JobId, Reason, ReasonCode
from jobs.core.world import Plan, World
from jobs.policy.allocations import planned_run_s
from jobs.policy.backfill import new_allocation, start_pass
from jobs.policy.free_resources import FreeResources, free_resources

_JOBS = 64
_EVENTS = 200


def starts_ahead(
    world: World, plan: Plan, candidates: Sequence[Job], closed: Sequence[Reason], reserved: int
) -> Mapping[JobId, float]:
    """Expected starts (Unix seconds, never before `world.now`) of the plan's held candidates.

    `closed`: why nothing may start at all; then nothing can be told. `reserved`: for how many jobs that do
    not fit a place is kept.
    """
    waiting = [job for job in candidates if job.id in plan.held][:_JOBS]
    if closed or not waiting:
        return {}
    room = free_resources(world)
    _take_starts(world, plan, room)
    room = room.settled()
    earliest = {job.id: _settled_at(plan.held[job.id], world.now) for job in waiting}
    moments = sorted({at for at in earliest.values() if at > world.now})
    estimates: dict[JobId, float] = {}
    now = world.now
    for _ in range(_EVENTS):
        ends = room.ends()
        following = [max(now, ends[0].ends_at or now)] if ends else []
        following += [at for at in moments if at > now][:1]
        if not waiting or not following:
            break
        now = min(following)
        for holding in ends:
            if (holding.ends_at or now) > now:
                break
            room.release(holding)
        result = start_pass(room, [job for job in waiting if earliest[job.id] <= now], now, reserved)
        for job, _grant in result.starts:
            estimates[job.id] = now
        waiting = [job for job in waiting if job.id not in estimates]
    return estimates


def _take_starts(world: World, plan: Plan, room: FreeResources) -> None:
    for start in plan.starts:
        job = world.jobs[start.job_id]
        run_s = planned_run_s(job)
        ends_at = None if run_s is None else world.now + run_s
        room.take(new_allocation(job.id, job.needs, start.grant, ends_at, world.now))


def _settled_at(reasons: Sequence[Reason], now: float) -> float:
    """The soonest time at which a job that only waits for others to settle may start."""
    return max(
        (
            reason.until_at
            for reason in reasons
            if reason.code is ReasonCode.SETTLING and reason.until_at is not None
        ),
        default=now,
    )
