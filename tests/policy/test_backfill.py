"""Backfill and the look ahead: who may pass the first that cannot start, and when it will."""

from __future__ import annotations

from jobs.core.jobs import GIB, JobId, Needs, ReasonCode
from jobs.policy.decide import decide, decide_with_estimates
from tests.policy.worlds import NOW, codes, gpu, only, paused, queued, running, sample, started, world


def cpus(number: float, limit_s: float | None = None) -> Needs:
    return Needs(cpus=number, mem_bytes=GIB // 4, time_limit_s=limit_s)


def test_a_short_job_passes_when_it_ends_before_the_planned_start() -> None:
    wide = queued(2, cpus(8))
    holder = running(1, cpus(6, limit_s=160))
    plan = decide(world(holder, wide, queued(3, cpus(2, limit_s=60)), queued(4, cpus(2, limit_s=61))))
    assert started(plan) == [3]
    assert codes(plan, 4) == [ReasonCode.CPUS]
    plan = decide(world(holder, wide, queued(4, cpus(2, limit_s=61))))
    reason = only(plan, 4)
    assert (reason.code, reason.jobs, reason.until_at) == (ReasonCode.BACKFILL, (2,), NOW + 60)


def test_a_job_of_unknown_length_passes_only_beside_the_reserved_place() -> None:
    holder = running(1, cpus(6, limit_s=160))
    plan = decide(world(holder, queued(2, cpus(7)), queued(3, cpus(1)), queued(4, cpus(1))))
    assert started(plan) == [3]
    assert codes(plan, 4) == [ReasonCode.BACKFILL]


def test_expected_times_of_earlier_runs_are_planned_with() -> None:
    holder = running(1, cpus(6), expected_s=160)
    plan = decide(world(holder, queued(2, cpus(8)), queued(3, cpus(2), expected_s=60)))
    assert started(plan) == [3]


def test_a_job_that_outlives_its_expected_time_is_stretched_but_not_past_its_limit() -> None:
    late = running(1, cpus(8), expected_s=50)
    assert only(decide(world(late, queued(2, cpus(1)))), 2).until_at == NOW + 50
    limited = running(1, cpus(8, limit_s=120), expected_s=50)
    assert only(decide(world(limited, queued(2, cpus(1)))), 2).until_at == NOW + 20
    overdue = running(1, cpus(8, limit_s=90))
    assert only(decide(world(overdue, queued(2, cpus(1)))), 2).until_at == NOW


def test_a_place_is_kept_for_the_second_who_does_not_fit_and_named_to_whom_it_holds_up() -> None:
    holder = running(1, cpus(6, limit_s=160))
    plan = decide(world(holder, queued(2, cpus(4)), queued(3, cpus(8)), queued(4, cpus(1))))
    assert started(plan) == []
    reason = only(plan, 4)
    assert (reason.code, reason.jobs) == (ReasonCode.BACKFILL, (3,))
    assert started(decide(world(holder, queued(2, cpus(4)), queued(4, cpus(1))))) == [4]


def test_without_a_known_end_nobody_takes_what_the_first_is_short_of() -> None:
    holder = running(1, cpus(6))
    plan = decide(world(holder, queued(2, cpus(4)), queued(3, cpus(1, limit_s=1))))
    assert only(plan, 2).until_at is None
    reason = only(plan, 3)
    assert (reason.code, reason.jobs, reason.until_at) == (ReasonCode.BACKFILL, (2,), None)


def test_without_a_known_end_the_rest_of_the_need_stays_untouched() -> None:
    holder = running(1, Needs(1, GIB // 4, gpus=1), on=["GPU-0"])
    waits_for_gpu = queued(2, Needs(6, GIB, gpus=1))
    now = world(holder, waits_for_gpu, queued(3, cpus(1)), queued(4, cpus(1)), devices=[gpu(0)])
    plan = decide(now)
    assert started(plan) == [3]
    assert codes(plan, 4) == [ReasonCode.BACKFILL]


def test_memory_short_and_no_end_known_means_nobody_passes() -> None:
    holder = running(1, Needs(1, 10 * GIB))
    plan = decide(world(holder, queued(2, Needs(1, 8 * GIB)), queued(3, Needs(1, GIB))))
    assert codes(plan, 2) == [ReasonCode.MEMORY]
    assert codes(plan, 3) == [ReasonCode.BACKFILL]


def test_a_job_that_only_foreign_use_keeps_out_holds_nobody_up() -> None:
    read = sample(available_gib=4.0)
    plan = decide(world(queued(1, Needs(1, 8 * GIB)), queued(2, Needs(1, GIB)), read=read))
    assert started(plan) == [2]
    assert codes(plan, 1) == [ReasonCode.FOREIGN_MEMORY]


def test_while_the_first_waits_for_others_to_settle_nobody_eats_into_the_rest() -> None:
    young = running(1, Needs(1, 6 * GIB), started_at=NOW - 2)
    read = sample(available_gib=9.0, live_gib={1: 6.0})
    plan = decide(world(young, queued(2, Needs(1, 8 * GIB)), queued(3, Needs(1, GIB)), read=read))
    assert codes(plan, 2) == [ReasonCode.SETTLING]
    assert codes(plan, 3) == [ReasonCode.BACKFILL]
    assert plan.wake_at == NOW + 3


def test_the_reserved_devices_are_kept_by_identity() -> None:
    first = running(1, Needs(1, GIB // 4, 1, time_limit_s=200), on=["GPU-0"])
    both = queued(2, Needs(1, GIB // 4, 2))
    longer = queued(3, Needs(1, GIB // 4, 1, time_limit_s=101))
    shorter = queued(4, Needs(1, GIB // 4, 1, time_limit_s=100))
    two = [gpu(0), gpu(1)]
    plan = decide(world(first, both, longer, devices=two))
    assert codes(plan, 3) == [ReasonCode.BACKFILL]
    assert started(decide(world(first, both, longer, shorter, devices=two))) == [4]


# --- the look ahead ---------------------------------------------------------------------------------


def test_estimates_follow_the_planned_ends_in_order() -> None:
    holder = running(1, cpus(8, limit_s=160))
    jobs = [queued(2, cpus(8, limit_s=50)), queued(3, cpus(8, limit_s=50)), queued(4, cpus(8))]
    estimates = decide_with_estimates(world(holder, *jobs)).estimates
    assert estimates == {2: NOW + 60, 3: NOW + 110, 4: NOW + 160}


def test_an_unknown_end_ends_what_can_be_told() -> None:
    holder = running(1, cpus(8, limit_s=160))
    estimates = decide_with_estimates(world(holder, queued(2, cpus(8)), queued(3, cpus(8)))).estimates
    assert estimates == {2: NOW + 60}
    assert decide_with_estimates(world(paused(1, cpus(8, 10)), queued(2, cpus(8)))).estimates == {}


def test_a_job_that_waits_for_settling_is_told_when() -> None:
    young = running(1, Needs(1, 6 * GIB), started_at=NOW - 2)
    read = sample(available_gib=9.0, live_gib={1: 6.0})
    plan = decide_with_estimates(world(young, queued(2, Needs(1, 8 * GIB)), read=read))
    assert plan.estimates == {JobId(2): NOW + 3}


def test_no_estimates_while_nothing_may_start() -> None:
    holder = running(1, cpus(8, limit_s=160))
    assert decide_with_estimates(world(holder, queued(2), unreadable=True)).estimates == {}


def test_a_backfilled_estimate_does_not_pass_the_planned_start() -> None:
    holder = running(1, cpus(6, limit_s=160))
    jobs = [queued(2, cpus(8, limit_s=100)), queued(3, cpus(2, limit_s=100))]
    estimates = decide_with_estimates(world(holder, *jobs)).estimates
    assert estimates == {2: NOW + 60, 3: NOW + 160}
