"""What the machine as a whole can give to one job: its size without what is never planned with.

Pure; knows nothing of what runs or waits.
"""

from __future__ import annotations

from jobs.core.jobs import Needs, Reason, ReasonCode, Unit
from jobs.core.machine import Capacity, Device
from jobs.core.rules import SchedulerSettings

CPU_GRAIN = 1e-6  # sums of fractions of cores are equal within this


def mem_headroom_bytes(capacity: Capacity, rules: SchedulerSettings) -> int:
    """Memory kept free for the person at the keyboard."""
    return max(rules.mem_headroom_bytes, int(capacity.mem_bytes * rules.mem_headroom_fraction))


def gpu_headroom_bytes(device: Device, rules: SchedulerSettings) -> int:
    """Memory of a shared device that is never planned with."""
    return int(device.mem_bytes * rules.gpu_mem_headroom_fraction)


def most_mem_bytes(capacity: Capacity, rules: SchedulerSettings) -> int:
    """The most memory that any job can be given."""
    return max(0, capacity.mem_bytes - mem_headroom_bytes(capacity, rules))


def most_gpu_mem_bytes(capacity: Capacity, rules: SchedulerSettings, gpus: int) -> int:
    """The most memory of each device that a job of so many can be given; 0 where there are not so many.

    Of MIG instances, a job can use one.
    """
    devices = [device for device in capacity.devices if gpus <= 1 or device.instance is None]
    sizes = sorted((d.mem_bytes - gpu_headroom_bytes(d, rules) for d in devices), reverse=True)
    return sizes[gpus - 1] if 0 < gpus <= len(sizes) else 0


def never_fits(capacity: Capacity, rules: SchedulerSettings, needs: Needs) -> tuple[Reason, ...]:
    """Why the machine could not run it even if nothing else ran; empty when it could.

    `free` is the most that a job may ask for. `detail` tells GPU memory from memory.
    """
    reasons = []
    if needs.cpus > capacity.cpus + CPU_GRAIN:
        reasons.append(Reason(ReasonCode.TOO_BIG, needs.cpus, capacity.cpus, Unit.CPUS))
    mem_bytes = most_mem_bytes(capacity, rules)
    if needs.mem_bytes > mem_bytes:
        reasons.append(Reason(ReasonCode.TOO_BIG, needs.mem_bytes, mem_bytes, Unit.BYTES))
    devices = [device for device in capacity.devices if needs.gpus <= 1 or device.instance is None]
    if needs.gpus > len(devices):
        most = len(devices) or min(1, len(capacity.devices))  # of MIG instances, a job can use one
        reasons.append(Reason(ReasonCode.TOO_BIG, needs.gpus, most, Unit.DEVICES))
    elif needs.gpus > 0 and needs.gpu_mem_bytes is not None:
        most_bytes = most_gpu_mem_bytes(capacity, rules, needs.gpus)
        if needs.gpu_mem_bytes > most_bytes:
            wanted = needs.gpu_mem_bytes
            reasons.append(Reason(ReasonCode.TOO_BIG, wanted, most_bytes, Unit.BYTES, detail="GPU memory"))
    return tuple(reasons)
