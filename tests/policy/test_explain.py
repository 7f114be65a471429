"""The factors of a place, and how far an estimate was off."""

from __future__ import annotations

import pytest

from jobs.core.jobs import GIB, JobId, Needs
from jobs.core.rules import SchedulerSettings
from jobs.policy.explain import estimate_error, factors
from tests.policy.worlds import queued, world


def test_the_factors_multiply_to_the_place() -> None:
    needs = Needs(cpus=4, mem_bytes=GIB // 4, time_limit_s=600.0)
    now = world(queued(1, needs, priority=51), rules=SchedulerSettings(learned_order=True))
    score = factors(now, JobId(1))
    assert (score.left_s, score.share, score.usage, score.priority) == (600.0, 0.5, 1.0, 0.5)
    assert score.value == pytest.approx(600.0 * 0.5 * 0.5 / score.age)


@pytest.mark.parametrize(
    ("estimate_at", "started_at", "error"), [(200.0, 200.0, 0.0), (200.0, 250.0, 0.5), (101.0, 106.0, 0.5)]
)
def test_an_error_is_a_share_of_the_wait_foretold(
    estimate_at: float, started_at: float, error: float
) -> None:
    assert estimate_error(100.0, estimate_at, started_at) == error
