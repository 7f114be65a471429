"""What the scheduler sees and what it answers: World, Plan, WarmPlan.

Pure values for `policy.decide` and `engine.step`. A World holds the active jobs and the *head* of the
queue, never the whole table, so its size does not grow with the number of queued jobs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jobs.core.jobs import Grant, Job, JobId, Reason, StateName
from jobs.core.machine import Capacity, Sample
from jobs.core.rules import SchedulerSettings


@dataclass(frozen=True, slots=True)
class Gate:
    """Pressure gate with hysteresis: closed since `closed_at`, calm since `calm_at` (both or one None)."""

    closed_at: float | None = None
    calm_at: float | None = None
    detail: str = ""  # what closed it, with its number


@dataclass(frozen=True, slots=True, order=True)
class WarmKey:
    """A framework as one interpreter has it, with the packages of that interpreter's environment."""

    framework: str
    python: str


@dataclass(frozen=True, slots=True)
class WarmProcess:
    """A process that has imported a stack for its jobs. `mem_bytes` None: it is starting.

    `used_at`: when it last started a job, or was started itself.
    """

    key: WarmKey
    mem_bytes: int | None
    used_at: float


@dataclass(frozen=True, slots=True)
class World:
    """Everything a decision may look at.

    `jobs`: active jobs and the head of the queue. `dependency_states`: states of dependency targets
    that are not in `jobs`. `queued_outside_window`: how many more jobs wait behind those in `jobs`,
    None while the head of the queue has not been loaded. `retry_at`: jobs whose last start failed, with
    the earliest time for the next try and the cause. `sample` None: the machine could not be read.
    `warm`: the processes kept warm, whose memory nobody else can have. `promised`: waiting jobs for
    which others were evicted, in order; they go before all others. `usage`: each user's dominant-share
    seconds, decayed to `usage_at`. `evicted_at`: when the last of them was asked. `backlog_s`: how long
    the whole machine was to be busy with the work at hand when that was most, fading up to
    `backlog_at`.
    """

    now: float
    capacity: Capacity
    settings: SchedulerSettings = field(default_factory=SchedulerSettings)
    jobs: Mapping[JobId, Job] = field(default_factory=dict)
    dependency_states: Mapping[JobId, StateName] = field(default_factory=dict)
    sample: Sample | None = None
    draining: bool = False
    gate: Gate = field(default_factory=Gate)
    retry_at: Mapping[JobId, tuple[float, str]] = field(default_factory=dict)
    queued_outside_window: int | None = None
    warm: tuple[WarmProcess, ...] = ()
    promised: tuple[JobId, ...] = ()
    usage: Mapping[str, float] = field(default_factory=dict)
    usage_at: float = 0.0
    evicted_at: float | None = None
    backlog_s: float = 0.0
    backlog_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Start:
    job_id: JobId
    grant: Grant


@dataclass(frozen=True, slots=True)
class Eviction:
    """A checkpointable job that is to save and stop, and the waiting jobs that get its place.

    Where there are none, `cause` says in words why it is asked.
    """

    job_id: JobId
    for_jobs: tuple[JobId, ...]
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer: start these now, let those make room, hold the rest because.

    `held` has every waiting job of the world that is not in `starts`, each with at least one reason.
    `estimates` has those of them whose start can be told (Unix seconds, never before `now`).
    `wake_at`: when to decide again even if nothing happens. `evictions`: running jobs to be saved and
    stopped now; whom they make room for stays in `held` and starts when the room is really free.
    """

    starts: tuple[Start, ...] = ()
    evictions: tuple[Eviction, ...] = ()
    held: Mapping[JobId, tuple[Reason, ...]] = field(default_factory=dict)
    estimates: Mapping[JobId, float] = field(default_factory=dict)
    wake_at: float | None = None


@dataclass(frozen=True, slots=True)
class WarmPlan:
    """For which stacks a warm process is to be started, and for which it is to be stopped.

    `without`: why a stack that jobs would use gets none.
    """

    start: frozenset[WarmKey] = frozenset()
    stop: frozenset[WarmKey] = frozenset()
    without: Mapping[WarmKey, str] = field(default_factory=dict)
