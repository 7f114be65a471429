"""Who is asked to save and stop for others, whatever runs and waits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.core.jobs import GIB, Forecast, Job, JobId, Needs, Queued, Running
from jobs.core.rules import SchedulerSettings
from jobs.core.world import World
from jobs.policy.decide import decide
from jobs.policy.order import Order, overdue_after_s, with_backlog
from tests.policy.worlds import NOW, paused, queued, running, world

RULES = SchedulerSettings(learned_order=True, evict=True)


@st.composite
def busy_worlds(draw: st.DrawFn) -> World:
    """Eight cores, all taken in ones and twos, and jobs of every size waiting."""
    jobs: list[Job] = []
    free = 8.0
    while free > 0:
        cpus = min(free, draw(st.sampled_from([1.0, 2.0, 4.0])))
        free -= cpus
        make = draw(st.sampled_from([running, running, running, running, paused]))
        job = make(100 + len(jobs), Needs(cpus, GIB // 4))
        if isinstance(job.state, Running):
            age_s = draw(st.sampled_from([10.0, 299.0, 301.0, 900.0]))
            asked = draw(st.sampled_from([None, None, None, None, NOW - 1]))
            cancelled = draw(st.sampled_from([None, None, None, NOW - 1]))
            state = replace(
                job.state, started_at=NOW - age_s, evict_requested_at=asked, cancel_requested_at=cancelled
            )
            job = replace(job, state=state, evictions=draw(st.integers(0, 5)))
        jobs.append(remembered(draw, job))
    jobs += [
        remembered(draw, queued(number, Needs(draw(st.sampled_from([1.0, 4.0, 8.0])), GIB // 4)))
        for number in range(1, 1 + draw(st.integers(1, 6)))
    ]
    return world(*jobs, rules=RULES)


def remembered(draw: st.DrawFn, job: Job) -> Job:
    run_s = draw(st.sampled_from([5.0, 500.0, 50_000.0]))
    spec = replace(job.spec, checkpoint=draw(st.booleans()) or draw(st.booleans()))
    return replace(job, spec=spec, forecast=Forecast(run_s, run_s / 50, draw(st.integers(0, 3))))


@settings(max_examples=200, deadline=None)
@given(busy_worlds())
def test_only_jobs_that_can_save_and_had_their_turn_are_asked(now: World) -> None:
    plan = decide(now)
    assert decide(now) == plan
    asked = [eviction.job_id for eviction in plan.evictions]
    assert len(asked) == len(set(asked))
    for eviction in plan.evictions:
        job = now.jobs[eviction.job_id]
        assert isinstance(job.state, Running)
        assert job.spec.checkpoint
        assert job.state.cancel_requested_at is None
        assert job.state.evict_requested_at is None
        assert now.now - job.state.started_at >= RULES.trial_s
        assert eviction.for_jobs
        assert set(eviction.for_jobs) <= set(plan.held)


def test_a_short_job_gets_the_place_of_a_long_one() -> None:
    long = running(1, Needs(8, GIB), started_at=NOW - 400)
    long = replace(long, spec=replace(long.spec, checkpoint=True), forecast=Forecast(50_000.0, 900.0, 3))
    short = replace(queued(2, Needs(1, GIB)), forecast=Forecast(10.0, 1.0, 3))
    (eviction,) = decide(world(long, short, rules=RULES)).evictions
    assert (eviction.job_id, eviction.for_jobs) == (1, (JobId(2),))
    kept = replace(long, spec=replace(long.spec, checkpoint=False))
    assert decide(world(kept, short, rules=RULES)).evictions == ()
    again = replace(long, evictions=40)
    assert decide(world(again, short, rules=RULES)).evictions == ()


def saving(job: Job, *, expected_s: float, submitted_s_ago: float = 0.0) -> Job:
    """The job as one that can save, of which earlier runs say how long it takes."""
    return replace(
        job,
        spec=replace(job.spec, checkpoint=True),
        submitted_at=NOW - submitted_s_ago,
        forecast=Forecast(expected_s, expected_s / 50, 3),
    )


def test_who_has_waited_longer_than_all_work_would_have_taken_gets_a_place_from_anybody_who_has_not() -> (
    None
):
    ran = running(1, Needs(8, GIB), started_at=NOW - 400)
    runs = saving(ran, expected_s=5_000.0, submitted_s_ago=400.0)
    whale = saving(queued(2, Needs(8, GIB)), expected_s=100_000.0, submitted_s_ago=100_000.0)
    now = world(runs, whale, rules=RULES)
    (eviction,) = decide(now).evictions
    assert (eviction.job_id, eviction.for_jobs) == (1, (JobId(2),))
    held = replace(whale, idle_s=50_000.0)
    assert decide(world(runs, held, rules=RULES)).evictions == (), "to be held is not to wait"
    crowded = replace(now, backlog_s=100_001.0)
    assert decide(crowded).evictions == ()
    assert decide(crowded).wake_at == NOW + 1.0, "then it is overdue"
    assert decide(replace(crowded, settings=replace(RULES, overdue_times=0.5))).evictions
    for_years = saving(whale, expected_s=1e9)
    assert with_backlog(world(for_years, rules=RULES)).backlog_s == 30 * 86_400.0
    assert decide(replace(now, settings=replace(RULES, overdue_times=0.0))).evictions == ()
    also_late = replace(runs, submitted_at=NOW - 90_000.0)
    assert decide(world(also_late, whale, rules=RULES)).evictions == (), "nor from who waited as badly"


@pytest.mark.parametrize(("saving", "times"), [(2, 1.0), (1, 5.5), (0, 10.0)])
def test_waits_and_use_count_less_with_each_job_that_cannot_be_made_to_wait(
    saving: int, times: float
) -> None:
    jobs = [queued(number, Needs(1, GIB // 4), expected_s=60) for number in (1, 2)]
    jobs = [
        replace(job, spec=replace(job.spec, checkpoint=place < saving), state=Queued(NOW - 50_000.0))
        for place, job in enumerate(jobs)
    ]
    now = replace(world(*jobs, rules=RULES), usage={"ann": 9_000.0, jobs[0].spec.user: 1_000.0})
    order, score = Order.of(now), Order.of(now).score(jobs[0])
    assert overdue_after_s(now) == pytest.approx(times * RULES.overdue_s)
    assert order.fair_weight == pytest.approx(RULES.fair_weight / times)
    assert score.age == pytest.approx(1.0 + 50_000.0 / (times * RULES.ageing_s))
    assert score.usage == pytest.approx(1.0 + RULES.fair_weight / times * 0.2)


def test_only_far_smaller_jobs_pass_one_that_is_overdue() -> None:
    ran = running(1, Needs(8, GIB), started_at=NOW - 4_000)
    late = saving(ran, expected_s=100_000.0, submitted_s_ago=100_000.0)
    small = saving(queued(2, Needs(4, GIB)), expected_s=30_000.0)
    assert decide(world(late, small, rules=RULES)).evictions == ()
    tiny = saving(queued(2, Needs(1, GIB)), expected_s=500.0)
    assert [each.job_id for each in decide(world(late, tiny, rules=RULES)).evictions] == [JobId(1)]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(1.0, 1e6), st.sampled_from([1.0, 4.0, 8.0])), max_size=12))
def test_the_backlog_is_what_was_at_hand_at_most_and_fades(work: list[tuple[float, float]]) -> None:
    jobs = [saving(queued(n, Needs(c, GIB // 4)), expected_s=s) for n, (s, c) in enumerate(work, 1)]
    first = with_backlog(replace(world(*jobs, rules=RULES), backlog_at=NOW - 3600.0))
    least_s = sum(s * c for s, c in work) / 8
    assert first.backlog_s >= min(least_s, 30 * 86_400.0) * (1 - 1e-9)
    assert first.backlog_at == NOW
    soon = replace(first, now=NOW + 30.0, jobs={})
    assert with_backlog(soon) == soon, "once a minute is enough"
    later = with_backlog(replace(first, now=NOW + 14 * 86_400.0, jobs={}))
    assert later.backlog_s == pytest.approx(first.backlog_s / 2)
