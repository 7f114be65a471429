"""What stands behind a waiting job's place, and how good an estimate was. Pure; decides nothing."""

from __future__ import annotations

from jobs.core.jobs import JobId
from jobs.core.world import World
from jobs.policy.order import Order, Score

_LEAST_WAIT_S = 10.0


def factors(world: World, job_id: JobId) -> Score:
    """The numbers whose product is its place: expected seconds left, share, use, age, priority."""
    return Order.of(world).score(world.jobs[job_id])


def estimate_error(told_at: float, estimate_at: float, started_at: float) -> float:
    """By how much an estimated start was off, as a share of the wait that was foretold."""
    return abs(started_at - estimate_at) / max(_LEAST_WAIT_S, estimate_at - told_at)
