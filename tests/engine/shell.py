"""A shell around the engine with a store of dicts, which checks every invariant after every step.

It does with Save, SettleDependents and ReasonsChanged what the real store does, and collects the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from jobs.core.jobs import (
    ENDED,
    GIB,
    TRANSITIONS,
    Active,
    DependencyKind,
    Grant,
    Held,
    Job,
    JobId,
    JobSpec,
    Needs,
    Queued,
    Running,
    Starting,
    StateName,
    Usage,
)
from jobs.core.machine import Capacity, DeviceSample, Sample
from jobs.core.ports import Exit, ExitCause
from jobs.core.rules import SchedulerSettings
from jobs.core.world import World
from jobs.engine.events import (
    BecameReady,
    Decide,
    DependencyFailed,
    Effect,
    Event,
    HeadLoaded,
    ReasonsChanged,
    Record,
    Sampled,
    Save,
    SettleDependents,
    StartAttempt,
    Submitted,
    WakeAt,
)
from jobs.engine.step import step, wants_head

ROOMY = Capacity(cpus=4.0, mem_bytes=16 * GIB)


def calm(at: float, capacity: Capacity, jobs: Mapping[JobId, Job] | None = None) -> Sample:
    """A reading of a machine that only runs our jobs, each of which uses a tenth of its reservation."""
    live = {
        job.id: Usage(mem_bytes=job.spec.needs.mem_bytes // 10)
        for job in (jobs or {}).values()
        if isinstance(job.state, Running) and job.state.started_at <= at
    }
    used = sum(usage.mem_bytes or 0 for usage in live.values())
    return Sample(
        at,
        cpu_foreign=0.0,
        mem_total_bytes=capacity.mem_bytes,
        mem_available_bytes=capacity.mem_bytes - used,
        devices=tuple(DeviceSample(device.uuid, 0, 0, 0) for device in capacity.devices),
        jobs=live,
    )


@dataclass
class Shell:
    """`saved` is what lies on the disk; `world` what the engine knows."""

    capacity: Capacity = ROOMY
    rules: SchedulerSettings = field(default_factory=SchedulerSettings)
    at: float = 1_000.0
    saved: dict[JobId, Job] = field(default_factory=dict)
    todo: list[Effect] = field(default_factory=list)
    story: list[Record] = field(default_factory=list)
    log: list[Event] = field(default_factory=list)
    wake_at: float | None = None
    _unmet: dict[JobId, set[tuple[JobId, DependencyKind]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.world = World(self.at, self.capacity, self.rules)

    # --- telling --------------------------------------------------------------------------------

    def tell(self, event: Event) -> list[Effect]:
        """Step, do what the store does, and go on through what follows; the effects for the outside."""
        outside: list[Effect] = []
        events = deque([event])
        while events:
            following = events.popleft()
            self.log.append(following)
            before = self.world
            self.world, effects = step(self.world, following)
            assert step(before, following) == (self.world, effects), "step is not pure"
            for effect in effects:
                match effect:
                    case Save(job):
                        self._save(job)
                    case ReasonsChanged(job_id, reasons, at):
                        old = self.saved[job_id]
                        self.saved[job_id] = replace(old, reasons=reasons, estimated_start_at=at)
                    case SettleDependents():
                        events += self._settle(effect)
                    case Record():
                        self.story.append(effect)
                    case WakeAt(at):
                        self.wake_at = at
                    case StartAttempt(job):
                        assert self.saved[job.id] == job, "started before it was saved"
                        outside.append(effect)
                    case _:
                        outside.append(effect)
            self.check()
        self.todo += outside
        return outside

    def submit(self, job_id: int, spec: JobSpec | None = None, *, hold: bool = False) -> Job:
        state = Held(self.at) if hold else Queued(self.at)
        job = Job(JobId(job_id), spec or plain(), state, self.at)
        self.tell(Submitted(self.at, job, self.fates(job)))
        return self.saved[job.id]

    def decide(self, *, estimate: bool = True, sample: Sample | None = None) -> list[Effect]:
        """Read the machine, load the head where it is wanted, decide."""
        self.tell(Sampled(self.at, sample or calm(self.at, self.capacity, self.world.jobs)))
        if wants_head(self.world):
            self.load_head()
        return self.tell(Decide(self.at, estimate))

    def load_head(self) -> None:
        ready = sorted(
            (
                job
                for job in self.saved.values()
                if isinstance(job.state, Queued) and not self._unmet.get(job.id)
            ),
            key=lambda job: (-job.spec.priority, job.id),
        )
        head = tuple(ready[: self.rules.window])
        fates = {job_id: fate for job in head for job_id, fate in self.fates(job).items()}
        self.tell(HeadLoaded(self.at, head, len(ready) - len(head), fates))

    def fates(self, job: Job) -> dict[JobId, StateName]:
        return {a.job_id: self.saved[a.job_id].state.name for a in job.spec.after if a.job_id in self.saved}

    def state(self, job_id: int) -> StateName:
        return self.saved[JobId(job_id)].state.name

    def words(self, job_id: int) -> list[str]:
        """The job's story, a word each."""
        return [record.event for record in self.story if record.job_id == job_id]

    # --- the store --------------------------------------------------------------------------------

    def _save(self, job: Job) -> None:
        old = self.saved.get(job.id)
        if old is None:
            self._unmet[job.id] = {
                (a.job_id, a.kind)
                for a in job.spec.after
                if not _met(a.kind, self.saved[a.job_id].state.name if a.job_id in self.saved else None)
            }
        else:
            assert old.state.name not in ENDED, f"{old} was ended and became {job}"
            same = old.state.name is job.state.name
            assert same or job.state.name in TRANSITIONS[old.state.name], f"{old} -> {job}"
            assert job.attempts >= old.attempts
        self.saved[job.id] = job

    def _settle(self, effect: SettleDependents) -> Iterable[Event]:
        events: list[Event] = []
        for job_id, unmet in self._unmet.items():
            for on, kind in sorted(unmet):
                if on != effect.job_id:
                    continue
                job = self.saved[job_id]
                if kind in effect.met:
                    unmet.discard((on, kind))
                    if not unmet and isinstance(job.state, Queued):
                        events.append(BecameReady(self.at, job, self.fates(job)))
                elif job.state.name not in ENDED:
                    assert kind in effect.never
                    events.append(DependencyFailed(self.at, job, on, effect.state))
        return events

    # --- what always holds --------------------------------------------------------------------------

    def check(self) -> None:
        active = [job for job in self.saved.values() if isinstance(job.state, Active)]
        for job in active:
            known = self.world.jobs.get(job.id)
            assert known is not None, f"the world has lost sight of {job}"
            assert _row(known) == _row(job), f"{known} is not what was saved: {job}"
        for job in self.world.jobs.values():
            assert _row(self.saved[job.id]) == _row(job), f"{job} is not {self.saved[job.id]}"
            assert isinstance(job.state, Queued | Active)
            if isinstance(job.state, Queued):
                assert not self._unmet[job.id], f"{job} is not ready"
        waiting = sum(isinstance(job.state, Queued) for job in self.world.jobs.values())
        assert waiting <= self.rules.window * (2 if self.rules.learned_order else 1)
        assert sum(job.needs.cpus for job in active) <= self.capacity.cpus + 1e-6
        assert sum(job.needs.mem_bytes for job in active) <= self.capacity.mem_bytes
        held: set[str] = set()
        for job in active:
            assert isinstance(job.state, Active)
            if job.spec.needs.gpu_mem_bytes is None:
                assert held.isdisjoint(job.state.grant.device_uuids)
                held.update(job.state.grant.device_uuids)


def _row(job: Job) -> Job:
    """As it is stored: forecasts are not."""
    return replace(job, forecast=None)


def _met(kind: DependencyKind, state: StateName | None) -> bool:
    return state is StateName.SUCCEEDED or (kind is DependencyKind.ANY and state in ENDED)


def plain(needs: Needs = Needs(), **rest: object) -> JobSpec:  # noqa: B008 - frozen
    return replace(JobSpec("job", ("true",), "/", "digest", needs), **rest)  # type: ignore[arg-type]


def exited(code: int = 0, *, at: float = 2_000.0, signal: int | None = None) -> Exit:
    return Exit(ExitCause.EXITED, None if signal else code, signal, at - 10, at, Usage(cpu_s=1.0))


def ended(cause: ExitCause, *, at: float = 2_000.0, detail: str = "", code: int | None = None) -> Exit:
    signal = None if code is not None else 15
    return Exit(cause, code, signal, at - 10, at, Usage(peak_mem_bytes=GIB), detail, 2 * GIB)


def grant_of(job: Job) -> Grant:
    assert isinstance(job.state, Starting)
    return job.state.grant
