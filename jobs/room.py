"""How much of the machine is free, by reservation and by live load, and which devices a job would get.

A Room is the scratch paper of one decision: it is built from a world, changed while the decision is made
and thrown away. It never starts anything and never explains; see `shortage` for the reasons.

Memory is counted twice and the smaller result counts: by reservation (capacity less what our jobs reserve
or use, whichever is more) and live (what the machine says is available, less what our jobs have reserved
and not yet used). The live use of a job that has only just started is not believed: it counts as 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from jobs.model import (
    Capacity,
    Device,
    DeviceSample,
    Grant,
    Job,
    JobId,
    Needs,
    Paused,
    Running,
    Sample,
    Starting,
)
from jobs.world import Rules, World

CPU_GRAIN = 1e-6  # sums of fractions of cores are equal within this
_WHOLE_FOREIGN = 0.05  # share of a device that a display server or driver may hold while it counts as idle
_WHOLE_LEFT_OVER = 0.10  # likewise for memory that belongs to nobody any more, or not yet to somebody
_STRETCH = 1.5  # a job that outlives its expected time is planned at this multiple of its age


def mem_headroom_bytes(capacity: Capacity, rules: Rules) -> int:
    """Memory kept free for the person at the keyboard."""
    return max(rules.mem_headroom_bytes, int(capacity.mem_bytes * rules.mem_headroom_fraction))


def gpu_headroom_bytes(device: Device, rules: Rules) -> int:
    """Memory of a shared device that is never planned with."""
    return int(device.mem_bytes * rules.gpu_mem_headroom_fraction)


def planned_run_s(job: Job) -> float | None:
    """How long a run of it is planned to take: expected time if known, else its limit, else unknown."""
    expected, limit = job.spec.expected_s, job.spec.needs.time_limit_s
    if expected is None:
        return limit
    return expected if limit is None else min(expected, limit)


def planned_end_at(job: Job, now: float) -> float | None:
    """When an active job is planned to end, never before `now`; None when that cannot be told.

    Plans never stop a job: one that outlives its expected time is stretched
    (Tsafrir, Etsion, Feitelson, TPDS 2007).
    """
    state = job.state
    if isinstance(state, Paused):
        return None
    if isinstance(state, Running) and state.cancel_requested_at is not None:
        return max(now, state.cancel_requested_at + job.spec.grace_s)
    started_at = state.started_at if isinstance(state, Running) else now
    run_s = planned_run_s(job)
    if run_s is None:
        return None
    age_s = now - started_at
    if age_s >= run_s:
        run_s = _STRETCH * age_s
        if job.spec.needs.time_limit_s is not None:
            run_s = min(run_s, job.spec.needs.time_limit_s)
    return max(now, started_at + run_s)


@dataclass(frozen=True, slots=True)
class Holding:
    """What one of our jobs holds. `mem_bytes` is what it reserves or uses, whichever is more.

    `settles_at` is set while its live use is not believed yet; `seen_bytes` is what the machine's reading
    has of it all the same (None: unknown), so that much is counted twice for now.
    """

    job_id: JobId
    needs: Needs
    grant: Grant
    mem_bytes: int
    ends_at: float | None
    settles_at: float | None = None
    seen_bytes: int | None = 0


@dataclass(slots=True)
class DeviceRoom:
    """One GPU. `free_bytes` may still be shared out; `empty_bytes` would be, were none of our jobs on it.

    `whole_ok`: nothing foreign is on it. `share_ok`: its memory can be read. `unread`: nothing can.
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
    whole_by: JobId | None = None
    shares: dict[JobId, int] = field(default_factory=dict)

    @property
    def idle(self) -> bool:
        return self.whole_by is None and not self.shares

    def copy(self) -> DeviceRoom:
        return DeviceRoom(
            self.uuid,
            self.index,
            self.label,
            self.empty_bytes,
            self.free_bytes,
            self.foreign_bytes,
            self.whole_ok,
            self.share_ok,
            self.unread,
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


@dataclass(slots=True)
class Room:
    """What is free. All numbers may be negative when more is held than there is."""

    cpus: float
    foreign_cpus: float  # beyond the tolerance
    mem_reserved_free_bytes: int
    mem_live_free_bytes: int
    foreign_mem_bytes: int
    devices: list[DeviceRoom]
    holdings: dict[JobId, Holding] = field(default_factory=dict)

    @property
    def mem_bytes(self) -> int:
        return min(self.mem_reserved_free_bytes, self.mem_live_free_bytes)

    def copy(self) -> Room:
        return Room(
            self.cpus,
            self.foreign_cpus,
            self.mem_reserved_free_bytes,
            self.mem_live_free_bytes,
            self.foreign_mem_bytes,
            [device.copy() for device in self.devices],
            dict(self.holdings),
        )

    def settled(self) -> Room:
        """A copy in which nothing is counted twice any more: what planning ahead may count on."""
        room = self.copy()
        room.mem_live_free_bytes += sum(
            min(h.seen_bytes or 0, h.mem_bytes) for h in self.holdings.values() if h.settles_at is not None
        )
        return room

    def place(self, needs: Needs) -> Grant | None:
        """The devices a job would be given (none for a job without GPUs), or None when it does not fit."""
        if needs.cpus > self.cpus + CPU_GRAIN or needs.mem_bytes > self.mem_bytes:
            return None
        return self.place_devices(needs)

    def place_devices(self, needs: Needs) -> Grant | None:
        """Whole devices: lowest index first. Shares: the fullest device that still holds them."""
        if needs.gpus <= 0:
            return Grant()
        if needs.gpu_mem_bytes is None:
            found = [device for device in self.devices if device.idle and device.whole_ok]
        else:
            found = sorted(
                (
                    d
                    for d in self.devices
                    if d.share_ok and d.whole_by is None and d.free_bytes >= needs.gpu_mem_bytes
                ),
                key=lambda device: (not device.shares, device.free_bytes, device.index),
            )
        if len(found) < needs.gpus:
            return None
        chosen = sorted(found[: needs.gpus], key=lambda device: device.index)
        return Grant(tuple(device.uuid for device in chosen))

    def take(self, holding: Holding) -> None:
        """Give a job what it needs."""
        self.holdings[holding.job_id] = holding
        self.cpus -= holding.needs.cpus
        self.mem_reserved_free_bytes -= holding.mem_bytes
        self.mem_live_free_bytes -= holding.mem_bytes
        for device in self._granted(holding):
            device.take(holding.job_id, holding.needs.gpu_mem_bytes)

    def release(self, holding: Holding) -> None:
        """Take back what a job holds."""
        del self.holdings[holding.job_id]
        self.cpus += holding.needs.cpus
        self.mem_reserved_free_bytes += holding.mem_bytes
        self.mem_live_free_bytes += holding.mem_bytes
        for device in self._granted(holding):
            device.release(holding.job_id)

    def ends(self) -> list[Holding]:
        """Holdings with a known end, soonest first."""
        known = [holding for holding in self.holdings.values() if holding.ends_at is not None]
        return sorted(known, key=lambda holding: (holding.ends_at or 0.0, holding.job_id))

    def _granted(self, holding: Holding) -> Iterable[DeviceRoom]:
        if not holding.grant.device_uuids:
            return ()
        return [device for device in self.devices if device.uuid in holding.grant.device_uuids]


def readable(world: World) -> bool:
    """Whether the machine's reading is there, recent, and tells the memory: else nothing may start."""
    sample = world.sample
    if sample is None or sample.mem_available_bytes is None:
        return False
    return abs(world.now - sample.at) <= world.rules.max_sample_age_s


def build(world: World) -> Room:
    """The room left in a world by its active jobs and by everything else; `readable(world)` must hold."""
    sample, capacity, rules = world.sample, world.capacity, world.rules
    if sample is None or sample.mem_available_bytes is None:
        raise ValueError("a room cannot be told without a reading of the memory")
    holdings = [_holding(world, sample, job) for job in _active(world)]
    headroom = mem_headroom_bytes(capacity, rules)
    total = sample.mem_total_bytes or capacity.mem_bytes
    ours = sum(usage.mem_bytes or 0 for usage in sample.jobs.values())
    foreign_cpus = max(0.0, (sample.cpu_foreign or 0.0) - rules.foreign_cpu_tolerance * capacity.cpus)
    return Room(
        cpus=capacity.cpus - foreign_cpus - sum(h.needs.cpus for h in holdings),
        foreign_cpus=foreign_cpus,
        mem_reserved_free_bytes=capacity.mem_bytes - headroom - sum(h.mem_bytes for h in holdings),
        mem_live_free_bytes=sample.mem_available_bytes
        - headroom
        - sum(_withheld_bytes(h) for h in holdings),
        foreign_mem_bytes=max(0, total - sample.mem_available_bytes - ours),
        devices=_devices(world, sample, holdings),
        holdings={holding.job_id: holding for holding in holdings},
    )


def _active(world: World) -> list[Job]:
    active = [job for job in world.jobs.values() if isinstance(job.state, (Starting, Running, Paused))]
    return sorted(active, key=lambda job: job.id)


def _holding(world: World, sample: Sample, job: Job) -> Holding:
    state, needs = job.state, job.spec.needs
    assert isinstance(state, (Starting, Running, Paused))
    usage = sample.jobs.get(job.id)
    live = usage.mem_bytes if usage is not None else None
    started_at = state.since_at if isinstance(state, Starting) else state.started_at
    settles_at = started_at + world.rules.settle_s
    settling = live is None or settles_at > sample.at
    seen = live if live is not None or started_at <= sample.at else 0
    return Holding(
        job.id,
        needs,
        state.grant,
        max(needs.mem_bytes, live or 0),
        planned_end_at(job, world.now),
        settles_at if settling else None,
        seen,
    )


def _withheld_bytes(holding: Holding) -> int:
    """Reserved and not yet used, as far as that is believed."""
    if holding.settles_at is not None:
        return holding.needs.mem_bytes
    return max(0, holding.needs.mem_bytes - (holding.seen_bytes or 0))


def _devices(world: World, sample: Sample, holdings: Sequence[Holding]) -> list[DeviceRoom]:
    if not world.capacity.devices:
        return []
    readings = {reading.uuid: reading for reading in sample.devices}
    devices = []
    for device in sorted(world.capacity.devices, key=lambda device: device.index):
        ours = [holding for holding in holdings if device.uuid in holding.grant.device_uuids]
        reading = readings.get(device.uuid, DeviceSample(device.uuid))
        devices.append(_device(device, reading, ours, sample, world.rules))
    return devices


def _device(
    device: Device, reading: DeviceSample, ours: Sequence[Holding], sample: Sample, rules: Rules
) -> DeviceRoom:
    total, used = device.mem_bytes, reading.mem_used_bytes
    live = [_gpu_live_bytes(holding, sample) for holding in ours]
    ours_live = sum(bytes_ or 0 for bytes_ in live)
    foreign = reading.foreign_mem_bytes
    if foreign is None:
        foreign = 0 if used is None or None in live else max(0, used - ours_live)
    left_over = 0 if ours or used is None else max(0, used - foreign)
    whole_ok = foreign <= _WHOLE_FOREIGN * total and left_over <= _WHOLE_LEFT_OVER * total
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
    return DeviceRoom(
        uuid=device.uuid,
        index=device.index,
        label=f"GPU {device.index} ({device.name})",
        empty_bytes=empty,
        free_bytes=min(by_reservation, by_load),
        foreign_bytes=max(foreign, left_over),
        whole_ok=whole_ok and not unread,
        share_ok=used is not None,
        unread=unread,
        whole_by=next((h.job_id for h in ours if h.needs.gpu_mem_bytes is None), None),
        shares=shares,
    )


def _gpu_live_bytes(holding: Holding, sample: Sample) -> int | None:
    usage = sample.jobs.get(holding.job_id)
    if usage is None or usage.gpu_mem_bytes is None:
        return None
    return usage.gpu_mem_bytes // max(1, len(holding.grant.device_uuids))
