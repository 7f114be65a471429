"""What stands behind a waiting job's place, and what another priority would change. Pure; decides nothing.

It asks the same order and the same look ahead as the decision, so it cannot disagree with them.
"""

from __future__ import annotations

from dataclasses import replace

from jobs.model import JobId
from jobs.policy.decide import decide_with_estimates
from jobs.policy.order import Order, Score
from jobs.world import World


def factors(world: World, job_id: JobId) -> Score:
    """The numbers whose product is its place: expected seconds left, share, use, age, priority."""
    return Order.of(world).score(world.jobs[job_id])


def starts_at(world: World, job_id: JobId, *, more_priority: int = 0) -> float | None:
    """When a waiting job is expected to start, were its priority so much higher; None: it cannot be told.

    Costs a decision and a look ahead: not for every job of a list.
    """
    job = world.jobs[job_id]
    changed = replace(job, spec=replace(job.spec, priority=job.spec.priority + more_priority))
    plan = decide_with_estimates(replace(world, jobs={**world.jobs, job_id: changed}))
    if any(start.job_id == job_id for start in plan.starts):
        return world.now
    return plan.estimates.get(job_id)
