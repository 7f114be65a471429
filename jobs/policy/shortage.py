"""Why a job does not fit: what it needs, what is free, and who is in the way.

Pure. The answers come from the same Room as the decision, so they cannot disagree with it. Only what is
really short is named: our own jobs where their end would help, foreign use where its end would, settling
where only what the next readings will correct is in the way.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from jobs.core.jobs import JobId, Needs, Reason, ReasonCode, Unit
from jobs.policy.allocations import Allocation
from jobs.policy.backfill import emptied
from jobs.policy.devices import FreeDevice, eligible
from jobs.policy.free_resources import FreeResources
from jobs.policy.limits import CPU_GRAIN

_NAMED = 8  # jobs in the way that a reason names


@dataclass(slots=True)
class Shortages:
    """Explains against one Room; what does not depend on the job is worked out once."""

    room: FreeResources
    now: float
    _empty: FreeResources = field(init=False)
    _ends: list[Allocation] = field(init=False)
    _end_times: list[float] = field(init=False)
    _cpus_back: list[float] = field(init=False)
    _mem_back: list[int] = field(init=False)
    _cpu_holders: tuple[JobId, ...] = field(init=False)
    _mem_holders: tuple[JobId, ...] = field(init=False)
    _of_devices: dict[tuple[int, int | None], list[Reason]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        holdings = list(self.room.allocations.values())
        self._empty = emptied(self.room)
        self._ends = self.room.ends()
        self._end_times = [holding.ends_at or 0.0 for holding in self._ends]
        self._cpus_back = list(accumulate(holding.needs.cpus for holding in self._ends))
        self._mem_back = list(accumulate(holding.mem_bytes for holding in self._ends))
        self._cpu_holders = _largest(holdings, lambda holding: holding.needs.cpus)
        self._mem_holders = _largest(holdings, lambda holding: holding.mem_bytes)

    def of(self, needs: Needs) -> tuple[Reason, ...]:
        """Every resource that is short for the needs; empty when they fit."""
        devices = needs.gpus, needs.gpu_mem_bytes
        if devices not in self._of_devices:
            self._of_devices[devices] = self._gpus(needs)
        return (*self._cpus(needs), *self._memory(needs), *self._of_devices[devices])

    # --- CPU -----------------------------------------------------------------------------------

    def _cpus(self, needs: Needs) -> list[Reason]:
        room, reasons = self.room, list[Reason]()
        if needs.cpus <= room.cpus + CPU_GRAIN:
            return reasons
        free = max(0.0, room.cpus)
        by_reservation = needs.cpus > room.cpus + room.foreign_cpus + CPU_GRAIN
        by_foreign = needs.cpus > self._empty.cpus + CPU_GRAIN
        if by_reservation or not by_foreign:
            until = None if by_foreign else self._back(self._cpus_back, needs.cpus - room.cpus - CPU_GRAIN)
            reasons.append(Reason(ReasonCode.CPUS, needs.cpus, free, Unit.CPUS, self._cpu_holders, until))
        if by_foreign or not by_reservation:
            reasons.append(Reason(ReasonCode.FOREIGN_CPU, needs.cpus, free, Unit.CPUS))
        return reasons

    # --- memory --------------------------------------------------------------------------------

    def _memory(self, needs: Needs) -> list[Reason]:
        room, reasons = self.room, list[Reason]()
        need = needs.mem_bytes
        if need <= room.mem_bytes:
            return reasons
        free = max(0, room.mem_bytes)
        by_reservation = need > room.mem_reserved_free_bytes
        settling = [h for h in room.allocations.values() if h.settles_at is not None and h.seen_bytes != 0]
        unseen = sum(holding.mem_bytes for holding in settling if holding.seen_bytes is None)
        if not by_reservation and need <= room.mem_live_free_bytes + room.coming_bytes + unseen:
            return [self._settling(settling, need, free)]
        by_foreign = need > self._empty.mem_live_free_bytes
        if by_reservation or not by_foreign:
            until = None if by_foreign else self._back(self._mem_back, need - room.mem_bytes)
            reasons.append(Reason(ReasonCode.MEMORY, need, free, Unit.BYTES, self._mem_holders, until))
        if by_foreign or not by_reservation:
            reasons.append(Reason(ReasonCode.FOREIGN_MEMORY, need, free, Unit.BYTES))
        return reasons

    def _settling(self, settling: Sequence[Allocation], need: int, free: int) -> Reason:
        until = max((holding.settles_at or 0.0 for holding in settling), default=0.0)
        return Reason(
            ReasonCode.SETTLING,
            need,
            free,
            Unit.BYTES,
            _largest(settling, lambda holding: holding.mem_bytes),
            until if until > self.now else None,
        )

    # --- GPUs ----------------------------------------------------------------------------------

    def _gpus(self, needs: Needs) -> list[Reason]:
        if self.room.place_devices(needs) is not None:
            return []
        return (
            self._whole(needs) if needs.gpu_mem_bytes is None else self._shared(needs, needs.gpu_mem_bytes)
        )

    def _whole(self, needs: Needs) -> list[Reason]:
        devices = eligible(self.room.devices, needs)
        free = sum(device.idle and device.whole_ok and not device.clearing for device in devices)
        held = [device for device in devices if not device.idle]
        reasons = []
        if any(device.whole_ok for device in held) or needs.gpus > sum(device.idle for device in devices):
            until = self._placed_at(needs)
            reasons.append(
                Reason(ReasonCode.GPUS, needs.gpus, free, Unit.DEVICES, _on(held), until, _labels(held))
            )
        for code, bad in (
            (ReasonCode.SETTLING, [d for d in devices if d.clearing and d.whole_ok]),
            (ReasonCode.FOREIGN_GPU, [d for d in devices if not d.whole_ok and not d.unread]),
            (ReasonCode.NO_SAMPLE, [d for d in devices if d.unread]),
        ):
            if bad:
                reasons.append(Reason(code, needs.gpus, free, Unit.DEVICES, detail=_labels(bad)))
        return reasons

    def _shared(self, needs: Needs, need: int) -> list[Reason]:
        devices = eligible(self.room.devices, needs)
        open_ = [device for device in devices if device.share_ok]
        if len(open_) < needs.gpus:
            dark = [device for device in devices if not device.share_ok]
            return [
                Reason(ReasonCode.NO_SAMPLE, needs.gpus, len(open_), Unit.DEVICES, detail=_labels(dark))
            ]
        unheld = [device for device in open_ if device.whole_by is None]
        if len(unheld) < needs.gpus:
            held = [device for device in open_ if device.whole_by is not None]
            return [
                Reason(
                    ReasonCode.GPUS,
                    needs.gpus,
                    len(unheld),
                    Unit.DEVICES,
                    _on(held),
                    self._placed_at(needs),
                    _labels(held),
                )
            ]
        best = sorted(unheld, key=lambda device: (-device.free_bytes, device.index))
        free = max(0, best[needs.gpus - 1].free_bytes)
        in_way = [device for device in best if device.free_bytes < need]
        if clearing := [device for device in in_way if device.clearing and device.empty_bytes >= need]:
            return [Reason(ReasonCode.SETTLING, need, free, Unit.BYTES, detail=_labels(clearing))]
        if needs.gpus > sum(device.empty_bytes >= need for device in open_):
            foreign = [device for device in in_way if device.foreign_bytes]
            return [
                Reason(ReasonCode.FOREIGN_GPU, need, free, Unit.BYTES, detail=_labels(foreign or in_way))
            ]
        if not _on(in_way):
            return [Reason(ReasonCode.FOREIGN_GPU, need, free, Unit.BYTES, detail=_labels(in_way))]
        return [
            Reason(
                ReasonCode.GPU_MEMORY,
                need,
                free,
                Unit.BYTES,
                _on(in_way),
                self._placed_at(needs),
                _labels(in_way),
            )
        ]

    # --- when ----------------------------------------------------------------------------------

    def _back(self, returned: Sequence[float], lacking: float) -> float | None:
        """When so much has come back by planned ends."""
        index = bisect_left(returned, lacking)
        return self._end_times[index] if index < len(self._end_times) else None

    def _placed_at(self, needs: Needs) -> float | None:
        """When planned ends leave devices for it."""
        later = self.room.settled()
        for holding in self._ends:
            later.release(holding)
            if later.place_devices(needs) is not None:
                return holding.ends_at
        return None


def _largest(holdings: Iterable[Allocation], size: Callable[[Allocation], float]) -> tuple[JobId, ...]:
    ranked = sorted((h for h in holdings if size(h) > 0), key=lambda h: (-size(h), h.job_id))
    return tuple(holding.job_id for holding in ranked[:_NAMED])


def _on(devices: Iterable[FreeDevice]) -> tuple[JobId, ...]:
    """Who is on these devices: on most of them first, then by memory, then by id."""
    weight: dict[JobId, tuple[int, int]] = {}
    for device in devices:
        shares = dict(device.shares)
        if device.whole_by is not None:
            shares[device.whole_by] = device.empty_bytes
        for job_id, bytes_ in shares.items():
            count, total = weight.get(job_id, (0, 0))
            weight[job_id] = (count + 1, total + bytes_)
    ranked = sorted(weight, key=lambda job_id: (-weight[job_id][0], -weight[job_id][1], job_id))
    return tuple(ranked[:_NAMED])


def _labels(devices: Iterable[FreeDevice]) -> str:
    return ", ".join(device.label for device in sorted(devices, key=lambda device: device.index))
