"""How a job enters, leaves and moves within the world. Pure; the verbs of `step` are made of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from jobs.core.jobs import Active, Ended, Failed, Job, JobId, StateName
from jobs.core.world import World
from jobs.engine.events import Effect, Record, Save, SettleDependents
from jobs.policy.dependencies import settled_by
from jobs.policy.window import blocked, enter

StepResult = tuple[World, tuple[Effect, ...]]
Fates = Mapping[JobId, StateName]


def known(world: World, job: Job) -> Job:
    """The world's own view of a job, where it has one."""
    return world.jobs.get(job.id, job)


def outdated(world: World, job: Job) -> bool:
    """Whether the event's view cannot be true: the world holds every active job."""
    return isinstance(job.state, Active) and job.id not in world.jobs


def put(world: World, job: Job) -> World:
    return replace(world, jobs={**world.jobs, job.id: job})


def leave(world: World, job_id: JobId) -> World:
    """The world without a job that no longer runs or is not at the head of the queue."""
    if job_id not in world.jobs and job_id not in world.retry_at:
        return world
    jobs = {other: job for other, job in world.jobs.items() if other != job_id}
    retry_at = {other: retry for other, retry in world.retry_at.items() if other != job_id}
    return replace(world, jobs=jobs, retry_at=retry_at)


def back(world: World, job: Job) -> World:
    """The world with a job back in the queue that has had an attempt."""
    forgotten = blocked(world, job, {})  # its dependencies are met, but only the store knows it
    return replace(world, queued_outside_window=None) if forgotten else enter(world, job, {})


def end(world: World, job: Job, state: Ended, detail: str = "", attempt: int | None = None) -> StepResult:
    ended = replace(job.to(state), usage=state.usage)
    met, never = settled_by(state.name)
    return leave(world, job.id), (
        Save(ended),
        Record(world.now, job.id, state.name.value.replace("_", " "), attempt, detail),
        SettleDependents(job.id, state.name, met, never, _own_words(state)),
    )


def _own_words(state: Ended) -> str:
    """Why a job failed where more is known than the code it ended with."""
    cause = state.cause if isinstance(state, Failed) else ""
    return "" if cause.startswith(("exit code ", "signal ")) else cause


def joined(*texts: str) -> str:
    return ", ".join(filter(None, texts))


def stop_record(world: World, job_id: JobId, attempt: int) -> Record:
    return Record(world.now, job_id, "stop asked for", attempt)


PAST: Mapping[StateName, str] = {
    StateName.FAILED: "failed",
    StateName.CANCELLED: "was cancelled",
    StateName.TIMED_OUT: "timed out",
    StateName.OUT_OF_MEMORY: "ran out of memory",
    StateName.LOST: "was lost",
}
