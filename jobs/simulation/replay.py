"""One box in virtual time: a trace comes in, the product's own `decide` says what starts and makes room.

Deterministic: equal inputs give equal outcomes. It checks itself at every step, as benchmarks lie by
default: nothing runs that does not fit, devices are held by whom they were given to, every job finishes.
"""

from __future__ import annotations

import heapq
import math
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import count

from jobs.core.jobs import GIB, Forecast, Grant, Job, JobId, JobSpec, Needs, Queued, Running, Usage
from jobs.core.machine import Capacity, Device, DeviceSample, Sample
from jobs.core.rules import SchedulerSettings
from jobs.core.world import Plan, World
from jobs.policy.decide import decide
from jobs.policy.order import Order, accrued, with_backlog
from jobs.policy.runtime_model import Moments, forecast, runtime_keys
from jobs.policy.window import choose
from jobs.simulation.trace import TraceJob

GPU_BYTES = 80 * GIB
CALM = {"mem_headroom_fraction": 0.0, "mem_headroom_bytes": 0, "gpu_mem_headroom_fraction": 0.0}


class Knowledge(StrEnum):
    """Where planned run times come from."""

    LIMITS = "limits"
    LEARNED = "learned"
    TRUTH = "truth"


@dataclass(frozen=True, slots=True)
class Setting:
    """What is replayed besides the trace. `coverage`: share of jobs that can save and go on.

    An eviction holds the place for `save_s` and costs `restart_s` when the job goes on. `plan` is asked as
    the product is; None is the product. `whole_queue`: it sees every waiting job, not only the head.
    `look_every_s`: it is asked so often although nothing happens, as the scheduler is at each reading.
    `foreign`: the memory that others use, from which second on; before the first it is none.
    """

    settings: SchedulerSettings
    knowledge: Knowledge = Knowledge.LEARNED
    coverage: float = 1.0
    save_s: float = 5.0
    restart_s: float = 30.0
    plan: Callable[[World], Plan] | None = None
    whole_queue: bool = False
    look_every_s: float = math.inf
    foreign: tuple[tuple[float, int], ...] = ()  # seconds, bytes; sorted


@dataclass(slots=True)
class ReplayedJob:
    """What became of one job; `held` has the times from and until which it held its place."""

    started_at: float = -1.0
    finished_at: float = -1.0
    evictions: int = 0
    lost_s: float = 0.0
    held: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """All jobs in the order of the trace, and what deciding cost."""

    jobs: tuple[ReplayedJob, ...]
    decisions: int
    decide_cpu_s: float


def machine_of(cpus: float, mem_gib: float, gpus: int) -> Capacity:
    """A machine by its size."""
    devices = tuple(Device(f"GPU-{i}", i, "simulated", GPU_BYTES) for i in range(gpus))
    return Capacity(float(cpus), int(mem_gib * GIB), devices)


def calm_settings(rules: SchedulerSettings = SchedulerSettings()) -> SchedulerSettings:  # noqa: B008 - frozen
    """The rules for a machine of which nothing is kept for a person and readings lag behind nothing."""
    return replace(rules, settle_s=0.0, max_sample_age_s=math.inf, **CALM)  # type: ignore[arg-type]


def replay(
    trace: Sequence[TraceJob],
    capacity: Capacity,
    setting: Setting,
    progress: Callable[[float], None] | None = None,
) -> ReplayResult:
    """Run the whole trace; `progress` hears the share that has ended. Raises AssertionError when a guard
    is broken."""
    return _Replay(trace, capacity, setting).run(progress)


ARRIVE, END, SAVED, LOOK = range(4)
_TOLD_EVERY = 100  # decisions


@dataclass(slots=True)
class _Replay:
    trace: Sequence[TraceJob]
    capacity: Capacity
    setting: Setting
    now: float = 0.0
    active: dict[JobId, Job] = field(default_factory=dict)
    waiting: dict[JobId, Job] = field(default_factory=dict)
    left_s: dict[JobId, float] = field(default_factory=dict)
    ran: list[ReplayedJob] = field(default_factory=list)
    events: list[tuple[float, int, int, JobId, int]] = field(default_factory=list)
    history: dict[str, Moments] = field(default_factory=dict)
    usage: Mapping[str, float] = field(default_factory=dict)
    usage_at: float = 0.0
    backlog_s: float = 0.0
    backlog_at: float = 0.0
    promised: tuple[JobId, ...] = ()
    evicted_at: float | None = None
    look_at: float = math.inf
    finished: int = 0
    _order: count[int] = field(default_factory=count)

    def run(self, progress: Callable[[float], None] | None = None) -> ReplayResult:
        decisions, spent_s = 0, 0.0
        plan = self.setting.plan or decide
        self.ran = [ReplayedJob() for _ in self.trace]
        for number, job in enumerate(self.trace):
            self._push(job.submit_s, ARRIVE, JobId(number + 1))
        while self.events:
            self.now = self.events[0][0]
            changed = False
            while self.events and self.events[0][0] <= self.now:
                _, _, kind, job_id, attempt = heapq.heappop(self.events)
                changed |= self._happened(kind, job_id, attempt)
            if not changed or not self.waiting:
                continue
            world = self._world()
            began = time.thread_time()
            answer = plan(world)
            spent_s += time.thread_time() - began
            decisions += 1
            self._perform(answer)
            self._look_again(answer.wake_at)
            if progress is not None and decisions % _TOLD_EVERY == 0:
                progress(self.finished / len(self.trace))
        unfinished = [number for number, ran in enumerate(self.ran) if ran.finished_at < 0]
        assert not unfinished, f"{len(unfinished)} jobs never finished, the first is {unfinished[0]}"
        return ReplayResult(tuple(self.ran), decisions, spent_s)

    # --- events ----------------------------------------------------------------------------------------

    def _push(self, at: float, kind: int, job_id: JobId, attempt: int = 0) -> None:
        heapq.heappush(self.events, (at, next(self._order), kind, job_id, attempt))

    def _happened(self, kind: int, job_id: JobId, attempt: int) -> bool:
        if kind == ARRIVE:
            self._arrive(job_id)
            return True
        if kind == LOOK:
            if self.look_at <= self.now:
                self.look_at = math.inf
                return True
            return False
        job = self.active.get(job_id)
        if job is None or job.attempts != attempt:
            return False  # it was saved and stopped before
        assert isinstance(job.state, Running)
        if kind == END and job.state.evict_requested_at is None:
            self._end(job)
            return True
        if kind == SAVED:
            self._saved(job)
            return True
        return False

    def _arrive(self, job_id: JobId) -> None:
        traced = self.trace[job_id - 1]
        shared = traced.gpus == 1 and traced.gpu_share < 1
        needs = Needs(
            traced.cpus,
            traced.mem_bytes,
            traced.gpus,
            int(traced.gpu_share * GPU_BYTES) if shared else None,
            traced.limit_s,
        )
        spec = JobSpec(
            f"job {job_id}",
            (traced.program,) if traced.program else (),
            "/",
            "",
            needs,
            user=traced.user,
            checkpoint=self._saves(job_id, traced),
            grace_s=self.setting.save_s,
        )
        job = Job(job_id, spec, Queued(self.now), self.now, forecast=self._forecast(spec, traced))
        self.waiting[job_id] = job
        self.left_s[job_id] = traced.run_s

    def _saves(self, job_id: JobId, traced: TraceJob) -> bool:
        if traced.saves is not None:
            return traced.saves
        return (job_id - 1) * 7919 % 100 < 100 * self.setting.coverage

    def _end(self, job: Job) -> None:
        del self.active[job.id]
        self.finished += 1
        assert isinstance(job.state, Running)
        self.ran[job.id - 1].finished_at = self.now
        self.ran[job.id - 1].held.append((job.state.started_at, self.now))
        if self.setting.knowledge is not Knowledge.LEARNED:
            return
        run_s = self.trace[job.id - 1].run_s
        for key in runtime_keys(job.spec):
            self.history[key] = self.history.get(key, Moments()).with_run(run_s)
        known: dict[tuple[str, ...], Forecast | None] = {}
        for other in [each for each in self.waiting.values() if each.spec.user == job.spec.user]:
            keys = runtime_keys(other.spec)
            if keys not in known:
                known[keys] = self._forecast(other.spec, self.trace[other.id - 1])
            self.waiting[other.id] = replace(other, forecast=known[keys])

    def _saved(self, job: Job) -> None:
        state = job.state
        assert isinstance(state, Running)
        assert state.evict_requested_at is not None
        worked_s = state.evict_requested_at - state.started_at
        redone_s = min(worked_s, self.setting.restart_s)
        ran = self.ran[job.id - 1]
        ran.evictions += 1
        ran.held.append((state.started_at, self.now))
        ran.lost_s += redone_s + self.setting.save_s
        self.left_s[job.id] -= worked_s - redone_s
        assert self.left_s[job.id] > 0
        del self.active[job.id]
        self.waiting[job.id] = replace(
            job,
            state=Queued(self.now),
            attained_s=job.attained_s + worked_s - redone_s,
            evictions=job.evictions + 1,
        )

    # --- deciding --------------------------------------------------------------------------------------

    def _world(self) -> World:
        rules = self.setting.settings
        before = World(
            self.now, self.capacity, rules, jobs=self.active, usage=self.usage, usage_at=self.usage_at
        )
        self.usage, self.usage_at = accrued(before, self.now), self.now
        known = replace(before, usage=self.usage, usage_at=self.usage_at)
        head = (
            self.waiting.values()
            if self.setting.whole_queue
            else choose(self.waiting.values(), Order.of(known), rules.window, self.promised)
        )
        jobs = self.active | {job.id: job for job in head}
        needs = {job.id: job.spec.needs for job in self.active.values()}
        available = self.capacity.mem_bytes - sum(each.mem_bytes for each in needs.values())
        if self.setting.foreign:
            seen = bisect_right(self.setting.foreign, self.now, key=lambda each: each[0])
            available -= self.setting.foreign[seen - 1][1] if seen else 0
        sample = Sample(
            self.now,
            cpu_foreign=0.0,
            mem_total_bytes=self.capacity.mem_bytes,
            mem_available_bytes=available,
            devices=self._devices(),
            jobs={job_id: Usage(mem_bytes=each.mem_bytes) for job_id, each in needs.items()},
        )
        world = with_backlog(
            replace(
                known,
                jobs=jobs,
                sample=sample,
                queued_outside_window=len(self.waiting) + len(self.active) - len(jobs),
                promised=self.promised,
                evicted_at=self.evicted_at,
                backlog_s=self.backlog_s,
                backlog_at=self.backlog_at,
            )
        )
        self.backlog_s, self.backlog_at = world.backlog_s, world.backlog_at
        return world

    def _devices(self) -> tuple[DeviceSample, ...]:
        used = dict.fromkeys((device.uuid for device in self.capacity.devices), 0)
        whole: dict[str, JobId] = {}
        for job in self.active.values():
            assert isinstance(job.state, Running)
            for uuid in job.state.grant.device_uuids:
                share = job.spec.needs.gpu_mem_bytes
                used[uuid] += GPU_BYTES if share is None else share
                assert uuid not in whole, "a whole device is shared"
                if share is None:
                    whole[uuid] = job.id
        assert all(each <= GPU_BYTES for each in used.values()), "a device is overfull"
        return tuple(DeviceSample(uuid, 0, 0, 0) for uuid in used)

    def _perform(self, plan: Plan) -> None:
        for start in plan.starts:
            self._start(self.waiting.pop(start.job_id), start.grant)
        for eviction in plan.evictions:
            job = self.active[eviction.job_id]
            assert isinstance(job.state, Running)
            assert job.spec.checkpoint, "it cannot go on"
            self.evicted_at = self.now
            self.active[job.id] = replace(
                job,
                state=replace(job.state, evict_requested_at=self.now, evict_for=eviction.for_jobs),
            )
            ends_in_s = self.left_s[job.id] - (self.now - job.state.started_at)
            if ends_in_s <= self.setting.save_s:  # it is done before it has saved
                self.active[job.id] = job
                self._push(self.now + max(ends_in_s, 0.0), END, job.id, job.attempts)
            else:
                self._push(self.now + self.setting.save_s, SAVED, job.id, job.attempts)
        for_jobs = [job_id for eviction in plan.evictions for job_id in eviction.for_jobs]
        awaited = {
            job_id
            for job in self.active.values()
            if isinstance(job.state, Running)
            for job_id in job.state.evict_for
        }
        promised = dict.fromkeys((*self.promised, *for_jobs))
        self.promised = tuple(j for j in promised if j in self.waiting and j in awaited)
        self._check()

    def _look_again(self, wake_at: float | None) -> None:
        at = min(math.inf if wake_at is None else wake_at, self.now + self.setting.look_every_s)
        if at < self.look_at and self.waiting:
            self.look_at = max(at, self.now + 1.0)
            self._push(self.look_at, LOOK, JobId(0))

    def _start(self, job: Job, grant: Grant) -> None:
        attempt = job.attempts + 1
        state = Running(self.now, attempt, grant, 1)
        self.active[job.id] = replace(job, state=state, attempts=attempt)
        if self.ran[job.id - 1].started_at < 0:
            self.ran[job.id - 1].started_at = self.now
        self._push(self.now + self.left_s[job.id], END, job.id, attempt)

    def _check(self) -> None:
        cpus = sum(job.spec.needs.cpus for job in self.active.values())
        mem_bytes = sum(job.spec.needs.mem_bytes for job in self.active.values())
        assert cpus <= self.capacity.cpus + 1e-6, "more cores are given than there are"
        assert mem_bytes <= self.capacity.mem_bytes, "more memory is given than there is"
        self._devices()

    def _forecast(self, spec: JobSpec, traced: TraceJob) -> Forecast | None:
        match self.setting.knowledge:
            case Knowledge.TRUTH:
                return Forecast(traced.run_s, traced.run_s, 1)
            case Knowledge.LEARNED:
                return forecast(spec, self.history.get)
            case Knowledge.LIMITS:
                return None
