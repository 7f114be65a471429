"""Replays of seeded traces: the guards hold, twice is the same, and the learned order is worth its name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.core.jobs import GIB, Grant, Queued
from jobs.core.rules import SchedulerSettings
from jobs.core.world import Plan, Start, World
from jobs.simulation.metrics import bound_s, figures, wait_bound_s
from jobs.simulation.replay import Knowledge, Setting, calm_settings, machine_of, replay
from jobs.simulation.trace import TraceJob, on_box
from tests.simulation.traces import heavy_tailed

BOX = machine_of(16, 64, 4)
TRACE = on_box(heavy_tailed(400), BOX, 0.9)
OURS = Setting(calm_settings(SchedulerSettings(learned_order=True, evict=True)))
EASY = Setting(
    calm_settings(SchedulerSettings(learned_order=False, evict=False)), Knowledge.LIMITS, whole_queue=True
)


def test_two_replays_are_the_same() -> None:
    assert replay(TRACE, BOX, OURS).jobs == replay(TRACE, BOX, OURS).jobs


def test_the_learned_order_is_far_ahead_of_backfill_and_its_worst_wait_is_bounded() -> None:
    ours, easy = (figures(TRACE, BOX, replay(TRACE, BOX, each)) for each in (OURS, EASY))
    assert ours.slowdown_mean < 0.5 * easy.slowdown_mean
    assert ours.wait_mean_s < easy.wait_mean_s
    assert ours.wait_max_s < 2 * easy.wait_max_s
    assert ours.evictions > 0
    assert ours.lost_share < 0.05


def test_no_result_is_below_the_bounds() -> None:
    for setting in (OURS, EASY, replace(OURS, knowledge=Knowledge.TRUTH)):
        found = figures(TRACE, BOX, replay(TRACE, BOX, setting))
        assert found.makespan_s >= bound_s(TRACE, BOX)
        assert found.wait_mean_s >= wait_bound_s(TRACE, BOX)
        assert found.slowdown_mean >= 1
        assert 0 < found.jain <= 1
        assert 0 < found.utilisation <= 1


def test_where_no_job_can_save_none_is_evicted_and_all_finish() -> None:
    outcome = replay(TRACE, BOX, replace(OURS, coverage=0.0))
    assert sum(ran.evictions for ran in outcome.jobs) == 0
    assert all(
        ran.finished_at >= job.submit_s + job.run_s for ran, job in zip(outcome.jobs, TRACE, strict=True)
    )


def test_a_job_is_never_evicted_without_progress_between() -> None:
    rules = OURS.settings
    for ran, job in zip(replay(TRACE, BOX, OURS).jobs, TRACE, strict=True):
        assert ran.evictions * rules.trial_s <= job.run_s + ran.lost_s


def test_a_whole_machine_job_of_a_second_is_not_kept_out_by_many_small_long_ones() -> None:
    small = [TraceJob(float(i), 80_000.0, 1.0, GIB, limit_s=90_000.0, user="a") for i in range(16)]
    large = TraceJob(1000.0, 1.0, 16.0, GIB, limit_s=60.0, user="b")
    outcome = replay((*small, large), BOX, OURS)
    assert outcome.jobs[-1].started_at < 3600


def test_an_overdue_job_gets_its_turn_on_a_machine_that_is_never_free() -> None:
    stream = [TraceJob(600.0 * i, 2400.0, 4.0, GIB, limit_s=3000.0, user="a") for i in range(500)]
    whale = TraceJob(0.5, 40_000.0, 16.0, GIB, limit_s=90_000.0, user="b")
    trace = tuple(sorted((*stream, whale), key=lambda job: job.submit_s))
    found = {
        rules.overdue_times: replay(trace, BOX, replace(OURS, settings=rules)).jobs[1].finished_at
        for rules in (OURS.settings, replace(OURS.settings, overdue_times=0.0))
    }
    due_s = OURS.settings.overdue_s + whale.run_s
    assert found[1.0] < due_s + 86_400 < found[0.0]


def test_the_guards_see_a_plan_that_does_not_fit() -> None:
    def greedy(world: World) -> Plan:
        waiting = [job.id for job in world.jobs.values() if isinstance(job.state, Queued)]
        return Plan(tuple(Start(job_id, Grant()) for job_id in waiting))

    trace = tuple(TraceJob(0.0, 10.0, 10.0, GIB) for _ in range(2))
    with pytest.raises(AssertionError, match="more cores"):
        replay(trace, BOX, replace(OURS, plan=greedy))


def test_the_guards_see_a_job_that_never_runs() -> None:
    with pytest.raises(AssertionError, match="never finished"):
        replay(TRACE[:3], BOX, replace(OURS, plan=lambda world: Plan()))
