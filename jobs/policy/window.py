"""The waiting jobs that the world holds: of a long queue, those that a decision has to see. Pure.

Where the first come goes first, it is the first of the queue, without a gap: a job enters only where nobody
outside can belong before it. In the learned order it is the oldest of each class: a job enters when its
class is not there yet. Else it counts as beyond, and the next HeadLoaded brings it. `beyond` may count too
many, never too few, so no job is forgotten.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from jobs.core.jobs import Job, JobId, JobSpec, Queued, Reason, StateName
from jobs.core.world import World
from jobs.policy.dependencies import missing
from jobs.policy.order import Order, waited_s
from jobs.policy.runtime_model import program

_CLAIMANTS = 16  # classes with the smallest claims, and with the longest waits, besides the best


def rank(job: Job) -> tuple[int, int]:
    """Sorts jobs into the order in which they go: priority first, then the older."""
    return -job.spec.priority, job.id


def wants_head(world: World) -> bool:
    """Whether so few waiting jobs are left in the world that the store should be asked for HeadLoaded."""
    if world.queued_outside_window is None:
        return True
    return world.queued_outside_window > 0 and 2 * len(_waiting(world)) <= world.settings.window


def blocked(world: World, job: Job, fates: Mapping[JobId, StateName]) -> tuple[Reason, ...]:
    """What the job's dependencies hold against it; the world knows better than the event."""

    def state_of(job_id: JobId) -> StateName | None:
        known = world.jobs.get(job_id)
        if known is not None:
            return known.state.name
        return fates.get(job_id, world.dependency_states.get(job_id))

    return missing(job.spec.after, state_of) if job.spec.after else ()


def enter(world: World, job: Job, fates: Mapping[JobId, StateName]) -> World:
    """The world with a ready Queued job in its place, inside or beyond the head."""
    if world.queued_outside_window is None:
        return world
    jobs, beyond = dict(world.jobs), world.queued_outside_window
    jobs.pop(job.id, None)
    waiting = _waiting(replace(world, jobs=jobs))
    full = len(waiting) >= world.settings.window
    if world.settings.learned_order and (beyond or full):
        kind = _place_of(job)
        if len(waiting) >= 2 * world.settings.window or any(_place_of(other) == kind for other in waiting):
            return replace(world, jobs=jobs, queued_outside_window=beyond + 1)
    elif beyond or full:
        last = max(waiting, key=rank, default=None)
        if last is None or rank(job) > rank(last):
            return replace(world, jobs=jobs, queued_outside_window=beyond + 1)
        if full:
            del jobs[last.id]
            beyond += 1
    jobs[job.id] = job
    known = dict(world.dependency_states) | dict(fates) if job.spec.after else world.dependency_states
    return replace(world, jobs=jobs, queued_outside_window=beyond, dependency_states=_needed(jobs, known))


def choose(waiting: Iterable[Job], order: Order, most: int, promised: Collection[JobId] = ()) -> list[Job]:
    """The jobs that a decision should see: the best by score or by claim, and who have waited longest.

    Jobs of one class have equal scores but for their wait: each class is scored once, its oldest first.
    """
    classes: dict[object, list[Job]] = {}
    for job in waiting:
        classes.setdefault(_class(job), []).append(job)
    chosen: dict[JobId, Job] = {}
    oldest = {key: min(jobs, key=lambda job: (job.submitted_at, job.id)) for key, jobs in classes.items()}
    for job in sorted(oldest.values(), key=lambda job: (order.claim(job), job.id))[:_CLAIMANTS]:
        chosen[job.id] = job
    for job in sorted(oldest.values(), key=lambda job: (-waited_s(job, order.now), job.id))[:_CLAIMANTS]:
        chosen[job.id] = job
    for key in sorted(classes, key=lambda key: order.sort_key(oldest[key])):
        for job in sorted(classes[key], key=lambda job: (job.submitted_at, job.id)):
            if len(chosen) >= most:
                break
            chosen[job.id] = job
    if promised:
        chosen |= {job.id: job for jobs in classes.values() for job in jobs if job.id in promised}
    return list(chosen.values())


def class_of(spec: JobSpec) -> object:
    """What jobs share that stand in the order by their age alone, as far as it is known at their submit."""
    bucket = None if spec.expected_s is None else round(2 * math.log2(max(spec.expected_s, 0.1)))
    return spec.priority, spec.user, program(spec), spec.needs, spec.checkpoint, bucket


def _place_of(job: Job) -> object:
    grown = job.grown_mem_bytes, job.grown_gpu_mem_bytes
    return class_of(job.spec), job.attained_s, job.attempts == 0, grown


def _class(job: Job) -> object:
    spec = job.spec
    return job.needs, spec.user, spec.priority, job.forecast, job.attained_s, job.attempts == 0


def load(world: World, head: tuple[Job, ...], beyond: int, fates: Mapping[JobId, StateName]) -> World:
    """The world with its waiting jobs replaced; what it knows as active stays active."""
    jobs = {job_id: job for job_id, job in world.jobs.items() if not isinstance(job.state, Queued)}
    for job in head:
        if isinstance(job.state, Queued):
            jobs.setdefault(job.id, job)
    retry_at = {job_id: retry for job_id, retry in world.retry_at.items() if retry[0] > world.now}
    return replace(
        world,
        jobs=jobs,
        queued_outside_window=beyond,
        dependency_states=_needed(jobs, fates),
        retry_at=retry_at,
    )


def _waiting(world: World) -> list[Job]:
    return [job for job in world.jobs.values() if isinstance(job.state, Queued)]


def _needed(jobs: Mapping[JobId, Job], fates: Mapping[JobId, StateName]) -> Mapping[JobId, StateName]:
    """Only the fates that a job of the world waits for, so that they do not pile up."""
    if not fates:
        return fates
    wanted = {after.job_id for job in jobs.values() for after in job.spec.after}
    return {job_id: fate for job_id, fate in fates.items() if job_id in wanted}
