"""What there is to say to a waiting job beside what is short: its history, its turn, who makes room.

Pure; it decides nothing. The same rules that make the order and the evictions make the remarks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobs.core.jobs import Job, JobId, Reason, ReasonCode, Running, Unit
from jobs.core.world import Eviction, World
from jobs.policy.free_resources import guarded
from jobs.policy.order import Order, overdue, overdue_after_s
from jobs.policy.sizing import MEMORY_TRIES

_NAMED = 8
_NOTED = 1.05  # a share of use beyond this is told when it costs a place


@dataclass(frozen=True, slots=True)
class Notes:
    """Of one decision: `candidates` are those that could start, in order."""

    _trials: bool
    _late: frozenset[JobId]
    _late_after: Reason
    _by: Mapping[JobId, tuple[JobId, ...]]
    _fair: Mapping[JobId, Reason]
    _guard: tuple[Reason, ...]

    @staticmethod
    def of(world: World, order: Order, candidates: Sequence[Job], evictions: Sequence[Eviction]) -> Notes:
        saving = [job for job in world.jobs.values() if isinstance(job.state, Running) and job.can_save]
        return Notes(
            world.settings.evict and bool(saving),
            frozenset(job.id for job in overdue(world)),
            Reason(ReasonCode.OVERDUE, overdue_after_s(world), unit=Unit.SECONDS),
            _makers_of_room(saving, evictions),
            _held_back_by_use(order, candidates),
            _guard(world),
        )

    def for_job(self, job: Job, reasons: tuple[Reason, ...]) -> tuple[Reason, ...]:
        """The reasons with the remarks: first who makes room, then what is short, then the rest."""
        first, more = list[Reason](), list[Reason]()
        if by := self._by.get(job.id):
            first.append(Reason(ReasonCode.MAKING_ROOM, jobs=by))
        if job.id in self._late:
            first.append(self._late_after)
        if self._guard and any(reason.unit in (Unit.CPUS, Unit.BYTES) for reason in reasons):
            more += self._guard
        if job.memory_tries:
            tries = f"{job.memory_tries} of {MEMORY_TRIES}"
            for code, grown in (
                (ReasonCode.MORE_MEMORY, job.grown_mem_bytes),
                (ReasonCode.MORE_GPU_MEMORY, job.grown_gpu_mem_bytes),
            ):
                if grown:
                    more.append(Reason(code, grown, unit=Unit.BYTES, detail=tries))
        if job.evictions:
            more.append(Reason(ReasonCode.EVICTED, job.attained_s, unit=Unit.SECONDS))
        elif self._trials and not by and job.attempts == 0 and job.forecast and not job.forecast.runs:
            more.append(Reason(ReasonCode.TRIAL))
        if fair := self._fair.get(job.id):
            more.append(fair)
        return (*first, *reasons, *more) if first or more else reasons


def _makers_of_room(
    saving: Sequence[Job], evictions: Sequence[Eviction]
) -> Mapping[JobId, tuple[JobId, ...]]:
    """By waiting job: who saves and stops for it."""
    makers: dict[JobId, tuple[JobId, ...]] = {}
    pairs = [(each.job_id, each.for_jobs) for each in evictions]
    pairs += [(job.id, job.state.evict_for) for job in saving if isinstance(job.state, Running)]
    for maker, for_jobs in pairs:
        for job_id in for_jobs:
            makers[job_id] = (*makers.get(job_id, ()), maker)
    return makers


def _held_back_by_use(order: Order, candidates: Sequence[Job]) -> Mapping[JobId, Reason]:
    """Those that would stand further ahead if what their user has used of late did not count."""
    if len({job.spec.user for job in candidates}) < 2:
        return {}
    scores = [order.score(job) for job in candidates]
    values = sorted(score.value for score in scores)
    found = {}
    for place, (job, score) in enumerate(zip(candidates, scores, strict=True)):
        if score.usage <= _NOTED or order.fair_weight <= 0:
            continue
        if bisect_left(values, score.value / score.usage) < place:
            passing = [
                other
                for other, its in zip(candidates[:place], scores, strict=False)
                if other.spec.user != job.spec.user and its.value > score.value / score.usage
            ]
            if passing:
                times = (score.usage - 1.0) / order.fair_weight
                found[job.id] = Reason(
                    ReasonCode.FAIR, times, jobs=tuple(other.id for other in passing[:_NAMED])
                )
    return found


def _guard(world: World) -> tuple[Reason, ...]:
    if not guarded(world) or not (world.settings.guard_cpus or world.settings.guard_mem_bytes):
        return ()
    kept = []
    if world.settings.guard_cpus:
        kept.append(Reason(ReasonCode.GUARD, world.settings.guard_cpus, unit=Unit.CPUS))
    if world.settings.guard_mem_bytes:
        kept.append(Reason(ReasonCode.GUARD, world.settings.guard_mem_bytes, unit=Unit.BYTES))
    return tuple(kept)
