"""When GPU memory counts as held for nothing: long, and not for a burst of work in between."""

from __future__ import annotations

from jobs.core.jobs import GIB
from jobs.core.machine import DeviceSample, GpuHold
from jobs.machine.idle_gpus import BUSY_FOR_S, TOLD_AFTER_S, IdleGpus, observed, remembered, with_idle_times
from jobs.machine.process_groups import gpu_uses

HOLDS = (GpuHold(7, 70, 38 * GIB), GpuHold(8, 80, GIB // 2))


def device(share: float | None, holds: tuple[GpuHold, ...] | None = HOLDS) -> DeviceSample:
    return DeviceSample("GPU-0", utilisation=share, holds=holds)


def after(idling: IdleGpus, shares: list[tuple[float, float | None]], *, begin: float = 0.0) -> IdleGpus:
    """The memory after so many seconds of each share, a reading every five."""
    now = begin
    for seconds, share in shares:
        for _ in range(int(seconds / 5)):
            idling = observed(idling, [device(share)], now)
            now += 5
    return idling


def since(idling: IdleGpus, now: float, holds: tuple[GpuHold, ...] = HOLDS) -> list[float | None]:
    return [hold.idle_since_at for hold in with_idle_times(idling, device(0.0, holds), now).holds or ()]


def test_it_is_told_once_it_has_lasted_and_only_of_what_is_large() -> None:
    idling = after(IdleGpus(), [(TOLD_AFTER_S, 0.0)])
    assert since(idling, TOLD_AFTER_S - 1) == [None, None]
    assert since(idling, TOLD_AFTER_S) == [0.0, None]


def test_a_burst_does_not_end_it_and_work_does() -> None:
    quiet = after(IdleGpus(), [(600, 0.0), (5, 0.9), (5, 0.07), (300, 0.0)])
    assert since(quiet, 910.0)[0] == 0.0
    worked = after(IdleGpus(), [(600, 0.0), (BUSY_FOR_S + 5, 0.9), (300, 0.0)])
    assert since(worked, 915.0) == [None, None]
    assert since(after(worked, [(600, 0.0)], begin=915.0), 1515.0)[0] == 600 + BUSY_FOR_S + 5


def test_what_the_driver_does_not_say_is_never_idle() -> None:
    assert since(after(IdleGpus(), [(1200, None)]), 1200.0) == [None, None]


def test_another_process_with_that_pid_begins_anew_and_a_gap_is_not_idle_time() -> None:
    idling = after(IdleGpus(), [(700, 0.0)])
    other = (GpuHold(7, 71, 38 * GIB),)
    idling = observed(idling, [device(0.0, other)], 700.0)
    assert since(idling, 700.0, other) == [None]
    assert since(observed(idling, [device(0.0)], 9000.0), 9000.0) == [None, None]


def test_a_clock_that_is_set_back_neither_fails_nor_ages() -> None:
    idling = observed(after(IdleGpus(), [(700, 0.0)], begin=1000.0), [device(0.0)], 1680.0)
    assert since(idling, 1680.0)[0] == 1000.0
    assert since(observed(idling, [device(0.0)], 3.0), 3.0) == [None, None]


def test_another_sensor_goes_on_where_the_last_one_stopped() -> None:
    last = with_idle_times(after(IdleGpus(), [(700, 0.0)]), device(0.0), 700.0)
    idling = observed(remembered([last], 700.0), [device(0.0)], 720.0)
    assert since(idling, 720.0) == [0.0, None]


def test_one_process_on_two_gpus_is_idle_on_one_of_them() -> None:
    (use,) = gpu_uses(
        [
            DeviceSample("GPU-0", holds=(GpuHold(7, 70, 38 * GIB, idle_since_at=5.0),)),
            DeviceSample("GPU-1", holds=(GpuHold(7, 70, 2 * GIB),)),
        ]
    ).values()
    assert (use.mem_bytes, use.idle_bytes, use.idle_since_at, use.started) == (40 * GIB, 38 * GIB, 5.0, 70)
