"""A machine in miniature: a virtual clock, an executor that only counts time, and the real decide and step.

Deterministic: equal workloads give equal stories. It checks at every moment that nothing runs that does not
fit, by adding up what runs.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from itertools import count

from jobs.core.jobs import ENDED, GIB, Active, Grant, Job, JobId, JobSpec, Running, Usage
from jobs.core.machine import Capacity, DeviceSample, Sample
from jobs.core.ports import Exit, ExitCause
from jobs.core.rules import SchedulerSettings
from jobs.engine.events import (
    AttemptEnded,
    CancelRequested,
    Effect,
    Event,
    HoldRequested,
    LaunchAccepted,
    LaunchFailed,
    PauseAttempt,
    ReleaseRequested,
    ResumeAttempt,
    StartAttempt,
    StopAttempt,
)
from tests.engine.shell import Shell
from tests.policy.worlds import FIRST_COME

LAUNCH_S = 0.05
SAMPLE_S = 1.0


@dataclass(frozen=True)
class Work:
    """One job of a workload: when it comes, what it asks for, how long it would run and how it behaves."""

    job_id: int
    at: float
    spec: JobSpec
    run_s: float
    code: int = 0
    bad_launches: int = 0
    cancel_at: float | None = None
    hold_at: float | None = None
    release_at: float | None = None


@dataclass
class Attempt:
    job: Job
    left_s: float
    since: float | None = None  # None while paused or not launched
    stopping: bool = False
    number: int = 0  # ends planned before a pause are out of date


@dataclass(order=True)
class Moment:
    at: float
    order: int
    what: str = field(compare=False)
    job_id: JobId = field(compare=False)
    number: int = field(compare=False, default=0)


class Simulator:
    """Runs a workload to its end. `spans` tells when each attempt held its reservation."""

    def __init__(
        self, capacity: Capacity, works: list[Work], rules: SchedulerSettings | None = None
    ) -> None:
        self.shell = Shell(capacity, rules or FIRST_COME, at=0.0)
        self.works = {JobId(work.job_id): work for work in works}
        self.spans: dict[JobId, tuple[float, float]] = {}
        self.most_running = 0
        self.foreign_mem: list[tuple[float, float, int]] = []  # from, until, bytes
        self._order = count()
        self._moments: list[Moment] = []
        self._attempts: dict[JobId, Attempt] = {}
        for work in works:
            self._plan(work.at, "submit", work.job_id)
            for at, what in (
                (work.cancel_at, "cancel"),
                (work.hold_at, "hold"),
                (work.release_at, "release"),
            ):
                if at is not None:
                    self._plan(at, what, work.job_id)

    def run(self, most_s: float = 200_000.0) -> dict[JobId, Job]:
        """Until every job has ended; what became of them."""
        shell = self.shell
        while self._moments or self._unended():
            at = min(
                self._moments[0].at if self._moments else shell.at + SAMPLE_S,
                shell.at + SAMPLE_S if self._unended() else float("inf"),
            )
            shell.at = at
            assert at < most_s, f"still waiting: {self._unended()[:5]}"
            while self._moments and self._moments[0].at <= at:
                self._happen(heapq.heappop(self._moments))
            self._act(shell.decide(estimate=next(self._order) % 7 == 0, sample=self._read()))
            self.most_running = max(self.most_running, self._check())
        return shell.saved

    # --- what happens ------------------------------------------------------------------------------

    def _happen(self, moment: Moment) -> None:
        job_id, shell = moment.job_id, self.shell
        work, attempt = self.works[job_id], self._attempts.get(job_id)
        match moment.what:
            case "submit":
                shell.submit(job_id, work.spec)
            case "cancel":
                self._tell(CancelRequested(shell.at, shell.saved[job_id]))
            case "hold":
                self._tell(HoldRequested(shell.at, shell.saved[job_id]))
            case "release":
                job = shell.saved[job_id]
                self._tell(ReleaseRequested(shell.at, job, shell.fates(job)))
            case "launched" if attempt is not None:
                attempt.since = shell.at
                self._plan(shell.at + attempt.left_s, "end", job_id, attempt.number)
                self._tell(LaunchAccepted(shell.at, job_id, attempt.job.attempts, 7, shell.at))
            case "not launched" if attempt is not None:
                del self._attempts[job_id]
                self._tell(LaunchFailed(shell.at, job_id, attempt.job.attempts, "no more processes"))
            case "end" if attempt is not None and attempt.number == moment.number:
                del self._attempts[job_id]
                cause = ExitCause.CANCELLED if attempt.stopping else ExitCause.EXITED
                code, signal = (None, 15) if attempt.stopping else (work.code, None)
                exit_ = Exit(cause, code, signal, self.spans[job_id][0], shell.at, Usage())
                self.spans[job_id] = (self.spans[job_id][0], shell.at)
                self._tell(AttemptEnded(shell.at, job_id, attempt.job.attempts, exit_))
            case _:
                pass

    def _tell(self, event: Event) -> None:
        self._act(self.shell.tell(event))

    def _act(self, effects: list[Effect]) -> None:
        at = self.shell.at
        for effect in effects:
            match effect:
                case StartAttempt(job):
                    work = self.works[job.id]
                    self._attempts[job.id] = Attempt(job, work.run_s)
                    self.spans[job.id] = (at, float("inf"))
                    bad = job.attempts <= work.bad_launches
                    self._plan(at + LAUNCH_S, "not launched" if bad else "launched", job.id)
                case StopAttempt(job_id):
                    attempt = self._attempts[job_id]
                    if not attempt.stopping:
                        attempt.stopping = True
                        attempt.number += 1
                        self._plan(at + 0.1, "end", job_id, attempt.number)
                case PauseAttempt(job_id):
                    attempt = self._attempts[job_id]
                    attempt.left_s -= at - (at if attempt.since is None else attempt.since)
                    attempt.since = None
                    attempt.number += 1
                case ResumeAttempt(job_id):
                    attempt = self._attempts[job_id]
                    if not attempt.stopping:
                        attempt.since = at
                        attempt.number += 1
                        self._plan(at + attempt.left_s, "end", job_id, attempt.number)

    def _plan(self, at: float, what: str, job_id: int, number: int = 0) -> None:
        heapq.heappush(self._moments, Moment(at, next(self._order), what, JobId(job_id), number))

    # --- the machine ---------------------------------------------------------------------------------

    def _read(self) -> Sample:
        """What a sensor would read: running jobs use half of what they reserve, others what is planned."""
        shell, jobs = self.shell, self.shell.world.jobs.values()
        live = {
            job.id: Usage(mem_bytes=job.spec.needs.mem_bytes // 2, gpu_mem_bytes=_gpu_bytes(job) // 2)
            for job in jobs
            if isinstance(job.state, Running) and job.state.started_at < shell.at
        }
        used = sum(usage.mem_bytes or 0 for usage in live.values())
        used += sum(size for since, until, size in self.foreign_mem if since <= shell.at < until)
        on_device = {device.uuid: 0 for device in shell.capacity.devices}
        for job_id, usage in live.items():
            uuids = _grant(shell.saved[job_id]).device_uuids
            for uuid in uuids:
                on_device[uuid] += (usage.gpu_mem_bytes or 0) // len(uuids)
        return Sample(
            shell.at,
            cpu_foreign=0.0,
            mem_total_bytes=shell.capacity.mem_bytes,
            mem_available_bytes=shell.capacity.mem_bytes - used,
            jobs=live,
            devices=tuple(DeviceSample(uuid, held, 0, 0) for uuid, held in on_device.items()),
        )

    def _unended(self) -> list[Job]:
        return [job for job in self.shell.saved.values() if job.state.name not in ENDED]

    def _check(self) -> int:
        """What really holds the machine at this moment fits it; how many jobs that is."""
        capacity = self.shell.capacity
        holding = [self.shell.saved[job_id] for job_id in self._attempts]
        assert all(isinstance(job.state, Active) for job in holding)
        assert sum(job.spec.needs.cpus for job in holding) <= capacity.cpus + 1e-6
        assert sum(job.spec.needs.mem_bytes for job in holding) <= capacity.mem_bytes - GIB
        for device in capacity.devices:
            on_it = [job for job in holding if device.uuid in _grant(job).device_uuids]
            assert len(on_it) <= 1 or all(job.spec.needs.gpu_mem_bytes is not None for job in on_it)
            assert sum(job.spec.needs.gpu_mem_bytes or 0 for job in on_it) <= device.mem_bytes
        return len(holding)


def with_times(works: list[Work]) -> list[Work]:
    """The same workload with exact expected times, as if each job had run before."""
    return [replace(work, spec=replace(work.spec, expected_s=work.run_s)) for work in works]


def _grant(job: Job) -> Grant:
    assert isinstance(job.state, Active)
    return job.state.grant


def _gpu_bytes(job: Job) -> int:
    needs = job.spec.needs
    return needs.gpus * (12 * GIB if needs.gpu_mem_bytes is None else needs.gpu_mem_bytes)
