"""What starts now, and why the rest waits: one pure function of what is known.

Order (`order`: smallest expected box time first), dependencies, admission by reservations *and* live
load *and* headroom, backfill around the places that are kept, and who saves and stops for others
(`eviction`). No clock, no files, no randomness: equal worlds give equal plans. It changes no state;
`engine` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from jobs.core.jobs import Held, Job, JobId, Queued, Reason, ReasonCode, StateName, Unit
from jobs.core.world import Plan, Start, World
from jobs.policy.backfill import NeedsKey, Reservation, needs_key, start_pass
from jobs.policy.dependencies import missing
from jobs.policy.eviction import evictions, may_change_at
from jobs.policy.free_resources import free_resources, readable
from jobs.policy.limits import never_fits
from jobs.policy.memory_relief import DISK_PAUSE_S, disks_are_stalled, memory_relief
from jobs.policy.notes import Notes
from jobs.policy.order import Order, all_can_wait, overdue
from jobs.policy.pressure_gate import next_gate, pressure_reason, reopens_at
from jobs.policy.shortage import Shortages
from jobs.policy.start_estimates import starts_ahead
from jobs.policy.window import rank

__all__ = ["decide", "decide_with_estimates", "estimate", "next_gate", "waiting_order"]

_PLACES_KEPT = 4  # for the first who do not fit: one (EASY) lets small work go before large for too long


def decide(world: World) -> Plan:
    """Say which waiting jobs start now and why each other does not. Leaves `estimates` to `estimate`."""
    held: dict[JobId, tuple[Reason, ...]] = {}
    candidates = _candidates(world, held)
    closed = _closed(world)
    if closed or not candidates:
        held.update((job.id, closed) for job in candidates)
        return Plan(evictions=memory_relief(world), held=held, wake_at=_wake_at(world, (closed,)))
    room = free_resources(world)
    order = Order.of(world)
    result = start_pass(room, candidates, world.now, _places_kept(world))
    shortages = Shortages(room, world.now)
    left = [job for jobs in result.left.values() for job in jobs]
    makes_room = memory_relief(world) or evictions(world, room, left, order)
    remarks = Notes.of(world, order, candidates, makes_room)
    explained = []
    for key, jobs in result.left.items():
        reasons = shortages.of(jobs[0].needs) or _backfill_reason(result.behind.get(key))
        explained.append(reasons)
        for job in jobs:
            held[job.id] = remarks.for_job(job, reasons)
    starts = tuple(Start(job.id, grant) for job, grant in result.starts)
    if starts[1:] and (slow := disks_are_stalled(world)) is not None:
        starts, later = starts[:1], replace(slow, until_at=world.now + DISK_PAUSE_S)
        held.update((job.id, (later,)) for job, _ in result.starts[1:])
        explained.append((later,))
    return Plan(
        starts,
        makes_room,
        held,
        wake_at=_wake_at(world, explained, may_change_at(world) if explained else None),
    )


def estimate(world: World, plan: Plan) -> Mapping[JobId, float]:
    """When the plan's held jobs are expected to start, for those of which it can be told.

    Unix seconds, never before `world.now`. Costs more than `decide`: not for every decision.
    """
    return starts_ahead(world, plan, _candidates(world, {}), _closed(world), _places_kept(world))


def decide_with_estimates(world: World) -> Plan:
    """`decide` and `estimate` in one."""
    plan = decide(world)
    return replace(plan, estimates=estimate(world, plan))


# --- who may start at all ----------------------------------------------------------------------------


def _candidates(world: World, held: dict[JobId, tuple[Reason, ...]]) -> list[Job]:
    """The first `window` jobs that may start if they fit, in order; why others wait goes to `held`."""
    waiting = [job for job in world.jobs.values() if isinstance(job.state, (Queued, Held))]
    candidates: list[Job] = []
    too_big: dict[NeedsKey, tuple[Reason, ...]] = {}
    beyond = 0
    for job in _in_order(world, waiting):
        state, spec = job.state, job.spec
        reasons: tuple[Reason, ...] = ()
        if isinstance(state, Held):
            reasons = (Reason(ReasonCode.HELD, detail=state.cause),)
        if spec.after:
            reasons += missing(spec.after, lambda job_id: _state_of(world, job_id))
        if not reasons:
            key = needs_key(job.needs)
            if key not in too_big:
                too_big[key] = never_fits(world.capacity, world.settings, job.needs)
            reasons = too_big[key]
        if not reasons and job.id in world.retry_at:
            until_at, cause = world.retry_at[job.id]
            if until_at > world.now:
                reasons = (Reason(ReasonCode.START_FAILED, until_at=until_at, detail=cause),)
        if not reasons and len(candidates) >= world.settings.window:
            reasons = (Reason(ReasonCode.AHEAD, len(candidates) + beyond, unit=Unit.JOBS),)
            beyond += 1
        if reasons:
            held[job.id] = reasons
        else:
            candidates.append(job)
    return candidates


def waiting_order(world: World) -> list[JobId]:
    """The waiting jobs of the world in the order in which a decision considers them."""
    waiting = [job for job in world.jobs.values() if isinstance(job.state, Queued)]
    return [job.id for job in _in_order(world, waiting)]


def _in_order(world: World, waiting: list[Job]) -> list[Job]:
    """Those for whom others made room, the overdue, then by score; or first come, first served."""
    if not world.settings.learned_order:
        return sorted(waiting, key=rank)
    order = Order.of(world)
    places = {job_id: place for place, job_id in enumerate(world.promised)}
    for job in overdue(world):
        places.setdefault(job.id, len(places))
    last = len(places)
    return sorted(waiting, key=lambda job: (places.get(job.id, last), *order.sort_key(job)))


def _places_kept(world: World) -> int:
    """One for each promise, and some more unless every job can be made to wait at any time."""
    promised = sum(job_id in world.jobs for job_id in world.promised)
    return promised + (0 if all_can_wait(world) else _PLACES_KEPT)


def _state_of(world: World, job_id: JobId) -> StateName | None:
    job = world.jobs.get(job_id)
    return world.dependency_states.get(job_id) if job is None else job.state.name


def _closed(world: World) -> tuple[Reason, ...]:
    """Why nothing at all may start; empty when something may."""
    reasons = []
    if world.draining:
        reasons.append(Reason(ReasonCode.DRAINING))
    if not readable(world):
        reasons.append(Reason(ReasonCode.NO_SAMPLE))
    if pressure := pressure_reason(world.gate, world.settings):
        reasons.append(pressure)
    if (slow := disks_are_stalled(world)) is not None and (slow.until_at or 0.0) > world.now:
        reasons.append(slow)
    if world.settings.pause_on_alert and world.sample is not None and world.sample.alerts:
        reasons.append(Reason(ReasonCode.ALERT, detail=world.sample.alerts[0].text))
    return tuple(reasons)


def _backfill_reason(reservation: Reservation | None) -> tuple[Reason, ...]:
    if reservation is None:
        return ()
    return (Reason(ReasonCode.BACKFILL, jobs=(reservation.job.id,), until_at=reservation.starts_at),)


def _wake_at(
    world: World, held: Iterable[tuple[Reason, ...]], turn_at: float | None = None
) -> float | None:
    """The soonest moment at which waiting alone can change the answer; `turn_at`: others may make room."""
    moments = [until_at for until_at, _ in world.retry_at.values()]
    moments += [at for at in (turn_at, reopens_at(world.gate, world.settings)) if at is not None]
    moments += [
        reason.until_at
        for reasons in held
        for reason in reasons
        if reason.code in (ReasonCode.SETTLING, ReasonCode.PRESSURE) and reason.until_at is not None
    ]
    return min((moment for moment in moments if moment > world.now), default=None)
