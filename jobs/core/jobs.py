"""The nouns of the engine: jobs, needs, states, reasons.

Pure values, shared by the engine, the store and every front end. Nothing here does I/O, reads a
clock or imports another module of this repository. Times are Unix seconds (`*_at`) or durations
(`*_s`), memory is bytes, a missing reading is `None` and never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar, NamedTuple, NewType

from jobs.core.kinds import JobKind

JobId = NewType("JobId", int)

MIB = 1024**2
CANCELLED_BY_YOU = "cancelled by you"
PRUNED = "pruned"
GIB = 1024**3


# --- what a job asks for ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Needs:
    """What one job reserves while it runs.

    `gpu_mem_bytes` is per device; `None` with `gpus > 0` asks for whole devices, a number allows the
    devices to be shared. `mem_is_limit` says that the person or the recipe named the memory, so a job
    that goes past it is stopped; a default only reserves. `time_limit_s` None means no limit.
    """

    cpus: float = 1.0
    mem_bytes: int = GIB
    gpus: int = 0
    gpu_mem_bytes: int | None = None
    time_limit_s: float | None = None
    mem_is_limit: bool = False


class DependencyKind(StrEnum):
    """`OK` waits for success, `ANY` for the end, however it went."""

    OK = "ok"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Dependency:
    job_id: JobId
    kind: DependencyKind = DependencyKind.OK


class OnReboot(StrEnum):
    """What becomes of a job that ran when the machine was restarted."""

    REQUEUE = "requeue"
    FAIL = "fail"


ParamValue = int | float | bool | str


class GroupRef(NamedTuple):
    """The group that a job belongs to: the id of its first job, and how many jobs were queued together.

    In an optimization the first job is the controller, and `size` is 0.
    """

    first: JobId
    size: int


@dataclass(frozen=True, slots=True)
class JobSpec:
    """Everything fixed at submit.

    `argv` is run as a list, never through a shell. `env_digest` names the captured environment file
    (`CRO_HOME/environments/<digest>.json`, mode 0600): variables can hold secrets, so they never enter
    the database. `recipe` and `params` are set for recipe jobs only. `framework` is the recipe's framework
    ("sklearn", "tensorflow"); `warm` lets it start from a process that has imported it. `expected_s` is
    what earlier runs took. `user` is the login name of who submitted it. `checkpoint` is its promise to
    save and exit with 75 within `grace_s` of a SIGTERM, and to go on from `CRO_RESUME` when started again.
    `explicit_needs` are the needs that the person named ("cpus", "mem", "vram"): nothing learned replaces
    them. `input_bytes` is the size of the files that its arguments named at submit. `group` is set on the
    jobs of a sweep and on the trials of an optimization. `secrets` are the names of the secrets that become
    variables as it starts. `unknown` are keys, with their values as JSON, that another version of cro-tui
    wrote and that are written back.
    """

    name: str
    argv: tuple[str, ...]
    cwd: str
    env_digest: str
    needs: Needs = field(default_factory=Needs)
    priority: int = 50
    after: tuple[Dependency, ...] = ()
    recipe: str | None = None
    params: tuple[tuple[str, ParamValue], ...] = ()
    framework: str | None = None
    warm: bool = True
    grace_s: float = 10.0
    on_reboot: OnReboot = OnReboot.FAIL
    start_held: bool = False
    retry_of: JobId | None = None
    expected_s: float | None = None
    user: str = ""
    checkpoint: bool = False
    explicit_needs: tuple[str, ...] = ()
    input_bytes: int = 0
    group: GroupRef | None = None
    secrets: tuple[str, ...] = ()
    kind: JobKind = JobKind.COMMAND
    unknown: tuple[tuple[str, str], ...] = ()


# --- states: one class each, with exactly the fields that state can have ---------------------------


class StateName(StrEnum):
    QUEUED = "queued"
    HELD = "held"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a started attempt was given: its devices by UUID, in the order CUDA numbers them.

    `reserved` is what it reserves where that is not what was asked for: what earlier runs used.
    """

    device_uuids: tuple[str, ...] = ()
    reserved: Needs | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a job's whole process tree used. Peaks are over the attempt's life; `None` is not measured.

    Of an attempt that has ended, `gpu_mem_bytes` is the peak, and `cpus` what 95 % of its seconds did not
    exceed.
    """

    cpu_s: float | None = None
    mem_bytes: int | None = None
    peak_mem_bytes: int | None = None
    gpu_mem_bytes: int | None = None
    processes: int | None = None
    cpus: float | None = None  # cores in use over the last sampling interval


@dataclass(frozen=True, slots=True)
class Queued:
    name: ClassVar[StateName] = StateName.QUEUED
    since_at: float


@dataclass(frozen=True, slots=True)
class Held:
    name: ClassVar[StateName] = StateName.HELD
    since_at: float
    cause: str = "held by you"


@dataclass(frozen=True, slots=True)
class Starting:
    """`cancel_requested_at` is set when a stop was asked for before the launch was known to work, and
    `cancel_cause` when that was not a person: see `Cancelled.cause`."""

    name: ClassVar[StateName] = StateName.STARTING
    since_at: float
    attempt: int
    grant: Grant
    cancel_requested_at: float | None = None
    cancel_cause: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """`cancel_requested_at` is set once a stop was asked for and the tree is being taken down.

    `evict_requested_at` is set once it was asked to save and make room for `evict_for`; it holds what it
    holds until it has ended, and then waits again with its progress kept (held if `hold_after`).
    """

    name: ClassVar[StateName] = StateName.RUNNING
    started_at: float
    attempt: int
    grant: Grant
    pid: int
    cancel_requested_at: float | None = None
    evict_requested_at: float | None = None
    evict_for: tuple[JobId, ...] = ()
    hold_after: bool = False
    cancel_cause: str = ""


@dataclass(frozen=True, slots=True)
class Paused:
    """Stopped (SIGSTOP) with its memory still held; it keeps its reservation of memory and devices."""

    name: ClassVar[StateName] = StateName.PAUSED
    since_at: float
    started_at: float
    attempt: int
    grant: Grant
    pid: int


@dataclass(frozen=True, slots=True)
class Succeeded:
    name: ClassVar[StateName] = StateName.SUCCEEDED
    started_at: float
    finished_at: float
    usage: Usage
    exit_code: ClassVar[int] = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """Exactly one of `exit_code` and `signal` is set, or neither when it never ran (`cause` says why)."""

    name: ClassVar[StateName] = StateName.FAILED
    started_at: float | None
    finished_at: float
    exit_code: int | None
    signal: int | None
    cause: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Cancelled:
    """`started_at` None: it never ran. A job can still have left an exit code when it was stopped.

    `cause` begins with `PRUNED` where an optimisation stopped it because others did better.
    """

    name: ClassVar[StateName] = StateName.CANCELLED
    started_at: float | None
    finished_at: float
    exit_code: int | None
    signal: int | None
    usage: Usage
    cause: str = CANCELLED_BY_YOU


@dataclass(frozen=True, slots=True)
class TimedOut:
    name: ClassVar[StateName] = StateName.TIMED_OUT
    started_at: float
    finished_at: float
    exit_code: int | None
    signal: int | None
    limit_s: float
    usage: Usage


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """`limit_bytes` is None when the kernel, not our limit, ended it."""

    name: ClassVar[StateName] = StateName.OUT_OF_MEMORY
    started_at: float
    finished_at: float
    exit_code: int | None
    signal: int | None
    peak_bytes: int | None
    limit_bytes: int | None
    usage: Usage


@dataclass(frozen=True, slots=True)
class Lost:
    """Its fate cannot be known. Never a success; `cause` says what was found."""

    name: ClassVar[StateName] = StateName.LOST
    started_at: float | None
    finished_at: float
    cause: str
    usage: Usage


Waiting = Queued | Held
Active = Starting | Running | Paused
Ended = Succeeded | Failed | Cancelled | TimedOut | OutOfMemory | Lost
State = Waiting | Active | Ended

ENDED = frozenset(
    {
        StateName.SUCCEEDED,
        StateName.FAILED,
        StateName.CANCELLED,
        StateName.TIMED_OUT,
        StateName.OUT_OF_MEMORY,
        StateName.LOST,
    }
)

TRANSITIONS: Mapping[StateName, frozenset[StateName]] = {
    StateName.QUEUED: frozenset(
        {StateName.HELD, StateName.STARTING, StateName.CANCELLED, StateName.FAILED}
    ),
    StateName.HELD: frozenset({StateName.QUEUED, StateName.CANCELLED, StateName.FAILED}),
    StateName.STARTING: frozenset({StateName.STARTING, StateName.RUNNING, StateName.QUEUED}) | ENDED,
    StateName.RUNNING: frozenset({StateName.RUNNING, StateName.PAUSED, StateName.QUEUED, StateName.HELD})
    | ENDED,
    StateName.PAUSED: frozenset({StateName.RUNNING, StateName.HELD}) | ENDED,
} | {name: frozenset[StateName]() for name in ENDED}


@dataclass(frozen=True, slots=True)
class Forecast:
    """What earlier runs say of the next one. It plans; it never stops a job.

    `run_s` is the expected wall time of a whole run, `shortest_s` an optimistic bound of it (both with what
    was done in earlier attempts), `spread` the standard deviation of its logarithm; `runs` earlier runs
    stand behind them. `needs` is what it should reserve, from `sized_runs` earlier runs; None where that is
    what was asked for. `saves` False: earlier runs of it did not save when asked. `restart_cost_s`: what it
    cost earlier ones to save, stop and be at work again; None where that was not seen.
    """

    run_s: float
    shortest_s: float
    runs: int = 0
    spread: float = 1.0
    needs: Needs | None = None
    sized_runs: int = 0
    saves: bool = True
    restart_cost_s: float | None = None


class IllegalTransition(Exception):
    """A programming error: the engine tried to move a job where it cannot go."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job: what was asked for, where it stands, and why it waits.

    `reasons` and `estimated_start_at` are set only while it waits, `metrics` once it has ended and
    left a `metrics.json`. `usage` is the last one seen while it runs and the final one afterwards.
    `failed_starts` counts the launches in a row, up to now, that failed before the job did anything.
    `evictions` counts how often it was saved and stopped for others; `attained_s` is the run time of its
    earlier attempts that is kept in its checkpoint, `lost_s` what had to be done again. `idle_s` counts
    the time in which it was not to run: held, or behind jobs that it needs. `forecast` is
    refreshed as runs end and never stored. `failed_saves` counts the times that it did not save when asked.
    `memory_tries` counts the attempts that ran out of memory and were followed by another, which reserves
    `grown_mem_bytes`, or `grown_gpu_mem_bytes` of each device. `unknown` is as in `JobSpec`.
    """

    id: JobId
    spec: JobSpec
    state: State
    submitted_at: float
    attempts: int = 0
    usage: Usage = field(default_factory=Usage)
    reasons: tuple[Reason, ...] = ()
    estimated_start_at: float | None = None
    metrics: tuple[tuple[str, float], ...] = ()
    failed_starts: int = 0
    evictions: int = 0
    attained_s: float = 0.0
    lost_s: float = 0.0
    idle_s: float = 0.0
    failed_saves: int = 0
    memory_tries: int = 0
    grown_mem_bytes: int = 0
    grown_gpu_mem_bytes: int = 0
    forecast: Forecast | None = None
    unknown: tuple[tuple[str, str], ...] = ()

    @property
    def needs(self) -> Needs:
        """What it reserves: while active, what it was started with; else what it asked for, or what earlier
        runs used where nobody named it."""
        grant = getattr(self.state, "grant", None)
        if grant is not None:
            return grant.reserved or self.spec.needs
        needs = (self.forecast and self.forecast.needs) or self.spec.needs
        if needs.mem_bytes < self.grown_mem_bytes:
            needs = replace(needs, mem_bytes=self.grown_mem_bytes)
        if needs.gpu_mem_bytes is not None and needs.gpu_mem_bytes < self.grown_gpu_mem_bytes:
            needs = replace(needs, gpu_mem_bytes=self.grown_gpu_mem_bytes)
        return needs

    @property
    def mem_limit_bytes(self) -> int | None:
        """The memory beyond which it is stopped: what somebody named, or what it was given after that."""
        asked = self.spec.needs
        return max(asked.mem_bytes, self.grown_mem_bytes) if asked.mem_is_limit else None

    @property
    def can_save(self) -> bool:
        """Whether it can be asked to save and make room: it promised to, and has kept its word so far."""
        if self.failed_saves or not self.spec.checkpoint:
            return False
        return self.forecast is None or self.forecast.saves

    def to(self, state: State) -> Job:
        """Return the job in its next state; raises IllegalTransition for a move not in TRANSITIONS."""
        if state.name not in TRANSITIONS[self.state.name]:
            raise IllegalTransition(f"job {self.id}: {self.state.name} -> {state.name}")
        return replace(self, state=state, reasons=(), estimated_start_at=None)


# --- why a job waits ---------------------------------------------------------------------------


class ReasonCode(StrEnum):
    NOT_SEEN = "not_seen"  # submitted, the scheduler has not read it yet
    AHEAD = "ahead"  # others go first
    CPUS = "cpus"  # reserved by our jobs
    MEMORY = "memory"
    GPUS = "gpus"
    GPU_MEMORY = "gpu_memory"
    FOREIGN_CPU = "foreign_cpu"  # taken by programs outside the queue
    FOREIGN_MEMORY = "foreign_memory"
    FOREIGN_GPU = "foreign_gpu"
    PRESSURE = "pressure"
    SETTLING = "settling"  # a fresh job's real use is not seen yet
    BACKFILL = "backfill"  # would fit, but would delay a job ahead of it
    DEPENDENCY = "dependency"
    DEPENDENCY_FAILED = "dependency_failed"
    HELD = "held"
    DRAINING = "draining"
    ALERT = "alert"  # something is wrong with the machine, and the rules pause for it
    NO_SAMPLE = "no_sample"  # the machine cannot be read just now
    TOO_BIG = "too_big"  # can never fit this machine
    EVICTED = "evicted"  # it saved and made room for others
    MAKING_ROOM = "making_room"  # others save and stop for it
    TRIAL = "trial"  # nothing is known of its program yet
    FAIR = "fair"  # its user has used much of late
    OVERDUE = "overdue"  # it has waited longer than in order of arrival: it goes first
    MORE_MEMORY = "more_memory"  # it ran out of memory and is tried again with more
    MORE_GPU_MEMORY = "more_gpu_memory"
    GUARD = "guard"  # kept free for the person at the keyboard
    START_FAILED = "start_failed"  # the last try to start failed; retried after a pause
    NO_SCHEDULER = "no_scheduler"  # the daemon is not running


class Unit(StrEnum):
    CPUS = "cpus"
    BYTES = "bytes"
    DEVICES = "devices"
    PERCENT = "percent"
    SECONDS = "seconds"
    JOBS = "jobs"


@dataclass(frozen=True, slots=True)
class Reason:
    """One typed reason, with its numbers; sentences are made from it in `cro_tui.present`.

    `needed` and `free` share `unit`. `jobs` are the jobs in the way, most relevant first. `until_at`
    is when it is expected to pass, where that can be told. `detail` is free text (a device name, the
    cause of a failed start); it may come from outside and is shown as plain text only.
    """

    code: ReasonCode
    needed: float | None = None
    free: float | None = None
    unit: Unit | None = None
    jobs: tuple[JobId, ...] = ()
    until_at: float | None = None
    detail: str = ""
