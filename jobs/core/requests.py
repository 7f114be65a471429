"""What front ends send and see: requests, queries and snapshots.

Pure values shared by `jobs.client` and the front ends. No I/O and no rules: how a request becomes a job is
the client's and the engine's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jobs.core.jobs import Dependency, Job, JobId, Needs, ParamValue, Reason, StateName
from jobs.core.kinds import JobKind
from jobs.core.machine import Capacity, Sample
from jobs.core.tracking import Provenance
from jobs.core.versions import UNVERSIONED, Version


@dataclass(frozen=True, slots=True)
class FirstRun:
    """The job that another is a retry of, and what that and this began with, where it is known."""

    job: Job
    began_with: Provenance | None = None
    now_with: Provenance | None = None


@dataclass(frozen=True, slots=True)
class NeedsRequest:
    """What the person named; `None` means the recipe's default, or else the general one."""

    cpus: float | None = None
    mem_bytes: int | None = None
    gpus: int | None = None
    gpu_mem_bytes: int | None = None
    time_limit_s: float | None = None


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """One job to queue: either `recipe` (with `params` as typed, still text or values) or `argv`.

    `env` None captures the caller's environment. `cwd` None is the caller's working directory.
    `priority` None is the default of the settings. `on_reboot` is "requeue" or "fail"; None leaves it to
    the recipe, and a command fails. `checkpoint` None leaves it to the recipe too; a command then makes no
    promise. `kind` is that of `argv`; a recipe has its own.
    """

    recipe: str | None = None
    params: Mapping[str, ParamValue] = field(default_factory=dict)
    argv: tuple[str, ...] = ()
    name: str | None = None
    cwd: str | None = None
    env: Mapping[str, str] | None = None
    needs: NeedsRequest = field(default_factory=NeedsRequest)
    priority: int | None = None
    after: tuple[Dependency, ...] = ()
    start_held: bool = False
    grace_s: float | None = None
    on_reboot: str | None = None
    checkpoint: bool | None = None
    kind: JobKind = JobKind.COMMAND


class SortKey(StrEnum):
    """`QUEUE`: running, then waiting by priority and age, then ended, newest first."""

    QUEUE = "queue"
    ID = "id"
    NAME = "name"
    PRIORITY = "priority"
    STATE = "state"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Which jobs to show. Empty `states` or `kinds` means all; `text` matches name, recipe, state and id.

    `folded` shows groups as one row each, where all jobs are shown in the queue's order; below those in
    `unfolded` (the ids of groups) stand their jobs. `before` is the end and the id of an ended job: what
    ended before it.
    """

    states: frozenset[StateName] = frozenset()
    kinds: frozenset[JobKind] = frozenset()
    text: str = ""
    sort: SortKey = SortKey.QUEUE
    limit: int = 200
    ids: frozenset[JobId] = frozenset()
    folded: bool = False
    unfolded: frozenset[JobId] = frozenset()
    before: tuple[float, int] | None = None

    @property
    def searches(self) -> bool:
        """Whether it selects by more than states."""
        return bool(self.kinds or self.ids or self.text.strip())

    @property
    def folds(self) -> bool:
        """Whether groups are rows of their own: a filter, or another order, shows jobs one by one."""
        return self.folded and self.sort is SortKey.QUEUE and not (self.states or self.searches)


@dataclass(frozen=True, slots=True)
class JobGroup:
    """Jobs that belong together, as one row of a list: a sweep, or an optimisation with its trials.

    `id` is the first job's, or the first controller's, and `controller` the newest one's. The row stands
    where `foremost` would: a job of it, or its controller. `size` is how many jobs it is to have, `counts`
    is by state; of a job that was retried only the retry counts. `best` is the best `metric` that job
    `best_id` came to, by the first of `judged_by` ("max" or "min") that any has left.
    """

    id: JobId
    name: str
    size: int
    foremost: Job
    counts: Mapping[StateName, int] = field(default_factory=dict)
    controller: JobId | None = None
    judged_by: tuple[tuple[str, str], ...] = ()
    metric: str = ""
    best: float | None = None
    best_id: JobId | None = None


ListRow = Job | JobGroup  # of a list


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One line of a job's story: what happened in a word, and the particulars as plain text."""

    at: float
    event: str
    attempt: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """Whether a scheduler holds the lock, and what it says of itself."""

    running: bool
    pid: int | None = None
    since_at: float | None = None
    draining: bool = False
    note: str = ""
    version: Version = UNVERSIONED


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One consistent picture for a screen. `note` is set when it is stale, with the cause.

    `rows` are the lines of the list, `jobs` those of them that are jobs.
    """

    at: float
    rows: tuple[ListRow, ...] = ()
    matched: int = 0  # how many jobs match the query; `rows` may be cut at its limit
    counts: Mapping[StateName, int] = field(default_factory=dict)
    capacity: Capacity | None = None
    sample: Sample | None = None
    daemon: DaemonStatus = field(default_factory=lambda: DaemonStatus(False))
    note: str = ""

    @property
    def jobs(self) -> tuple[Job, ...]:
        return tuple(row for row in self.rows if isinstance(row, Job))


@dataclass(frozen=True, slots=True)
class Preview:
    """What would happen to a request if it were queued now.

    `problems` maps a field name (a parameter, `cpus`, `mem`, `gpus`, `vram`, `time`, `after`, `recipe`)
    to one sentence; when it is empty, either `starts_now`, or `reasons` (and perhaps an estimate) hold.
    `needs` is what the person and the recipe ask for; `learned`, from `learned_runs` earlier runs, is
    reserved instead but for what the person named. `builds`: its environment is built first, for so many
    requirements of its header; None where there is nothing to build.
    """

    needs: Needs | None = None
    learned: Needs | None = None
    learned_runs: int = 0
    starts_now: bool = False
    reasons: tuple[Reason, ...] = ()
    estimated_start_at: float | None = None
    builds: int | None = None
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Headroom:
    """What the scheduler could give to a job now, and the job that would be next to get it.

    `devices` has the free bytes of each GPU by its key ("0", "0:MIG1"), None where it is held whole or
    cannot be read. `next_job` has its reasons and, where it can be told, its start.
    """

    cpus: float
    mem_bytes: int
    devices: tuple[tuple[str, int | None], ...] = ()
    next_job: Job | None = None


@dataclass(frozen=True, slots=True)
class StartEstimate:
    """What stands behind a waiting job's place, and what is foreseen for it.

    `place` of `waiting` jobs that could start, 1 first; None while it could not. Jobs go by the smallest
    `left_s` * `share` * `use` / `age` * `priority`: expected seconds left, share of the machine, what its
    user has used of late, how long it waits, its priority. `soonest_at` and `latest_at` enclose `starts_at`
    in four of five cases, if runs take what earlier ones did; `sooner_at` is its start with a priority one
    higher. `error` is the median error of the last `scored` estimates, as a share of the wait foretold.
    """

    place: int | None
    waiting: int
    left_s: float
    share: float
    use: float
    age: float
    priority: float
    runs: int = 0
    learned: Needs | None = None
    learned_runs: int = 0
    starts_at: float | None = None
    soonest_at: float | None = None
    latest_at: float | None = None
    sooner_at: float | None = None
    error: float | None = None
    scored: int = 0
