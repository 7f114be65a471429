"""What people ask of a job: cancel, hold, release, another priority. Pure; part of `step`."""

from __future__ import annotations

from dataclasses import replace

from jobs.core.jobs import (
    CANCELLED_BY_YOU,
    Cancelled,
    Held,
    Job,
    Paused,
    Queued,
    Running,
    Starting,
    Usage,
    Waiting,
)
from jobs.core.world import World
from jobs.engine.events import PauseAttempt, Record, ResumeAttempt, Save, StopAttempt
from jobs.engine.transitions import Fates, StepResult, end, leave, outdated, put, stop_record
from jobs.policy.window import blocked, enter


def cancel(world: World, job: Job, cause: str = "") -> StepResult:
    if outdated(world, job):
        return world, ()
    state = job.state
    match state:
        case Queued() | Held():
            return end(
                world,
                job,
                Cancelled(None, world.now, None, None, Usage(), cause or CANCELLED_BY_YOU),
            )
        case Starting():
            if state.cancel_requested_at is not None:
                return world, ()
            asked = job.to(replace(state, cancel_requested_at=world.now, cancel_cause=cause))
            return put(world, asked), (Save(asked), stop_record(world, job.id, state.attempt))
        case Running():
            stop = StopAttempt(job.id, state.attempt, job.spec.grace_s)
            if state.cancel_requested_at is not None:
                return world, (stop,)
            asked = job.to(replace(state, cancel_requested_at=world.now, cancel_cause=cause))
            return put(world, asked), (Save(asked), stop_record(world, job.id, state.attempt), stop)
        case Paused():
            # Only a tree that runs can hear that it should end.
            asked = job.to(
                Running(
                    state.started_at, state.attempt, state.grant, state.pid, world.now, cancel_cause=cause
                )
            )
            return put(world, asked), (
                Save(asked),
                stop_record(world, job.id, state.attempt),
                StopAttempt(job.id, state.attempt, job.spec.grace_s),
                ResumeAttempt(job.id, state.attempt),
            )
        case _:
            return world, ()


def hold(world: World, job: Job) -> StepResult:
    if outdated(world, job):
        return world, ()
    state = job.state
    if isinstance(state, Queued):
        held = job.to(Held(world.now))
        return leave(world, job.id), (Save(held), Record(world.now, job.id, "held"))
    if isinstance(state, Running) and state.cancel_requested_at is None:
        if state.evict_requested_at is not None:
            later = job.to(replace(state, hold_after=True))
            return put(world, later), (
                Save(later),
                Record(world.now, job.id, "to be held once it has stopped"),
            )
        paused = job.to(Paused(world.now, state.started_at, state.attempt, state.grant, state.pid))
        return put(world, paused), (
            Save(paused),
            Record(world.now, job.id, "paused", state.attempt),
            PauseAttempt(job.id, state.attempt),
        )
    return world, ()


def release(world: World, job: Job, fates: Fates) -> StepResult:
    if outdated(world, job):
        return world, ()
    state = job.state
    if isinstance(state, Held):
        idle_s = job.idle_s + max(0.0, world.now - state.since_at)
        queued = replace(job.to(Queued(world.now)), idle_s=idle_s)
        effects = (Save(queued), Record(world.now, job.id, "released"))
        return (world if blocked(world, queued, fates) else enter(world, queued, fates)), effects
    if isinstance(state, Running) and state.hold_after:
        sooner = job.to(replace(state, hold_after=False))
        return put(world, sooner), (Save(sooner), Record(world.now, job.id, "released"))
    if isinstance(state, Paused):
        running = job.to(Running(state.started_at, state.attempt, state.grant, state.pid))
        return put(world, running), (
            Save(running),
            Record(world.now, job.id, "resumed", state.attempt),
            ResumeAttempt(job.id, state.attempt),
        )
    return world, ()


def reprioritise(world: World, job: Job, priority: int, fates: Fates) -> StepResult:
    if not isinstance(job.state, Waiting) or job.spec.priority == priority:
        return world, ()
    changed = replace(job, spec=replace(job.spec, priority=priority))
    effects = (Save(changed), Record(world.now, job.id, "priority", detail=str(priority)))
    if isinstance(job.state, Held) or blocked(world, changed, fates):
        return world, effects
    return enter(world, changed, fates), effects
