"""CPU and memory: reservations, live load and headroom, and the numbers of each reason."""

from __future__ import annotations

from dataclasses import replace

from jobs.core.jobs import GIB, Needs, ReasonCode, Running, Unit
from jobs.core.rules import SchedulerSettings
from jobs.policy.decide import decide
from jobs.policy.limits import never_fits
from tests.policy.worlds import NOW, codes, only, paused, queued, running, sample, started, starting, world


def mem(gib: float, cpus: float = 1.0) -> Needs:
    return Needs(cpus=cpus, mem_bytes=int(gib * GIB))


def test_priority_goes_first_then_the_older() -> None:
    plan = decide(world(queued(1), queued(3, priority=60), queued(2), queued(4, priority=60), cpus=3))
    assert started(plan) == [3, 4, 1]
    assert codes(plan, 2) == [ReasonCode.CPUS]


def test_ten_that_fit_fill_the_machine_and_the_eleventh_waits() -> None:
    plan = decide(world(*(queued(i) for i in range(1, 12)), cpus=10))
    assert started(plan) == list(range(1, 11))
    reason = only(plan, 11)
    assert (reason.code, reason.needed, reason.free, reason.unit) == (ReasonCode.CPUS, 1.0, 0.0, Unit.CPUS)
    assert reason.jobs == tuple(range(1, 9))


def test_two_that_do_not_fit_together_never_start_together() -> None:
    plan = decide(world(queued(1, mem(8)), queued(2, mem(8))))
    assert started(plan) == [1]
    reason = only(plan, 2)
    assert (reason.code, reason.needed, reason.free) == (ReasonCode.MEMORY, 8 * GIB, 6 * GIB)
    assert reason.jobs == (1,)


def test_a_job_as_big_as_the_machine_starts_while_foreign_load_is_tolerable() -> None:
    plan = decide(world(queued(1, mem(1, cpus=8)), read=sample(cpu_foreign=2.0)))
    assert started(plan) == [1]


def test_foreign_cpu_beyond_the_tolerance_counts_as_taken() -> None:
    plan = decide(world(queued(1, mem(1, cpus=8)), read=sample(cpu_foreign=5.0)))
    reason = only(plan, 1)
    assert (reason.code, reason.needed, reason.free, reason.unit) == (
        ReasonCode.FOREIGN_CPU,
        8.0,
        5.0,
        Unit.CPUS,
    )


def test_reserved_and_foreign_cpus_are_both_named_where_the_end_of_either_would_help() -> None:
    now = world(running(1, mem(1, cpus=4)), queued(2, mem(1, cpus=3)), read=sample(cpu_foreign=4.5))
    assert codes(decide(now), 2) == [ReasonCode.CPUS, ReasonCode.FOREIGN_CPU]


def test_a_paused_job_keeps_its_whole_reservation() -> None:
    plan = decide(
        world(paused(1, mem(10, cpus=6)), queued(2, mem(6, cpus=4)), read=sample(live_gib={1: 1.0}))
    )
    assert codes(plan, 2) == [ReasonCode.CPUS, ReasonCode.MEMORY]
    assert plan.held[queued(2).id][0].until_at is None


def test_headroom_is_the_larger_of_share_and_size() -> None:
    roomy = SchedulerSettings(mem_headroom_bytes=GIB, mem_headroom_fraction=0.25)
    idle = sample(available_gib=16.0)
    assert decide(world(queued(1, mem(12)), rules=roomy, read=idle)).starts
    reason = only(decide(world(queued(1, mem(12.5)), rules=roomy)), 1)
    assert (reason.code, reason.free) == (ReasonCode.TOO_BIG, 12 * GIB)


def test_a_job_that_uses_more_than_it_reserved_counts_at_what_it_uses() -> None:
    read = sample(available_gib=9.0, live_gib={1: 6.0})
    reason = only(decide(world(running(1, mem(2)), queued(2, mem(9.5)), read=read)), 2)
    assert (reason.code, reason.free) == (ReasonCode.MEMORY, 8 * GIB)


def test_memory_that_a_job_reserved_and_has_not_used_is_withheld_from_what_is_available() -> None:
    read = sample(available_gib=14.0, live_gib={1: 1.0})
    plan = decide(world(running(1, mem(8)), queued(2, mem(6.5)), read=read))
    assert codes(plan, 2) == [ReasonCode.MEMORY, ReasonCode.FOREIGN_MEMORY]
    assert plan.held[queued(2).id][0].free == 6 * GIB
    assert started(decide(world(running(1, mem(8)), queued(2, mem(6)), read=read))) == [2]


def test_foreign_memory_keeps_a_job_waiting_and_lets_it_go_when_it_leaves() -> None:
    job = queued(1, mem(4))
    reason = only(decide(world(job, read=sample(available_gib=3.0))), 1)
    assert (reason.code, reason.needed, reason.free, reason.unit) == (
        ReasonCode.FOREIGN_MEMORY,
        4 * GIB,
        2 * GIB,
        Unit.BYTES,
    )
    assert started(decide(world(job, read=sample(available_gib=15.0)))) == [1]


def test_a_fresh_job_settles_before_its_use_is_believed() -> None:
    young = running(1, mem(6), started_at=NOW - 2)
    read = sample(available_gib=9.0, live_gib={1: 6.0})
    reason = only(decide(world(young, queued(2, mem(8)), read=read)), 2)
    assert (reason.code, reason.needed, reason.free) == (ReasonCode.SETTLING, 8 * GIB, 2 * GIB)
    assert (reason.jobs, reason.until_at) == ((1,), NOW + 3)
    settled = running(1, mem(6), started_at=NOW - 6)
    assert started(decide(world(settled, queued(2, mem(8)), read=read))) == [2]


def test_settling_is_not_blamed_for_what_other_programs_took() -> None:
    after_the_reading = starting(1, mem(4))
    plan = decide(world(after_the_reading, queued(2, mem(8)), read=sample(at=NOW - 1, available_gib=12.0)))
    assert codes(plan, 2) == [ReasonCode.MEMORY, ReasonCode.FOREIGN_MEMORY]


def test_a_burst_decided_after_one_reading_is_counted_by_its_reservations() -> None:
    read = sample(at=NOW - 1, available_gib=8.0)
    burst = [starting(i, mem(2)) for i in range(1, 4)]
    plan = decide(world(*burst, queued(4, mem(1)), queued(5, mem(1)), read=read))
    assert started(plan) == [4]
    assert codes(plan, 5) == [ReasonCode.MEMORY, ReasonCode.FOREIGN_MEMORY]


def test_nothing_starts_without_a_recent_reading_of_the_memory() -> None:
    for now in (
        world(queued(1), unreadable=True),
        world(queued(1), read=sample(at=NOW - 16)),
        world(queued(1), read=sample(available_gib=None)),
        world(queued(1), read=sample(at=NOW + 60)),
    ):
        assert codes(decide(now), 1) == [ReasonCode.NO_SAMPLE]
    assert decide(world(queued(1), read=sample(at=NOW - 15))).starts


def test_a_missing_foreign_cpu_reading_does_not_stop_the_queue() -> None:
    assert decide(world(queued(1), read=sample(cpu_foreign=None))).starts


def test_what_never_fits_is_named_with_the_most_that_would() -> None:
    capacity = world(cpus=4, gib=8).capacity
    reasons = never_fits(capacity, SchedulerSettings(), Needs(cpus=5, mem_bytes=8 * GIB, gpus=1))
    assert [(r.code, r.needed, r.free, r.unit) for r in reasons] == [
        (ReasonCode.TOO_BIG, 5, 4.0, Unit.CPUS),
        (ReasonCode.TOO_BIG, 8 * GIB, 7 * GIB, Unit.BYTES),
        (ReasonCode.TOO_BIG, 1, 0, Unit.DEVICES),
    ]
    assert never_fits(capacity, SchedulerSettings(), Needs(cpus=4, mem_bytes=7 * GIB)) == ()


def test_a_job_that_never_fits_holds_nobody_up_and_is_told_so_without_a_reading() -> None:
    plan = decide(world(queued(1, mem(1, cpus=9)), queued(2)))
    assert started(plan) == [2]
    assert codes(plan, 1) == [ReasonCode.TOO_BIG]
    assert codes(decide(world(queued(1, mem(1, cpus=9)), unreadable=True)), 1) == [ReasonCode.TOO_BIG]


def test_fractions_of_cores_add_up() -> None:
    assert len(decide(world(*(queued(i, mem(0.1, cpus=0.1)) for i in range(1, 11)), cpus=1)).starts) == 10


def test_the_holders_of_a_resource_are_named_largest_first_with_the_time_enough_is_back() -> None:
    small = running(1, Needs(cpus=2, time_limit_s=160))
    big = running(2, Needs(cpus=6, time_limit_s=300))
    plan = decide(world(small, big, queued(3, Needs(cpus=3))))
    reason = only(plan, 3)
    assert (reason.jobs, reason.until_at) == ((2, 1), NOW + 200)


def test_a_job_asked_to_stop_is_planned_to_end_after_its_grace() -> None:
    job = running(1, Needs(cpus=8))
    assert isinstance(job.state, Running)
    stopping = replace(job, state=replace(job.state, cancel_requested_at=NOW - 4))
    assert only(decide(world(stopping, queued(2))), 2).until_at == NOW + 6


def test_memory_of_a_job_that_has_just_ended_is_waited_for_and_nobody_takes_it_from_the_first() -> None:
    read = sample(available_gib=6.0, live_gib={1: 9.0})
    plan = decide(world(queued(2, mem(10)), queued(3, mem(1)), read=read))
    assert plan.starts == ()
    assert codes(plan, 2) == [ReasonCode.SETTLING]
    assert codes(plan, 3) == [ReasonCode.BACKFILL]
