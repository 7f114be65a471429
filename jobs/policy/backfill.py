"""The start pass: who starts now, in order, without delaying the first who cannot.

EASY backfill (Lifka 1995) with some reservations: each of the first jobs that do not fit gets one at the
earliest time at which it will; a later job may start only if it ends before that, or fits beside it. Where
that time is unknown, a later job may take nothing of what the first is short of, and must leave the rest of
its needs untouched. Pure; the caller has put the jobs in order and left out those that may not start for
other reasons.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from jobs.core.jobs import Grant, Job, JobId, Needs
from jobs.policy.allocations import Allocation, planned_run_s
from jobs.policy.free_resources import FreeResources
from jobs.policy.limits import CPU_GRAIN

NeedsKey = tuple[float, int, int, int | None]


def needs_key(needs: Needs) -> NeedsKey:
    """Jobs of equal keys fit or do not fit alike."""
    return needs.cpus, needs.mem_bytes, needs.gpus, needs.gpu_mem_bytes


@dataclass(slots=True)
class Reservation:
    """The place kept for the first job that does not fit.

    `starts_at` is its planned start, `room` what is free then without it; None when that cannot be told.
    """

    job: Job
    starts_at: float | None
    room: FreeResources | None
    short: frozenset[str]

    def allows(self, needs: Needs, grant: Grant, ends_at: float | None, now: FreeResources) -> bool:
        """Whether a job that fits now may go first."""
        if self.starts_at is None or self.room is None:
            return self._spares(needs, grant, now)
        if ends_at is not None and ends_at <= self.starts_at:
            return True
        return _still_fits(self.room, self.job.needs, needs, grant)

    def note(self, holding: Allocation) -> None:
        """A job went first; it may still be there at the planned start."""
        if self.starts_at is None or self.room is None:
            return
        if holding.ends_at is None or holding.ends_at > self.starts_at:
            self.room.take(holding)

    def _spares(self, needs: Needs, grant: Grant, now: FreeResources) -> bool:
        own = self.job.needs
        taken = {"cpus": needs.cpus > 0, "mem": needs.mem_bytes > 0, "gpus": needs.gpus > 0}
        if any(taken[what] for what in self.short):
            return False
        rest = Needs(
            cpus=0.0 if "cpus" in self.short else own.cpus,
            mem_bytes=0 if "mem" in self.short else own.mem_bytes,
            gpus=0 if "gpus" in self.short else own.gpus,
            gpu_mem_bytes=own.gpu_mem_bytes,
        )
        return _still_fits(now, rest, needs, grant)


@dataclass(slots=True)
class Pass:
    """What a start pass came to. `left` groups who did not start by what they need.

    Those of `left` that do fit would have delayed a job of `reservations`: `behind` has which.
    """

    starts: list[tuple[Job, Grant]] = field(default_factory=list)
    left: dict[NeedsKey, list[Job]] = field(default_factory=dict)
    reservations: list[Reservation] = field(default_factory=list)
    behind: dict[NeedsKey, Reservation] = field(default_factory=dict)


def start_pass(room: FreeResources, candidates: Iterable[Job], now: float, reserved: int = 1) -> Pass:
    """Start what can start, in order; `room` ends as what is left.

    A place is kept for each of the first `reserved` jobs that do not fit now.
    """
    result = Pass()
    unfit: set[NeedsKey] = set()
    refused: set[tuple[NeedsKey, float | None]] = set()
    empty: FreeResources | None = None
    left = result.left
    for job in candidates:
        needs = job.needs
        key = needs_key(needs)
        if key in unfit:
            left[key].append(job)
            continue
        run_s = _left_s(job)
        if (key, run_s) in refused:
            left[key].append(job)
            continue
        grant = room.place(needs)
        if grant is None:
            unfit.add(key)
            left.setdefault(key, []).append(job)
            if len(result.reservations) < reserved:
                empty = empty or emptied(room)
                if empty.place(needs) is not None:
                    result.reservations.append(reserve(job, room))
            continue
        ends_at = None if run_s is None else now + run_s
        delayed = next((r for r in result.reservations if not r.allows(needs, grant, ends_at, room)), None)
        if delayed is not None:
            refused.add((key, run_s))
            result.behind.setdefault(key, delayed)
            left.setdefault(key, []).append(job)
            continue
        holding = new_allocation(job.id, needs, grant, ends_at, now)
        room.take(holding)
        for kept in result.reservations:
            kept.note(holding)
        result.starts.append((job, grant))
    return result


def _left_s(job: Job) -> float | None:
    run_s = planned_run_s(job)
    return None if run_s is None else max(run_s - job.attained_s, 0.5 * job.attained_s)


def new_allocation(
    job_id: JobId, needs: Needs, grant: Grant, ends_at: float | None, now: float
) -> Allocation:
    """What a job holds from the moment it is decided to start."""
    return Allocation(job_id, needs, grant, needs.mem_bytes, ends_at, settles_at=now)


def emptied(room: FreeResources) -> FreeResources:
    """The room without any of our jobs: what the machine and everything foreign would leave."""
    empty = room.settled()
    for holding in list(empty.allocations.values()):
        empty.release(holding)
    return empty


def reserve(job: Job, room: FreeResources) -> Reservation:
    """Keep a place for the job at the earliest planned end that makes room for it."""
    needs = job.needs
    short = frozenset(
        what
        for what, lacking in (
            ("cpus", needs.cpus > room.cpus + CPU_GRAIN),
            ("mem", needs.mem_bytes > room.mem_bytes),
            ("gpus", room.place_devices(needs) is None),
        )
        if lacking
    )
    later = room.settled()
    if later.place(needs) is not None:
        return Reservation(job, None, None, short)  # only waits for others to settle
    for holding in later.ends():
        later.release(holding)
        if later.place(needs) is not None:
            return Reservation(job, holding.ends_at, later, short)
    return Reservation(job, None, None, short)


def _still_fits(room: FreeResources, reserved: Needs, other: Needs, grant: Grant) -> bool:
    """Whether `reserved` can be placed beside `other` on the devices of `grant`."""
    if reserved.cpus > room.cpus - other.cpus + CPU_GRAIN:
        return False
    if reserved.mem_bytes > room.mem_bytes - other.mem_bytes:
        return False
    if reserved.gpus <= 0 or not grant.device_uuids:
        return True
    beside = room.copy()
    beside.take(Allocation(JobId(-1), other, grant, other.mem_bytes, None))
    return beside.place_devices(reserved) is not None
