"""The borders of the pure core: what it needs from the outside, and the error tree.

Protocols and plain values only; implementations live in `store`, `sensor` and `executors`. A port
says what must hold, never how.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from jobs.core.jobs import MIB, JobId, Usage
from jobs.core.machine import Capacity, Sample


class CroError(Exception):
    """Root of every error a person may see: `title` in one sentence, `detail` says what to do next."""

    def __init__(self, title: str, detail: str = "") -> None:
        super().__init__(title)
        self.title = title
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.title} {self.detail}".strip()


class BadInput(CroError):
    """Remedy: type something else."""


class NeverFits(BadInput):
    """Remedy: ask for less, or use a bigger machine."""


class NoSuchJob(BadInput):
    """Remedy: look at the list and name a job that is there."""


class WrongState(CroError):
    """Remedy: the act does not suit the job's state; do something else with it."""


class StateUnavailable(CroError):
    """Remedy: start or repair the scheduler or its files, then try again."""


# --- running things --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Launch:
    """A named, immutable batch job for an executor.

    `name` (`cro-<instance>-<job>-<attempt>`, DNS-1123, at most 52 characters) is the key of every other
    call. `environment_path` is the captured environment; `extra_env` is laid over it.
    `mem_limit_bytes` None: memory is watched, not limited. `framework` set: start it from a process
    that has imported that framework, where one can be had; `why_cold` says why it is not to be, or could
    not be.
    `low_priority`: it gets CPU, disk and memory after the programs of the person at the keyboard.
    Of an output longer than `log_max_bytes`, the middle is dropped; 0 keeps all of it. `record` is what the
    store knows of the job, to be kept with it. `secrets` are names of files in `secrets_folder` that become
    variables as the job starts.
    """

    name: str
    job_id: JobId
    attempt: int
    argv: tuple[str, ...]
    cwd: str
    environment_path: str
    extra_env: Mapping[str, str]
    mem_limit_bytes: int | None
    time_limit_s: float | None
    grace_s: float
    framework: str | None = None
    why_cold: str = ""
    low_priority: bool = True
    log_max_bytes: int = 256 * MIB
    record: str = ""
    secrets: tuple[str, ...] = ()
    secrets_folder: str = ""


class Phase(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"
    MISSING = "missing"  # nothing is known of this name now; lost only after several such answers
    ORPHANED = "orphaned"  # its supervisor is surely dead, and left no word of how it ended


class ExitCause(StrEnum):
    EXITED = "exited"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    COULD_NOT_START = "could_not_start"
    SUPERVISOR_DIED = "supervisor_died"


@dataclass(frozen=True, slots=True)
class Exit:
    """How an attempt ended, as its supervisor wrote it down.

    `out_of_gpu_memory`: it failed, and its framework's last words were that a GPU had no more memory.
    `first_report_s`: how long after its start it reported for the first time.
    """

    cause: ExitCause
    exit_code: int | None
    signal: int | None
    started_at: float | None
    finished_at: float
    usage: Usage
    detail: str = ""
    mem_limit_bytes: int | None = None
    metrics: tuple[tuple[str, float], ...] = ()
    out_of_gpu_memory: bool = False
    first_report_s: float | None = None


@dataclass(frozen=True, slots=True)
class Launched:
    """The answer to a submit: the native id, or "ended" when it is over already, and how it was started."""

    native: str
    how: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """`how` tells how it was started: warm, or cold and why, and how long that took."""

    phase: Phase
    pid: int | None = None  # of the supervisor
    started_at: float | None = None
    usage: Usage = field(default_factory=Usage)
    exit: Exit | None = None
    how: str = ""


class Executor(Protocol):
    """Runs batch jobs that outlive the caller. Every call is safe to repeat."""

    def listen(self, on_change: Callable[[str], None]) -> None:
        """Call `on_change(name)` soon after the attempt of that name starts or ends."""

    async def submit(self, launch: Launch) -> Launched:
        """Start it; a name that already runs or ran is not started again."""

    async def poll(self, names: Collection[str]) -> Mapping[str, Status]:
        """One answer for each name; an unknown name is MISSING."""

    async def cancel(self, name: str, grace_s: float) -> None:
        """Ask the whole tree to end, and make it after the grace time; returns before the end."""

    async def pause(self, name: str) -> None:
        """Stop the tree where it stands; its memory stays held."""

    async def resume(self, name: str) -> None:
        """Let a paused tree go on."""

    async def forget(self, name: str) -> None:
        """Drop what the executor keeps for an ended name; the job folder stays."""

    async def close(self) -> None:
        """Let go of everything held by this process; running jobs go on."""


class Sensor(Protocol):
    """Reads the machine."""

    def capacity(self) -> Capacity:
        """The machine's size (inside a container: its limits)."""

    def read(
        self,
        now: float,
        jobs: Mapping[JobId, Usage],
        supervisors: Mapping[int, JobId],
        own_cpu_s: float,
    ) -> Sample:
        """One reading.

        `jobs` is the live use of our running jobs, `supervisors` their supervisors' pids (to tell our
        GPU processes from foreign ones), `own_cpu_s` the cumulative CPU seconds of ended jobs and of our
        own processes, so that foreign load = busy - jobs - own. Never blocks longer than 0.2 s; what
        does not answer is None.
        """


class Clock(Protocol):
    def __call__(self) -> float:
        """Unix seconds."""
