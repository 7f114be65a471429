"""GPUs: whole devices, shared devices, foreign programs and devices that cannot be read."""

from __future__ import annotations

from jobs.core.jobs import GIB, Job, JobId, Needs, ReasonCode, Unit
from jobs.core.machine import Device
from jobs.core.rules import SchedulerSettings
from jobs.core.world import Plan
from jobs.policy.decide import decide
from jobs.policy.limits import never_fits
from tests.policy.worlds import (
    NOW,
    codes,
    gpu,
    only,
    paused,
    queued,
    reading,
    running,
    sample,
    started,
    starting,
    world,
)


def whole(gpus: int = 1) -> Needs:
    return Needs(0.5, GIB // 4, gpus)


def share(gib: float, gpus: int = 1) -> Needs:
    return Needs(0.5, GIB // 4, gpus, int(gib * GIB))


def grants(plan: Plan) -> dict[JobId, tuple[str, ...]]:
    return {start.job_id: start.grant.device_uuids for start in plan.starts}


def devices(count: int) -> list[Device]:
    return [gpu(index) for index in range(count)]


def test_whole_devices_go_out_by_lowest_index_and_to_one_job_each() -> None:
    plan = decide(world(queued(1, whole()), queued(2, whole(2)), queued(3, whole()), devices=devices(3)))
    assert grants(plan) == {1: ("GPU-0",), 2: ("GPU-1", "GPU-2")}
    reason = only(plan, 3)
    assert (reason.code, reason.needed, reason.free, reason.unit) == (ReasonCode.GPUS, 1, 0, Unit.DEVICES)
    assert reason.jobs == (2, 1)
    assert "GPU 0 (Test)" in reason.detail


def test_a_job_without_gpus_gets_none() -> None:
    assert grants(decide(world(queued(1), devices=devices(1)))) == {1: ()}


def test_sharers_fill_the_fullest_device_and_leave_idle_ones_alone() -> None:
    jobs: list[Job] = [running(1, share(4), on=["GPU-1"]), running(2, share(8), on=["GPU-2"])]
    read = sample(devices=[reading(i) for i in range(3)], live_gib={1: 0.2, 2: 0.2})
    plan = decide(world(*jobs, queued(3, share(6)), queued(4, share(6)), devices=devices(3), read=read))
    assert grants(plan) == {3: ("GPU-2",), 4: ("GPU-1",)}


def test_an_idle_device_is_not_opened_for_being_fuller_with_foreign_memory() -> None:
    read = sample(
        devices=[reading(0, 9.0, foreign_gib=9.0, foreign_processes=1), reading(1)], live_gib={1: 0.2}
    )
    holder = running(1, share(4), on=["GPU-1"])
    plan = decide(world(holder, queued(2, share(4)), devices=devices(2), read=read))
    assert grants(plan) == {2: ("GPU-1",)}


def test_a_share_for_several_devices_gets_distinct_ones() -> None:
    plan = decide(world(queued(1, share(4, gpus=2)), devices=devices(2)))
    assert grants(plan) == {1: ("GPU-0", "GPU-1")}


def test_sharers_never_land_on_a_device_held_whole_nor_the_other_way_round() -> None:
    held = running(1, whole(), on=["GPU-0"])
    plan = decide(world(held, queued(2, share(1)), devices=devices(1)))
    assert (only(plan, 2).code, only(plan, 2).jobs) == (ReasonCode.GPUS, (1,))
    shared = running(1, share(1), on=["GPU-0"])
    plan = decide(world(shared, queued(2, whole()), devices=devices(1)))
    assert (only(plan, 2).code, only(plan, 2).jobs) == (ReasonCode.GPUS, (1,))


def test_a_paused_job_keeps_its_device() -> None:
    plan = decide(world(paused(1, whole(), on=["GPU-0"]), queued(2, whole()), devices=devices(1)))
    assert codes(plan, 2) == [ReasonCode.GPUS]


def test_shared_memory_is_counted_less_headroom() -> None:
    holder = running(1, share(10), on=["GPU-0"])
    plan = decide(world(holder, queued(2, share(6)), devices=devices(1)))
    reason = only(plan, 2)
    headroom = int(16 * GIB * SchedulerSettings().gpu_mem_headroom_fraction)
    assert (reason.code, reason.needed, reason.free) == (
        ReasonCode.GPU_MEMORY,
        6 * GIB,
        6 * GIB - headroom,
    )
    assert reason.jobs == (1,)


def test_shared_memory_that_is_reserved_and_not_yet_used_is_withheld() -> None:
    holder = starting(1, share(8), on=["GPU-0"])
    read = sample(devices=[reading(0, used_gib=4.0, foreign_gib=4.0, foreign_processes=1)])
    assert codes(decide(world(holder, queued(2, share(4)), devices=devices(1), read=read)), 2) == [
        ReasonCode.GPU_MEMORY
    ]
    assert started(decide(world(holder, queued(3, share(3)), devices=devices(1), read=read))) == [3]


def test_a_sharer_that_uses_more_than_it_said_counts_at_what_it_uses() -> None:
    read = sample(
        devices=[reading(0, used_gib=12.0)], live_gib={1: 0.2}, gpu_live_gib={1: 12.0}, available_gib=15
    )
    holder = running(1, share(4), on=["GPU-0"])
    assert codes(decide(world(holder, queued(2, share(4)), devices=devices(1), read=read)), 2) == [
        ReasonCode.GPU_MEMORY
    ]
    assert started(decide(world(holder, queued(3, share(3)), devices=devices(1), read=read))) == [3]


def test_foreign_programs_keep_a_whole_device_and_a_display_server_does_not() -> None:
    busy = sample(devices=[reading(0, 4.0, foreign_gib=4.0, foreign_processes=1)])
    reason = only(decide(world(queued(1, whole()), devices=devices(1), read=busy)), 1)
    assert (reason.code, reason.needed, reason.free) == (ReasonCode.FOREIGN_GPU, 1, 0)
    assert reason.detail == "GPU 0 (Test)"
    display = sample(devices=[reading(0, 0.5, foreign_gib=0.5, foreign_processes=2)])
    assert decide(world(queued(1, whole()), devices=devices(1), read=display)).starts


def test_foreign_memory_leaves_the_rest_of_a_device_to_sharers() -> None:
    busy = sample(devices=[reading(0, 10.0, foreign_gib=10.0, foreign_processes=1)])
    plan = decide(world(queued(1, share(5)), queued(2, share(6)), devices=devices(1), read=busy))
    assert started(plan) == [1]
    alone = decide(world(queued(2, share(6)), devices=devices(1), read=busy))
    reason = only(alone, 2)
    assert (reason.code, reason.needed, reason.unit) == (ReasonCode.FOREIGN_GPU, 6 * GIB, Unit.BYTES)


def test_memory_that_nobody_seems_to_own_keeps_a_device_from_being_given_whole() -> None:
    """Programs in other containers can hold memory without being seen."""
    dark = sample(devices=[reading(0, used_gib=8.0)])
    assert codes(decide(world(queued(1, whole()), devices=devices(1), read=dark)), 1) == [
        ReasonCode.FOREIGN_GPU
    ]


def test_a_device_is_given_on_once_the_memory_of_the_last_job_is_gone() -> None:
    late = sample(devices=[reading(0, used_gib=15.0), reading(1)], live_gib={9: 1.0})
    for needs in (whole(2), share(8, gpus=2)):
        plan = decide(
            world(queued(1, needs), queued(2, share(1)), queued(3), devices=devices(2), read=late)
        )
        assert started(plan) == [3]
        assert codes(plan, 1) == [ReasonCode.SETTLING]
        assert codes(plan, 2) == [ReasonCode.BACKFILL]
    calm = sample(devices=[reading(0), reading(1)])
    assert started(decide(world(queued(1, whole(2)), devices=devices(2), read=calm))) == [1]


def test_processes_without_memory_readings_count_as_foreign() -> None:
    read = sample(devices=[reading(0, None, foreign_gib=None, foreign_processes=1)])
    assert codes(decide(world(queued(1, whole()), devices=devices(1), read=read)), 1) == [
        ReasonCode.FOREIGN_GPU
    ]


def test_a_device_that_cannot_be_read_takes_nobody() -> None:
    for needs in (whole(), share(1)):
        reason = only(decide(world(queued(1, needs), devices=devices(1), read=sample())), 1)
        assert (reason.code, reason.detail) == (ReasonCode.NO_SAMPLE, "GPU 0 (Test)")


def test_a_device_whose_memory_cannot_be_read_is_given_whole_only() -> None:
    read = sample(devices=[reading(0, None, foreign_gib=None)])
    now = world(queued(1, share(1)), queued(2, whole()), devices=devices(1), read=read)
    plan = decide(now)
    assert started(plan) == [2]
    assert codes(plan, 1) == [ReasonCode.NO_SAMPLE]


def test_a_held_and_a_foreign_device_are_both_named() -> None:
    read = sample(
        devices=[reading(0), reading(1, 9.0, foreign_gib=9.0, foreign_processes=1)], live_gib={1: 0.1}
    )
    holder = running(1, Needs(0.5, GIB // 4, 1, time_limit_s=160), on=["GPU-0"])
    plan = decide(world(holder, queued(2, whole()), devices=devices(2), read=read))
    assert codes(plan, 2) == [ReasonCode.GPUS, ReasonCode.FOREIGN_GPU]
    assert plan.held[JobId(2)][0].until_at == NOW + 60


def test_what_no_device_can_hold_never_fits() -> None:
    capacity = world(devices=devices(2)).capacity
    (reason,) = never_fits(capacity, SchedulerSettings(), share(16))
    assert (reason.code, reason.unit, reason.detail) == (ReasonCode.TOO_BIG, Unit.BYTES, "GPU memory")
    assert reason.free == 16 * GIB - int(16 * GIB * 0.04)
    (reason,) = never_fits(capacity, SchedulerSettings(), whole(3))
    assert (reason.needed, reason.free, reason.unit) == (3, 2, Unit.DEVICES)
