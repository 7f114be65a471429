"""The only place where the state of a job changes.

`step` is pure: it takes the world and one event, and answers with the next world and the effects that a
shell has to perform. It never acts, never reads a clock and never raises for an event that comes late,
twice or in an unexpected order: what no longer applies changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import assert_never

from jobs.core.jobs import (
    Cancelled,
    Forecast,
    Job,
    JobId,
    Paused,
    Queued,
    ReasonCode,
    Running,
    Starting,
    StateName,
    Usage,
    Waiting,
)
from jobs.core.world import Eviction, World
from jobs.engine.attempts import attempt_ended, launch_accepted, launch_failed, missing, rebooted
from jobs.engine.debounce import same_moment, same_reasons
from jobs.engine.events import (
    AttemptEnded,
    AttemptMissing,
    BecameReady,
    CancelRequested,
    CapacityChanged,
    Decide,
    DependencyFailed,
    DrainChanged,
    Effect,
    Event,
    ForecastsMade,
    HeadLoaded,
    HoldRequested,
    LaunchAccepted,
    LaunchFailed,
    PauseAttempt,
    PriorityChanged,
    ReasonsChanged,
    Rebooted,
    Record,
    ReleaseRequested,
    ResumeAttempt,
    RulesChanged,
    Sampled,
    Save,
    StartAttempt,
    StopAttempt,
    Submitted,
    WakeAt,
    WarmChanged,
)
from jobs.engine.requests import cancel, hold, release, reprioritise
from jobs.engine.transitions import PAST, Fates, StepResult, end, known
from jobs.policy.decide import decide, estimate, next_gate
from jobs.policy.order import accrued, with_backlog
from jobs.policy.window import blocked, enter, load, wants_head

__all__ = ["step", "unfinished", "wants_head"]


def step(world: World, event: Event) -> StepResult:
    """Apply one event; the world's `now` becomes the event's `at`."""
    world = replace(world, now=event.at)
    match event:
        case Submitted():
            return _submitted(world, event.job, event.dependency_states)
        case HeadLoaded():
            return load(world, event.jobs, event.queued_outside_window, event.dependency_states), ()
        case BecameReady():
            return _became_ready(world, known(world, event.job), event.dependency_states)
        case DependencyFailed():
            return _dependency_never(world, event)
        case CancelRequested():
            return cancel(world, known(world, event.job), event.cause)
        case HoldRequested():
            return hold(world, known(world, event.job))
        case ReleaseRequested():
            return release(world, known(world, event.job), event.dependency_states)
        case PriorityChanged():
            return reprioritise(world, known(world, event.job), event.priority, event.dependency_states)
        case DrainChanged():
            return replace(world, draining=event.draining), ()
        case Sampled():
            gate = next_gate(world.gate, event.sample, world.settings, world.capacity.cpus)
            return replace(world, sample=event.sample, gate=gate), ()
        case CapacityChanged():
            return replace(world, capacity=event.capacity), ()
        case RulesChanged():
            return replace(world, settings=event.settings), ()
        case WarmChanged():
            return replace(world, warm=event.warm), ()
        case ForecastsMade():
            return _forecast(world, event.forecasts), ()
        case Decide():
            return _decide(world, event.estimate)
        case LaunchAccepted():
            return launch_accepted(world, event)
        case LaunchFailed():
            return launch_failed(world, event)
        case AttemptEnded():
            return attempt_ended(world, event)
        case AttemptMissing():
            return missing(world, event.job_id, event.attempt, event.cause)
        case Rebooted():
            return rebooted(world, event)
        case _:
            assert_never(event)


def unfinished(world: World) -> tuple[Effect, ...]:
    """What a restarted shell asks of the executor again: stops, pauses and resumes that may be undone."""
    effects: list[Effect] = []
    for job in world.jobs.values():
        state = job.state
        if isinstance(state, Paused):
            effects.append(PauseAttempt(job.id, state.attempt))
        elif isinstance(state, Running):
            effects.append(ResumeAttempt(job.id, state.attempt))
            if state.cancel_requested_at is not None or state.evict_requested_at is not None:
                effects.append(StopAttempt(job.id, state.attempt, job.spec.grace_s))
    return tuple(effects)


# --- the queue ----------------------------------------------------------------------------------------


def _submitted(world: World, job: Job, fates: Fates) -> StepResult:
    if job.id in world.jobs or not isinstance(job.state, Waiting):
        return world, ()
    effects: tuple[Effect, ...] = (Save(job), Record(world.now, job.id, "submitted"))
    for reason in blocked(world, job, fates):
        if reason.code is ReasonCode.DEPENDENCY_FAILED:
            ended, more = _never(world, job, reason.jobs[0], StateName(reason.detail))
            return ended, effects + more
        return world, effects
    if isinstance(job.state, Queued):
        world = enter(world, job, fates)
    return world, effects


def _became_ready(world: World, job: Job, fates: Fates) -> StepResult:
    if not isinstance(job.state, Queued) or blocked(world, job, fates):
        return world, ()
    job = replace(job, idle_s=job.idle_s + max(0.0, world.now - job.state.since_at))
    return enter(world, job, fates), (Save(job),)


def _dependency_never(world: World, event: DependencyFailed) -> StepResult:
    job = known(world, event.job)
    if not isinstance(job.state, Waiting):
        return world, ()
    return _never(world, job, event.on, event.state, event.cause)


def _never(world: World, job: Job, on: JobId, fate: StateName, why: str = "") -> StepResult:
    said = f": {why.rstrip('.')}" if why else ""
    cause = f"#{on} {PAST[fate]}{said}; this job needed it to succeed"
    return end(world, job, Cancelled(None, world.now, None, None, Usage(), cause), cause)


# --- deciding ---------------------------------------------------------------------------------------------


def _decide(world: World, look_ahead: bool) -> StepResult:
    world = replace(world, usage=accrued(world, world.now), usage_at=world.now)
    if look_ahead:  # else it may be the front of the queue alone
        world = with_backlog(world)
    plan = decide(world)
    expected = estimate(world, plan) if look_ahead else {}
    jobs, retry_at = dict(world.jobs), dict(world.retry_at)
    effects: list[Effect] = []
    for start in plan.starts:
        job = jobs[start.job_id]
        attempt = job.attempts + 1
        grant = start.grant if job.needs == job.spec.needs else replace(start.grant, reserved=job.needs)
        job = replace(job.to(Starting(world.now, attempt, grant)), attempts=attempt)
        jobs[job.id] = job
        retry_at.pop(job.id, None)
        granted = ", ".join(start.grant.device_uuids)
        effects += (Save(job), Record(world.now, job.id, "starting", attempt, granted), StartAttempt(job))
    for eviction in plan.evictions:
        effects += _evict(jobs, eviction, world.now)
    for job_id, reasons in plan.held.items():
        job = jobs[job_id]
        if job.reasons and not look_ahead:
            continue
        at = expected.get(job_id)
        if same_reasons(job.reasons, reasons, world.now) and same_moment(
            job.estimated_start_at, at, world.now
        ):
            continue
        jobs[job_id] = replace(job, reasons=reasons, estimated_start_at=at)
        effects.append(ReasonsChanged(job_id, reasons, at))
    effects.append(WakeAt(plan.wake_at))
    promised = _promised(jobs, (*world.promised, *(j for e in plan.evictions for j in e.for_jobs)))
    evicted_at = world.now if plan.evictions else world.evicted_at
    world = replace(world, jobs=jobs, retry_at=retry_at, promised=promised, evicted_at=evicted_at)
    return world, tuple(effects)


def _forecast(world: World, forecasts: Mapping[JobId, Forecast]) -> World:
    changed = {i: replace(world.jobs[i], forecast=each) for i, each in forecasts.items() if i in world.jobs}
    return replace(world, jobs={**world.jobs, **changed})


def _evict(jobs: dict[JobId, Job], eviction: Eviction, now: float) -> tuple[Effect, ...]:
    """Have a running job save and stop; it keeps its place until it really has."""
    job = jobs[eviction.job_id]
    state = job.state
    assert isinstance(state, Running)
    asked = job.to(replace(state, evict_requested_at=now, evict_for=eviction.for_jobs))
    jobs[job.id] = asked
    others = ", ".join(f"#{job_id}" for job_id in eviction.for_jobs)
    why = f"to make room for {others}" if others else eviction.cause
    return (
        Save(asked),
        Record(now, job.id, "asked to save and stop", state.attempt, why),
        StopAttempt(job.id, state.attempt, job.spec.grace_s),
    )


def _promised(jobs: Mapping[JobId, Job], promised: Iterable[JobId]) -> tuple[JobId, ...]:
    """Those that still wait for somebody who is making room for them."""
    evicting = (job.state.evict_for for job in jobs.values() if isinstance(job.state, Running))
    awaited = {job_id for for_jobs in evicting for job_id in for_jobs}
    waiting = (i for i in dict.fromkeys(promised) if i in jobs and isinstance(jobs[i].state, Queued))
    return tuple(job_id for job_id in waiting if job_id in awaited)
