"""The only place where the state of a job changes.

`step` is pure: it takes the world and one event, and answers with the next world and the effects that a
shell has to perform. It never acts, never reads a clock and never raises for an event that comes late,
twice or in an unexpected order: what no longer applies changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

from jobs.engine.changes import same_moment, same_reasons
from jobs.engine.endings import ending, lost, stop_asked_at
from jobs.engine.events import (
    AttemptEnded,
    AttemptMissing,
    BecameReady,
    CancelRequested,
    CapacityChanged,
    Decide,
    DependencyNever,
    DrainChanged,
    Effect,
    Event,
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
    SettleDependents,
    StartAttempt,
    StopAttempt,
    Submitted,
    WakeAt,
    WarmChanged,
)
from jobs.model import (
    Active,
    Cancelled,
    Ended,
    Failed,
    Held,
    Job,
    JobId,
    OnReboot,
    Paused,
    Queued,
    ReasonCode,
    Running,
    Starting,
    StateName,
    Usage,
    Waiting,
)
from jobs.policy.decide import decide, estimate, next_gate
from jobs.policy.dependencies import settled_by
from jobs.policy.head import blocked, enter, load, wants_head
from jobs.world import World

__all__ = ["LAUNCH_TRIES", "REBOOT_TRIES", "step", "unfinished", "wants_head"]

LAUNCH_TRIES = 3  # launches in a row that fail before the job does
INTERRUPTED_TRIES = 30  # attempts after which a start that was interrupted counts as failed
REBOOT_TRIES = 5  # attempts after which a job is not queued again: it may be what brings the machine down

_Answer = tuple[World, tuple[Effect, ...]]
_Fates = Mapping[JobId, StateName]


def step(world: World, event: Event) -> _Answer:
    """Apply one event; the world's `now` becomes the event's `at`."""
    world = replace(world, now=event.at)
    match event:
        case Submitted():
            return _submitted(world, event.job, event.fates)
        case HeadLoaded():
            return load(world, event.jobs, event.beyond, event.fates), ()
        case BecameReady():
            job = _known(world, event.job)
            ready = isinstance(job.state, Queued) and not blocked(world, job, event.fates)
            return (enter(world, job, event.fates) if ready else world), ()
        case DependencyNever():
            return _dependency_never(world, event)
        case CancelRequested():
            return _cancel(world, _known(world, event.job))
        case HoldRequested():
            return _hold(world, _known(world, event.job))
        case ReleaseRequested():
            return _release(world, _known(world, event.job), event.fates)
        case PriorityChanged():
            return _reprioritise(world, _known(world, event.job), event.priority, event.fates)
        case DrainChanged():
            return replace(world, draining=event.draining), ()
        case Sampled():
            gate = next_gate(world.gate, event.sample, world.rules, world.capacity.cpus)
            return replace(world, sample=event.sample, gate=gate), ()
        case CapacityChanged():
            return replace(world, capacity=event.capacity), ()
        case RulesChanged():
            return replace(world, rules=event.rules), ()
        case WarmChanged():
            return replace(world, warm=event.warm), ()
        case Decide():
            return _decide(world, event.estimate)
        case LaunchAccepted():
            return _launch_accepted(world, event)
        case LaunchFailed():
            return _launch_failed(world, event)
        case AttemptEnded():
            return _attempt_ended(world, event)
        case AttemptMissing():
            return _lost(world, event.job_id, event.attempt, event.cause)
        case Rebooted():
            return _rebooted(world, event)
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
            if state.cancel_requested_at is not None:
                effects.append(StopAttempt(job.id, state.attempt, job.spec.grace_s))
    return tuple(effects)


# --- the queue ----------------------------------------------------------------------------------------


def _submitted(world: World, job: Job, fates: _Fates) -> _Answer:
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


def _dependency_never(world: World, event: DependencyNever) -> _Answer:
    job = _known(world, event.job)
    if not isinstance(job.state, Waiting):
        return world, ()
    return _never(world, job, event.on, event.fate)


def _never(world: World, job: Job, on: JobId, fate: StateName) -> _Answer:
    cause = f"#{on} {_PAST[fate]}; this job needed it to succeed"
    return _end(world, job, Cancelled(None, world.now, None, None, Usage(), cause), cause)


# --- wishes of people -----------------------------------------------------------------------------------


def _cancel(world: World, job: Job) -> _Answer:
    if _outdated(world, job):
        return world, ()
    state = job.state
    match state:
        case Queued() | Held():
            return _end(world, job, Cancelled(None, world.now, None, None, Usage()))
        case Starting():
            if state.cancel_requested_at is not None:
                return world, ()
            asked = job.to(replace(state, cancel_requested_at=world.now))
            return _put(world, asked), (Save(asked), _stop_record(world, job.id, state.attempt))
        case Running():
            stop = StopAttempt(job.id, state.attempt, job.spec.grace_s)
            if state.cancel_requested_at is not None:
                return world, (stop,)
            asked = job.to(replace(state, cancel_requested_at=world.now))
            return _put(world, asked), (Save(asked), _stop_record(world, job.id, state.attempt), stop)
        case Paused():
            # Only a tree that runs can hear that it should end.
            asked = job.to(Running(state.started_at, state.attempt, state.grant, state.pid, world.now))
            return _put(world, asked), (
                Save(asked),
                _stop_record(world, job.id, state.attempt),
                StopAttempt(job.id, state.attempt, job.spec.grace_s),
                ResumeAttempt(job.id, state.attempt),
            )
        case _:
            return world, ()


def _hold(world: World, job: Job) -> _Answer:
    if _outdated(world, job):
        return world, ()
    state = job.state
    if isinstance(state, Queued):
        held = job.to(Held(world.now))
        return _leave(world, job.id), (Save(held), Record(world.now, job.id, "held"))
    if isinstance(state, Running) and state.cancel_requested_at is None:
        paused = job.to(Paused(world.now, state.started_at, state.attempt, state.grant, state.pid))
        return _put(world, paused), (
            Save(paused),
            Record(world.now, job.id, "paused", state.attempt),
            PauseAttempt(job.id, state.attempt),
        )
    return world, ()


def _release(world: World, job: Job, fates: _Fates) -> _Answer:
    if _outdated(world, job):
        return world, ()
    state = job.state
    if isinstance(state, Held):
        queued = job.to(Queued(world.now))
        effects = (Save(queued), Record(world.now, job.id, "released"))
        return (world if blocked(world, queued, fates) else enter(world, queued, fates)), effects
    if isinstance(state, Paused):
        running = job.to(Running(state.started_at, state.attempt, state.grant, state.pid))
        return _put(world, running), (
            Save(running),
            Record(world.now, job.id, "resumed", state.attempt),
            ResumeAttempt(job.id, state.attempt),
        )
    return world, ()


def _reprioritise(world: World, job: Job, priority: int, fates: _Fates) -> _Answer:
    if not isinstance(job.state, Waiting) or job.spec.priority == priority:
        return world, ()
    changed = replace(job, spec=replace(job.spec, priority=priority))
    effects = (Save(changed), Record(world.now, job.id, "priority", detail=str(priority)))
    if isinstance(job.state, Held) or blocked(world, changed, fates):
        return world, effects
    return enter(world, changed, fates), effects


# --- deciding ---------------------------------------------------------------------------------------------


def _decide(world: World, look_ahead: bool) -> _Answer:
    plan = decide(world)
    expected = estimate(world, plan) if look_ahead else {}
    jobs, retry_at = dict(world.jobs), dict(world.retry_at)
    effects: list[Effect] = []
    for start in plan.starts:
        job = jobs[start.job_id]
        attempt = job.attempts + 1
        job = replace(job.to(Starting(world.now, attempt, start.grant)), attempts=attempt)
        jobs[job.id] = job
        retry_at.pop(job.id, None)
        granted = ", ".join(start.grant.device_uuids)
        effects += (Save(job), Record(world.now, job.id, "starting", attempt, granted), StartAttempt(job))
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
    return replace(world, jobs=jobs, retry_at=retry_at), tuple(effects)


# --- attempts -----------------------------------------------------------------------------------------


def _attempt(world: World, job_id: JobId, attempt: int) -> tuple[Job, Active] | None:
    """The job while this very attempt of it is active."""
    job = world.jobs.get(job_id)
    if job is None or not isinstance(job.state, Active) or job.state.attempt != attempt:
        return None
    return job, job.state


def _launch_accepted(world: World, event: LaunchAccepted) -> _Answer:
    found = _attempt(world, event.job_id, event.attempt)
    if found is None:
        return world, ()
    job, state = found
    if not isinstance(state, Starting):
        return world, ()
    asked_at = stop_asked_at(state)
    running = job.to(Running(event.started_at, state.attempt, state.grant, event.pid, asked_at))
    running = replace(running, failed_starts=0)
    effects: tuple[Effect, ...] = (
        Save(running),
        Record(world.now, job.id, "running", state.attempt, _joined(f"supervisor {event.pid}", event.how)),
    )
    if asked_at is not None:
        effects += (StopAttempt(job.id, state.attempt, job.spec.grace_s),)
    return _put(world, running), effects


def _launch_failed(world: World, event: LaunchFailed) -> _Answer:
    found = _attempt(world, event.job_id, event.attempt)
    if found is None:
        return world, ()
    job, state = found
    if not isinstance(state, Starting):
        return world, ()
    failed = Record(world.now, job.id, "start failed", state.attempt, event.cause)
    failed_starts = job.failed_starts + (0 if event.interrupted else 1)
    if state.cancel_requested_at is not None:
        world, effects = _end(world, job, Cancelled(None, world.now, None, None, Usage()))
    elif failed_starts >= LAUNCH_TRIES or (event.interrupted and state.attempt >= INTERRUPTED_TRIES):
        cause = f"it could not be started: {event.cause}"
        world, effects = _end(world, job, Failed(None, world.now, None, None, cause, Usage()), cause)
    else:
        queued = replace(job.to(Queued(world.now)), failed_starts=failed_starts)
        again_at = world.now + world.rules.start_retry_s
        retry_at = dict(world.retry_at) | {job.id: (again_at, event.cause)}
        world = _back(replace(_leave(world, job.id), retry_at=retry_at), queued)
        effects = (Save(queued),)
    return world, (failed, *effects)


def _rebooted(world: World, event: Rebooted) -> _Answer:
    found = _attempt(world, event.job_id, event.attempt)
    if found is None:
        return world, ()
    job, state = found
    cause = "the machine was restarted while it ran"
    if stop_asked_at(state) is not None:
        started_at = None if isinstance(state, Starting) else state.started_at
        stopped = Cancelled(started_at, max(world.now, started_at or 0.0), None, None, job.usage)
        return _end(world, job, stopped, cause, state.attempt)
    if job.spec.on_reboot is OnReboot.FAIL:
        return _lost(world, job.id, state.attempt, cause)
    if state.attempt >= REBOOT_TRIES:
        return _lost(world, job.id, state.attempt, f"{cause}, and it was tried {state.attempt} times")
    again = Record(world.now, job.id, "requeued", state.attempt, cause)
    if isinstance(state, Paused):  # whoever paused it did not let it go on
        held = replace(job.to(Held(world.now)), usage=Usage())
        return _leave(world, job.id), (Save(held), again)
    queued = replace(job.to(Queued(world.now)), usage=Usage())
    return _back(_leave(world, job.id), queued), (Save(queued), again)


def _attempt_ended(world: World, event: AttemptEnded) -> _Answer:
    found = _attempt(world, event.job_id, event.attempt)
    if found is None:
        return world, ()
    job, state = found
    end = ending(state, job.spec.needs, event.exit)
    job = replace(job, metrics=event.exit.metrics)
    return _end(world, job, end, getattr(end, "cause", ""), state.attempt)


def _lost(world: World, job_id: JobId, attempt: int, cause: str) -> _Answer:
    found = _attempt(world, job_id, attempt)
    if found is None:
        return world, ()
    job, state = found
    return _end(world, job, lost(state, world.now, cause, job.usage), cause, attempt)


# --- how it is done --------------------------------------------------------------------------------------


def _known(world: World, job: Job) -> Job:
    """The world's own view of a job, where it has one."""
    return world.jobs.get(job.id, job)


def _outdated(world: World, job: Job) -> bool:
    """Whether the event's view cannot be true: the world holds every active job."""
    return isinstance(job.state, Active) and job.id not in world.jobs


def _put(world: World, job: Job) -> World:
    return replace(world, jobs={**world.jobs, job.id: job})


def _leave(world: World, job_id: JobId) -> World:
    """The world without a job that no longer runs or is not at the head of the queue."""
    if job_id not in world.jobs and job_id not in world.retry_at:
        return world
    jobs = {other: job for other, job in world.jobs.items() if other != job_id}
    retry_at = {other: retry for other, retry in world.retry_at.items() if other != job_id}
    return replace(world, jobs=jobs, retry_at=retry_at)


def _back(world: World, job: Job) -> World:
    """The world with a job back in the queue that has had an attempt."""
    forgotten = blocked(world, job, {})  # its dependencies are met, but only the store knows it
    return replace(world, beyond=None) if forgotten else enter(world, job, {})


def _end(world: World, job: Job, state: Ended, detail: str = "", attempt: int | None = None) -> _Answer:
    ended = replace(job.to(state), usage=state.usage)
    met, never = settled_by(state.name)
    return _leave(world, job.id), (
        Save(ended),
        Record(world.now, job.id, state.name.value.replace("_", " "), attempt, detail),
        SettleDependents(job.id, state.name, met, never),
    )


def _joined(*texts: str) -> str:
    return ", ".join(filter(None, texts))


def _stop_record(world: World, job_id: JobId, attempt: int) -> Record:
    return Record(world.now, job_id, "stop asked for", attempt)


_PAST: Mapping[StateName, str] = {
    StateName.FAILED: "failed",
    StateName.CANCELLED: "was cancelled",
    StateName.TIMED_OUT: "timed out",
    StateName.OUT_OF_MEMORY: "ran out of memory",
    StateName.LOST: "was lost",
}
