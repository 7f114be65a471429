"""What happens to the engine, and what it asks for in return.

Plain values. Every event carries `at`, the moment it is told of (Unix seconds), so that a log of events
replays to the same world. Events that bring a job in from the store also bring `fates`, the states of its
dependencies; the engine takes what it holds itself first. Nothing here acts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jobs.core.jobs import DependencyKind, Forecast, Job, JobId, JobSpec, Reason, StateName
from jobs.core.machine import Capacity, Sample
from jobs.core.ports import Exit
from jobs.core.rules import SchedulerSettings
from jobs.core.world import WarmProcess

# --- the queue ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Submitted:
    """A new job, Queued or Held, as built from an intent."""

    at: float
    job: Job
    dependency_states: Mapping[JobId, StateName] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HeadLoaded:
    """The head of the queue as the store has it: queued jobs with all dependencies met, in order.

    Replaces the waiting jobs of the world. `queued_outside_window` counts the like jobs behind them.
    """

    at: float
    jobs: tuple[Job, ...]
    queued_outside_window: int
    dependency_states: Mapping[JobId, StateName] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BecameReady:
    """The last dependency of a queued job was met; told by the store when it settles dependents."""

    at: float
    job: Job
    dependency_states: Mapping[JobId, StateName] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DependencyFailed:
    """`on` ended as `state`, so `job` can never start; `cause` is what `on` said of it, where it did."""

    at: float
    job: Job
    on: JobId
    state: StateName
    cause: str = ""


# --- wishes of people; each brings the job as the store has it now, for it need not be in the world ----


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """`cause` "": a person asked for it."""

    at: float
    job: Job
    cause: str = ""


@dataclass(frozen=True, slots=True)
class HoldRequested:
    """Keeps a queued job from starting; pauses a running one."""

    at: float
    job: Job


@dataclass(frozen=True, slots=True)
class ReleaseRequested:
    """Lets a held job queue; lets a paused one go on."""

    at: float
    job: Job
    dependency_states: Mapping[JobId, StateName] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PriorityChanged:
    at: float
    job: Job
    priority: int
    dependency_states: Mapping[JobId, StateName] = field(default_factory=dict)


# --- the machine and the settings ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DrainChanged:
    at: float
    draining: bool


@dataclass(frozen=True, slots=True)
class Sampled:
    """A reading of the machine; None when it could not be read."""

    at: float
    sample: Sample | None


@dataclass(frozen=True, slots=True)
class CapacityChanged:
    at: float
    capacity: Capacity


@dataclass(frozen=True, slots=True)
class RulesChanged:
    at: float
    settings: SchedulerSettings


@dataclass(frozen=True, slots=True)
class WarmChanged:
    """The processes that are kept warm now."""

    at: float
    warm: tuple[WarmProcess, ...]


@dataclass(frozen=True, slots=True)
class ForecastsMade:
    """What earlier runs say of jobs of the world."""

    at: float
    forecasts: Mapping[JobId, Forecast]


@dataclass(frozen=True, slots=True)
class Decide:
    """Run the policy and turn its starts into Starting.

    `estimate` also looks ahead and refreshes the reasons of jobs that have some; without it only jobs that
    have none yet get theirs. It costs more, and a few times a second is often enough for readers.
    """

    at: float
    estimate: bool = True


# --- attempts; late and repeated ones are ignored ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LaunchAccepted:
    """The supervisor `pid` runs the attempt since `started_at`; `how` is for people."""

    at: float
    job_id: JobId
    attempt: int
    pid: int
    started_at: float
    how: str = ""


@dataclass(frozen=True, slots=True)
class LaunchFailed:
    """The executor could not launch it, or it is known that it never did: tried again after a pause.

    `interrupted`: the scheduler stopped in the middle of it, which says nothing about the job.
    """

    at: float
    job_id: JobId
    attempt: int
    cause: str
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    at: float
    job_id: JobId
    attempt: int
    exit: Exit


@dataclass(frozen=True, slots=True)
class AttemptMissing:
    """The verdict, after several looks, that nothing can be known of the attempt."""

    at: float
    job_id: JobId
    attempt: int
    cause: str


@dataclass(frozen=True, slots=True)
class Rebooted:
    """The attempt belongs to an earlier boot of the machine and left no exit file.

    The job's own `on_reboot` says what becomes of it.
    """

    at: float
    job_id: JobId
    attempt: int


Event = (
    Submitted
    | HeadLoaded
    | BecameReady
    | DependencyFailed
    | CancelRequested
    | HoldRequested
    | ReleaseRequested
    | PriorityChanged
    | DrainChanged
    | Sampled
    | CapacityChanged
    | RulesChanged
    | WarmChanged
    | ForecastsMade
    | Decide
    | LaunchAccepted
    | LaunchFailed
    | AttemptEnded
    | AttemptMissing
    | Rebooted
)


# --- effects ---------------------------------------------------------------------------------------
#
# Save, SettleDependents, Record and ReasonsChanged go to the store, in order, before the next event is
# made from what the store holds; the others are performed after that transaction is committed.


@dataclass(frozen=True, slots=True)
class Save:
    """Write the job's row."""

    job: Job


@dataclass(frozen=True, slots=True)
class SettleDependents:
    """The job has ended: these kinds of dependency on it are met, those never will be.

    The store answers with BecameReady and DependencyNever events.
    """

    job_id: JobId
    state: StateName
    met: frozenset[DependencyKind]
    never: frozenset[DependencyKind]
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the job's story: `event` is a word (mostly the name of the new state)."""

    at: float
    job_id: JobId
    event: str
    attempt: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ReasonsChanged:
    """Why it waits has changed in meaning, or its estimated start has moved enough to tell."""

    job_id: JobId
    reasons: tuple[Reason, ...]
    estimated_start_at: float | None


@dataclass(frozen=True, slots=True)
class CheckpointResult:
    """A job that was asked to save and stop has done so or not; the next ones of its program go by it.

    `took_s`: from the question to its end.
    """

    spec: JobSpec
    saved: bool
    took_s: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """A job that went on from its checkpoint was at work again so long after its start."""

    spec: JobSpec
    took_s: float


@dataclass(frozen=True, slots=True)
class StartAttempt:
    """Launch it; the job is Starting and carries its grant. Only after its Save is committed."""

    job: Job


@dataclass(frozen=True, slots=True)
class StopAttempt:
    job_id: JobId
    attempt: int
    grace_s: float


@dataclass(frozen=True, slots=True)
class PauseAttempt:
    job_id: JobId
    attempt: int


@dataclass(frozen=True, slots=True)
class ResumeAttempt:
    job_id: JobId
    attempt: int


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Decide again at this moment even if nothing happens before; replaces the last one. None: no need."""

    at: float | None


Effect = (
    Save
    | SettleDependents
    | Record
    | ReasonsChanged
    | CheckpointResult
    | Resumed
    | StartAttempt
    | StopAttempt
    | PauseAttempt
    | ResumeAttempt
    | WakeAt
)
