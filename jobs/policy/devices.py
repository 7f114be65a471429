"""The GPUs of one decision: what is free on each, by reservation and by what the driver reads.

Pure. Whatever cannot be read is not assumed: a device of which nothing is known takes nobody, one whose
memory cannot be read is not shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jobs.core.jobs import JobId, Needs
from jobs.core.machine import Device, DeviceSample, Sample
from jobs.core.rules import SchedulerSettings
from jobs.core.world import World
from jobs.policy.allocations import Allocation
from jobs.policy.limits import gpu_headroom_bytes

_WHOLE_FOREIGN = 0.05  # share of a device that a display server or driver may hold while it counts as idle
_WHOLE_LEFT_OVER = 0.10  # likewise for memory that belongs to nobody any more, or not yet to somebody


@dataclass(slots=True)
class FreeDevice:
    """One GPU. `free_bytes` may still be shared out; `empty_bytes` would be, were none of our jobs on it.

    `whole_ok`: nothing foreign is on it. `share_ok`: its memory can be read. `unread`: nothing can.
    `clearing`: it still holds the memory of a job of ours that has just ended. `part`: it is a MIG
    instance, and no process can use two of those.
    """

    uuid: str
    index: int
    label: str
    empty_bytes: int
    free_bytes: int
    foreign_bytes: int = 0
    whole_ok: bool = True
    share_ok: bool = True
    unread: bool = False
    clearing: bool = False
    part: bool = False
    whole_by: JobId | None = None
    shares: dict[JobId, int] = field(default_factory=dict)

    @property
    def idle(self) -> bool:
        return self.whole_by is None and not self.shares

    def copy(self) -> FreeDevice:
        return FreeDevice(
            self.uuid,
            self.index,
            self.label,
            self.empty_bytes,
            self.free_bytes,
            self.foreign_bytes,
            self.whole_ok,
            self.share_ok,
            self.unread,
            self.clearing,
            self.part,
            self.whole_by,
            dict(self.shares),
        )

    def take(self, job_id: JobId, gpu_mem_bytes: int | None) -> None:
        if gpu_mem_bytes is None:
            self.whole_by = job_id
        else:
            self.shares[job_id] = gpu_mem_bytes
            self.free_bytes -= gpu_mem_bytes

    def release(self, job_id: JobId) -> None:
        if self.whole_by == job_id:
            self.whole_by = None
        self.free_bytes += self.shares.pop(job_id, 0)
        self.free_bytes = self.empty_bytes if self.idle else min(self.free_bytes, self.empty_bytes)


def eligible(devices: Sequence[FreeDevice], needs: Needs) -> list[FreeDevice]:
    """The devices that such a job could use at all."""
    return [device for device in devices if needs.gpus <= 1 or not device.part]


def build_devices(world: World, sample: Sample, holdings: Sequence[Allocation]) -> list[FreeDevice]:
    """The devices of the machine by index, with what our jobs and everything else hold of them."""
    if not world.capacity.devices:
        return []
    readings = {reading.uuid: reading for reading in sample.devices}
    active = {holding.job_id for holding in holdings}
    just_ended = any(job_id not in active for job_id in sample.jobs)
    devices = []
    for device in sorted(world.capacity.devices, key=lambda device: device.place):
        ours = [holding for holding in holdings if device.uuid in holding.grant.device_uuids]
        reading = readings.get(device.uuid, DeviceSample(device.uuid))
        devices.append(
            _device(device, reading, ours, sample=sample, rules=world.settings, just_ended=just_ended)
        )
    return devices


def _device(
    device: Device,
    reading: DeviceSample,
    ours: Sequence[Allocation],
    *,
    sample: Sample,
    rules: SchedulerSettings,
    just_ended: bool,
) -> FreeDevice:
    total, used = device.mem_bytes, reading.mem_used_bytes
    live = [_gpu_live_bytes(holding, sample) for holding in ours]
    ours_live = sum(bytes_ or 0 for bytes_ in live)
    foreign = reading.foreign_mem_bytes
    if foreign is None:
        foreign = 0 if used is None or None in live else max(0, used - ours_live)
    left_over = 0 if ours or used is None else max(0, used - foreign)
    not_ours = left_over > _WHOLE_LEFT_OVER * total
    whole_ok = foreign <= _WHOLE_FOREIGN * total and (just_ended or not not_ours)
    if reading.foreign_mem_bytes is None and reading.foreign_processes:
        whole_ok = False
    unread = used is None and reading.foreign_mem_bytes is None and reading.foreign_processes is None
    shares = {
        h.job_id: h.needs.gpu_mem_bytes
        for h in ours
        if h.needs.gpu_mem_bytes is not None and h.needs.gpus > 0
    }
    headroom = gpu_headroom_bytes(device, rules)
    empty = total - headroom - foreign
    withheld = sum(
        max(0, (h.needs.gpu_mem_bytes or 0) - (0 if h.settles_at is not None else bytes_ or 0))
        for h, bytes_ in zip(ours, live, strict=True)
    )
    by_reservation = empty - sum(
        max(h.needs.gpu_mem_bytes or 0, bytes_ or 0) for h, bytes_ in zip(ours, live, strict=True)
    )
    by_load = total - (used or 0) - withheld - headroom
    return FreeDevice(
        uuid=device.uuid,
        index=device.index,
        label=f"GPU {device.key} ({device.name})",
        empty_bytes=empty,
        free_bytes=min(by_reservation, by_load),
        foreign_bytes=max(foreign, left_over),
        whole_ok=whole_ok and not unread,
        share_ok=used is not None,
        unread=unread,
        clearing=not_ours and just_ended,
        part=device.instance is not None,
        whole_by=next((h.job_id for h in ours if h.needs.gpu_mem_bytes is None), None),
        shares=shares,
    )


def _gpu_live_bytes(holding: Allocation, sample: Sample) -> int | None:
    usage = sample.jobs.get(holding.job_id)
    if usage is None or usage.gpu_mem_bytes is None:
        return None
    return usage.gpu_mem_bytes // max(1, len(holding.grant.device_uuids))
