"""How much of the machine is free, by reservation and by live load, and which devices a job would get.

A Room is the scratch paper of one decision: it is built from a world, changed while the decision is made
and thrown away. It never starts anything and never explains; see `shortage` for the reasons.

Memory is judged in two ways, and the smaller result counts: by reservation (capacity less what our jobs
reserve or use, whichever is more, and less what warm processes hold) and live (what the machine says is
available, less what our jobs have reserved and not yet used). The live use of a job that has only just
started counts as 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from jobs.core.jobs import Active, Grant, Job, JobId, Needs
from jobs.core.world import World
from jobs.policy.allocations import Allocation, allocation_of, warm_bytes, withheld_bytes
from jobs.policy.devices import FreeDevice, build_devices, eligible
from jobs.policy.limits import CPU_GRAIN, mem_headroom_bytes


@dataclass(slots=True)
class FreeResources:
    """What is free. All numbers may be negative when more is held than there is.

    `coming_bytes`: memory that the next readings will show as free although nothing more ends: what is
    counted twice for settling jobs, and what was held by jobs that have ended since the last reading.
    """

    cpus: float
    foreign_cpus: float  # beyond the tolerance
    mem_reserved_free_bytes: int
    mem_live_free_bytes: int
    coming_bytes: int
    devices: list[FreeDevice]
    allocations: dict[JobId, Allocation] = field(default_factory=dict)

    @property
    def mem_bytes(self) -> int:
        return min(self.mem_reserved_free_bytes, self.mem_live_free_bytes)

    def copy(self) -> FreeResources:
        return FreeResources(
            self.cpus,
            self.foreign_cpus,
            self.mem_reserved_free_bytes,
            self.mem_live_free_bytes,
            self.coming_bytes,
            [device.copy() for device in self.devices],
            dict(self.allocations),
        )

    def settled(self) -> FreeResources:
        """A copy as the next readings will show it: what planning ahead may count on."""
        room = self.copy()
        room.mem_live_free_bytes += room.coming_bytes
        room.coming_bytes = 0
        for device in room.devices:
            if device.clearing:
                device.clearing = False
                device.free_bytes = device.empty_bytes
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
        devices = eligible(self.devices, needs)
        if needs.gpu_mem_bytes is None:
            found = [d for d in devices if d.idle and d.whole_ok and not d.clearing]
        else:
            found = sorted(
                (
                    d
                    for d in devices
                    if d.share_ok and d.whole_by is None and d.free_bytes >= needs.gpu_mem_bytes
                ),
                key=lambda device: (not device.shares, device.free_bytes, device.index),
            )
        if len(found) < needs.gpus:
            return None
        chosen = sorted(found[: needs.gpus], key=lambda device: device.index)
        return Grant(tuple(device.uuid for device in chosen))

    def holds(self, holding: Allocation) -> bool:
        """Whether these very devices, and the rest of what it holds, are free."""
        if holding.needs.cpus > self.cpus + CPU_GRAIN or holding.mem_bytes > self.mem_bytes:
            return False
        need = holding.needs.gpu_mem_bytes
        return all(
            device.idle if need is None else device.whole_by is None and device.free_bytes >= need
            for device in self._granted(holding)
        )

    def take(self, holding: Allocation) -> None:
        """Give a job what it needs."""
        self.allocations[holding.job_id] = holding
        self.cpus -= holding.needs.cpus
        self.mem_reserved_free_bytes -= holding.mem_bytes
        self.mem_live_free_bytes -= holding.mem_bytes
        for device in self._granted(holding):
            device.take(holding.job_id, holding.needs.gpu_mem_bytes)

    def release(self, holding: Allocation) -> None:
        """Take back what a job holds."""
        del self.allocations[holding.job_id]
        self.cpus += holding.needs.cpus
        self.mem_reserved_free_bytes += holding.mem_bytes
        self.mem_live_free_bytes += holding.mem_bytes
        for device in self._granted(holding):
            device.release(holding.job_id)

    def ends(self) -> list[Allocation]:
        """Holdings with a known end, soonest first."""
        known = [holding for holding in self.allocations.values() if holding.ends_at is not None]
        return sorted(known, key=lambda holding: (holding.ends_at or 0.0, holding.job_id))

    def _granted(self, holding: Allocation) -> Iterable[FreeDevice]:
        if not holding.grant.device_uuids:
            return ()
        return [device for device in self.devices if device.uuid in holding.grant.device_uuids]


def readable(world: World) -> bool:
    """Whether the machine's reading is there, recent, and tells the memory: else nothing may start."""
    sample = world.sample
    if sample is None or sample.mem_available_bytes is None:
        return False
    return abs(world.now - sample.at) <= world.settings.max_sample_age_s


def guarded(world: World) -> bool:
    """Whether somebody has used a terminal of the machine so recently that room is kept for them."""
    idle_s = None if world.sample is None else world.sample.idle_s
    return idle_s is not None and idle_s < world.settings.guard_s


def free_resources(world: World) -> FreeResources:
    """The room left in a world by its active jobs and by everything else; `readable(world)` must hold."""
    sample, capacity, rules = world.sample, world.capacity, world.settings
    if sample is None or sample.mem_available_bytes is None:
        raise ValueError("a room cannot be told without a reading of the memory")
    holdings = [allocation_of(world, sample, job) for job in _active(world)]
    headroom, guard_cpus = mem_headroom_bytes(capacity, rules), 0.0
    if guarded(world):
        headroom, guard_cpus = headroom + rules.guard_mem_bytes, rules.guard_cpus
    active = {holding.job_id for holding in holdings}
    coming = sum(usage.mem_bytes or 0 for job_id, usage in sample.jobs.items() if job_id not in active)
    coming += sum(min(h.seen_bytes or 0, h.mem_bytes) for h in holdings if h.settles_at is not None)
    foreign_cpus = max(0.0, (sample.cpu_foreign or 0.0) - rules.foreign_cpu_tolerance * capacity.cpus)
    warm = sum(map(warm_bytes, world.warm))
    unseen = sum(warm_bytes(process) for process in world.warm if process.mem_bytes is None)
    return FreeResources(
        cpus=capacity.cpus - guard_cpus - foreign_cpus - sum(h.needs.cpus for h in holdings),
        foreign_cpus=foreign_cpus,
        mem_reserved_free_bytes=capacity.mem_bytes - headroom - warm - sum(h.mem_bytes for h in holdings),
        mem_live_free_bytes=sample.mem_available_bytes
        - headroom
        - unseen
        - sum(withheld_bytes(h) for h in holdings),
        coming_bytes=coming,
        devices=build_devices(world, sample, holdings),
        allocations={holding.job_id: holding for holding in holdings},
    )


def _active(world: World) -> list[Job]:
    active = [job for job in world.jobs.values() if isinstance(job.state, Active)]
    return sorted(active, key=lambda job: job.id)
