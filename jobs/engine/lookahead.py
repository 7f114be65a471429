"""When a waiting job will start: the engine's own steps, run forward in virtual time on planned ends.

Pure and bounded; it costs a decision for each event, so it is for one job that somebody asks about, not for
a list (`policy.outlook` is). It knows nothing that `step` does not, so it evicts, keeps promises and counts
use as the scheduler will. What it cannot know: jobs that are still to come, and load of other programs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from jobs.core.jobs import Active, Job, JobId, Queued, Running, StateName, Usage
from jobs.core.machine import DeviceSample, Sample
from jobs.core.ports import Exit, ExitCause
from jobs.core.world import World
from jobs.engine.attempts import SAVED
from jobs.engine.events import AttemptEnded, Decide, LaunchAccepted, StartAttempt, StopAttempt, WakeAt
from jobs.engine.step import step
from jobs.policy.allocations import planned_end_at
from jobs.policy.decide import waiting_order

_EVENTS = 200
_BEHIND = 16  # jobs behind it that are looked at as well: they may claim a place
_SAVE_S = 5.0


def starts_at(world: World, job_id: JobId) -> float | None:
    """The moment (Unix seconds, never before `world.now`) at which it starts; None: that cannot be told."""
    if world.sample is None or world.sample.mem_available_bytes is None:
        return None
    ahead = _Ahead(_around(world, job_id), world.now)
    for _ in range(_EVENTS):
        if ahead.starts(job_id):
            return ahead.now
        if not ahead.move():
            break
    return None


def with_priority(world: World, job_id: JobId, more: int) -> World:
    """The world as it would be, were the job's priority so much higher."""
    job = world.jobs[job_id]
    changed = replace(job, spec=replace(job.spec, priority=job.spec.priority + more))
    return replace(world, jobs={**world.jobs, job_id: changed})


def with_runs(world: World, deviations: float) -> World:
    """The world in which every run takes so many standard deviations longer than expected."""
    jobs = {
        job.id: job
        if job.forecast is None
        else replace(
            job,
            forecast=replace(
                job.forecast, run_s=job.forecast.run_s * math.exp(deviations * job.forecast.spread)
            ),
        )
        for job in world.jobs.values()
    }
    return replace(world, jobs=jobs)


@dataclass(slots=True)
class _Ahead:
    world: World
    now: float
    _reading: _Reading = field(init=False)
    _ends: dict[tuple[JobId, int], float | None] = field(default_factory=dict)
    _wake_at: float | None = None

    def __post_init__(self) -> None:
        self._reading = _Reading.of(self.world)

    def starts(self, job_id: JobId) -> bool:
        """Decide at this moment; whether the job starts."""
        now = self.now
        world = replace(
            self.world, now=now, sample=self._reading.at(self.world, now), queued_outside_window=0
        )
        world, effects = step(world, Decide(now, estimate=False))
        for effect in effects:
            match effect:
                case StartAttempt(job):
                    if job.id == job_id:
                        return True
                    world, _ = step(world, LaunchAccepted(now, job.id, job.attempts, 0, now))
                case StopAttempt(stopped, attempt, _):
                    self._ends[stopped, attempt] = now + _SAVE_S
                case WakeAt(at):
                    self._wake_at = at
        for job in world.jobs.values():
            if isinstance(job.state, Active) and (job.id, job.state.attempt) not in self._ends:
                self._ends[job.id, job.state.attempt] = planned_end_at(job, now)
        self.world = world
        return False

    def move(self) -> bool:
        """Go on to the next moment at which something ends or may change; False when there is none."""
        moments = [at for at in self._ends.values() if at is not None]
        if self._wake_at is not None:
            moments.append(self._wake_at)
        later = [at for at in moments if at > self.now]
        if not later:
            return False
        self.now = min(later)
        for (job_id, attempt), at in list(self._ends.items()):
            if at is not None and at <= self.now:
                del self._ends[job_id, attempt]
                self._end(job_id, attempt)
        return True

    def _end(self, job_id: JobId, attempt: int) -> None:
        job = self.world.jobs.get(job_id)
        if job is None or not isinstance(job.state, Running):
            return
        state = job.state
        saved = state.evict_requested_at is not None
        code = SAVED if saved else 0
        exit_ = Exit(ExitCause.EXITED, code, None, state.started_at, self.now, Usage())
        world, _ = step(self.world, AttemptEnded(self.now, job_id, attempt, exit_))
        if not saved:  # those that wait for it may start
            world = replace(
                world, dependency_states={**world.dependency_states, job_id: StateName.SUCCEEDED}
            )
        self.world = world


@dataclass(frozen=True, slots=True)
class _Reading:
    """What other programs took at the last reading; our jobs are reckoned to use what they reserve."""

    last: Sample
    foreign_bytes: int

    @staticmethod
    def of(world: World) -> _Reading:
        sample = world.sample
        assert sample is not None
        ours = sum(usage.mem_bytes or 0 for usage in sample.jobs.values())
        free = sample.mem_available_bytes or 0
        return _Reading(sample, max(0, world.capacity.mem_bytes - free - ours))

    def at(self, world: World, now: float) -> Sample:
        active = [job for job in world.jobs.values() if isinstance(job.state, Active)]
        used = sum(job.needs.mem_bytes for job in active)
        return replace(
            self.last,
            at=now,
            mem_available_bytes=max(0, world.capacity.mem_bytes - self.foreign_bytes - used),
            devices=tuple(_device(device, active) for device in self.last.devices),
            jobs={job.id: _use(job) for job in active},
        )


def _device(device: DeviceSample, active: list[Job]) -> DeviceSample:
    ours = sum(_gpu_bytes(job) for job in active if device.uuid in _granted(job))
    used = None if device.foreign_mem_bytes is None else device.foreign_mem_bytes + ours
    return replace(device, mem_used_bytes=used)


def _use(job: Job) -> Usage:
    needs = job.needs
    return Usage(mem_bytes=needs.mem_bytes, gpu_mem_bytes=_gpu_bytes(job), cpus=needs.cpus)


def _gpu_bytes(job: Job) -> int:
    return job.needs.gpu_mem_bytes or 0


def _granted(job: Job) -> tuple[str, ...]:
    assert isinstance(job.state, Active)
    return job.state.grant.device_uuids


def _around(world: World, job_id: JobId) -> World:
    """The world without the waiting jobs far behind it."""
    order = waiting_order(world)
    seen = set(order[: order.index(job_id) + _BEHIND] if job_id in order else order)
    jobs = {i: job for i, job in world.jobs.items() if i in seen or not isinstance(job.state, Queued)}
    return replace(world, jobs=jobs)
