"""The factors of a place, and what one step more of priority would change."""

from __future__ import annotations

import pytest

from jobs.model import GIB, JobId, Needs
from jobs.policy.explain import factors, starts_at
from jobs.rules import Rules
from tests.policy.worlds import NOW, queued, running, world


def cpus(number: float, limit_s: float) -> Needs:
    return Needs(cpus=number, mem_bytes=GIB // 4, time_limit_s=limit_s)


def test_the_factors_multiply_to_the_place() -> None:
    now = world(queued(1, cpus(4, 600.0), priority=51), rules=Rules(learned_order=True))
    score = factors(now, JobId(1))
    assert (score.left_s, score.share, score.usage, score.priority) == (600.0, 0.5, 1.0, 0.5)
    assert score.value == pytest.approx(600.0 * 0.5 * 0.5 / score.age)


def test_one_step_more_of_priority_can_bring_a_start_forward() -> None:
    holder = running(1, cpus(8, limit_s=160))
    jobs = [queued(2, cpus(8, limit_s=50)), queued(3, cpus(8, limit_s=60))]
    now = world(holder, *jobs, rules=Rules(learned_order=True, evict=False))
    assert starts_at(now, JobId(3)) == NOW + 110
    assert starts_at(now, JobId(3), more_priority=1) == NOW + 60
