"""The only door for front ends: what a person can do to the queue, and what they can see of it.

Checks every wish before it is written, writes it as an intent, rings the scheduler, and reads consistent
snapshots. It never changes a job row and never talks to a job. Importing it stays cheap: recipes, sensors
and the rules load with the first call that needs them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from jobs.model import Capacity, Job, JobId
from jobs.ports import Clock
from jobs.settings import Home, Settings
from jobs.views import DaemonStatus, HistoryEntry, JobQuery, NeedsRequest, Preview, Snapshot, SubmitRequest
from jobs.wakeup import Watcher

if TYPE_CHECKING:
    from recipes.discover import Catalogue
    from recipes.manifest import Recipe


class Api:
    """One installation, seen from a front end. May be shared by threads; close it when done.

    Every call can raise `Unreachable` when the files are locked, damaged or from a newer version. Reading
    never waits long; writing waits up to some seconds for its turn: a screen calls it off its own thread.
    """

    def __init__(
        self,
        home: Home,
        settings: Settings,
        *,
        clock: Clock = time.time,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.home = home
        self.settings = settings
        self._clock = clock
        self._environ = environ

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database. Safe to repeat; jobs and scheduler go on."""

    # --- queueing ------------------------------------------------------------------------------

    def submit(self, requests: Sequence[SubmitRequest]) -> tuple[JobId, ...]:
        """Queue all of them or none, and return their ids in order.

        When it returns, the jobs survive a crash and a power cut, with or without a running scheduler
        (it does not start one: see `ensure_daemon`). Raises BadInput with what to type instead, NeverFits
        with the numbers, NoSuchJob for an unknown dependency.
        """
        raise NotImplementedError

    def preview(self, request: SubmitRequest) -> Preview:
        """What would happen to the request now; wrong fields are its `problems`, never an exception."""
        raise NotImplementedError

    def retry(self, ids: Iterable[JobId], needs: NeedsRequest | None = None) -> tuple[JobId, ...]:
        """Queue each ended job again as a new job (`spec.retry_of`), and return the new ids in order.

        `needs` replaces what the person asked for, field by field. A dependency on a job that was itself
        retried becomes one on its newest retry. Raises NoSuchJob, NotNow (it has not ended), BadInput.
        """
        raise NotImplementedError

    # --- control: all ids are checked before anything is written ---------------------------------

    def cancel(self, ids: Iterable[JobId]) -> None:
        """Stop running jobs and take waiting ones out. Raises NoSuchJob, NotNow (already ended)."""
        raise NotImplementedError

    def hold(self, ids: Iterable[JobId]) -> None:
        """Keep queued jobs from starting, and pause running ones. Raises NoSuchJob, NotNow."""
        raise NotImplementedError

    def release(self, ids: Iterable[JobId]) -> None:
        """Let held jobs queue and paused ones go on. Raises NoSuchJob, NotNow."""
        raise NotImplementedError

    def set_priority(
        self, ids: Iterable[JobId], value: int | None = None, *, delta: int | None = None
    ) -> None:
        """Set (0..100) or shift the priority of waiting jobs; a shift stops at the ends of the range.

        Raises BadInput (outside 0..100, or not exactly one of both), NoSuchJob, NotNow (not waiting).
        """
        raise NotImplementedError

    def drain(self, on: bool) -> None:
        """While on, nothing new starts; running jobs go on."""
        raise NotImplementedError

    # --- reading -----------------------------------------------------------------------------------

    def jobs(self, query: JobQuery = JobQuery()) -> tuple[Job, ...]:  # noqa: B008 - frozen
        """The jobs that match, in the query's order, at most `query.limit`."""
        raise NotImplementedError

    def job(self, job_id: JobId) -> Job:
        """One job. Raises NoSuchJob."""
        raise NotImplementedError

    def explain(self, job_id: JobId) -> Job:
        """One job, its `reasons` complete while it waits, even with no scheduler. Raises NoSuchJob."""
        raise NotImplementedError

    def history(self, job_id: JobId) -> tuple[HistoryEntry, ...]:
        """What happened to it, oldest first. Raises NoSuchJob."""
        raise NotImplementedError

    def snapshot(self, query: JobQuery = JobQuery()) -> Snapshot:  # noqa: B008 - frozen
        """One consistent picture for a screen, with the machine's latest sample."""
        raise NotImplementedError

    def capacity(self) -> Capacity:
        """The machine's size."""
        raise NotImplementedError

    def log_path(self, job_id: JobId, attempt: int | None = None) -> Path:
        """The log of an attempt (default: the latest, or the first to come); it may not exist yet."""
        raise NotImplementedError

    def output_dir(self, job_id: JobId, attempt: int | None = None) -> Path:
        """Where an attempt leaves its files (default: the latest); it may not exist yet."""
        raise NotImplementedError

    # --- recipes -----------------------------------------------------------------------------------

    def recipes(self) -> Catalogue:
        """Every recipe that can be found, and the problems of the broken ones.

        Folders in order: settings, ./recipes, the data folder's, the library; the first of a name wins.
        """
        raise NotImplementedError

    def recipe(self, name: str) -> Recipe:
        """One recipe by name. Raises BadInput naming near misses, or the problems of a broken one."""
        raise NotImplementedError

    # --- waiting -----------------------------------------------------------------------------------

    def wait(self, ids: Iterable[JobId], timeout_s: float | None = None) -> tuple[Job, ...]:
        """Return the jobs, in the order asked, once all have ended, or as they stand at the time-out.

        Raises NoSuchJob, and Unreachable when no scheduler runs that could end them.
        """
        raise NotImplementedError

    def watch(self) -> Watcher:
        """A bell that rings after each change; close it. The scheduler stays while one is open."""
        raise NotImplementedError

    # --- the scheduler -------------------------------------------------------------------------------

    def ensure_daemon(self) -> DaemonStatus:
        """Start a scheduler unless one runs, and wait until it answers.

        Raises Unreachable with the last lines of daemon.log when it does not come up.
        """
        raise NotImplementedError

    def daemon_status(self) -> DaemonStatus:
        """Whether a scheduler runs; never starts one."""
        raise NotImplementedError

    def stop_daemon(self) -> bool:
        """Ask the scheduler to leave and wait until it has; False when none ran. Jobs go on."""
        raise NotImplementedError
