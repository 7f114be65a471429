"""What every call goes through: the database, the doorbell, measurements, and the scheduler.

Connections open with the first call that needs them and follow a database that was replaced.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from jobs.core.jobs import Active, Job, JobId, Usage
from jobs.core.machine import Capacity, Sample
from jobs.core.ports import Clock, StateUnavailable
from jobs.core.requests import DaemonStatus, ListRow, Snapshot
from jobs.core.versions import PACKAGE
from jobs.installation import daemon_lock
from jobs.installation.home import Home
from jobs.installation.notify import Notifier, Subscription
from jobs.installation.settings import Settings
from jobs.store.intents import Intents, no_such_job
from jobs.store.queries import Queries, View
from jobs.store.rows import as_of_now
from jobs.store.schema import Outdated, connect, migrate

if TYPE_CHECKING:
    from jobs.machine.viewer import MachineView
    from recipes.discover import Finder

Opened = TypeVar("Opened")


class StoreConnection:
    """The connections of one installation, and its scheduler."""

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
        self.readonly = False  # True: nothing on disk is changed, not even brought up to date
        self._clock = clock
        self._environ = environ
        self._opening = threading.RLock()
        self._writing = threading.Lock()
        self._queries: Queries | None = None
        self._intents: Intents | None = None
        self._read_file: tuple[int, int] | None = None
        self._written_file: tuple[int, int] | None = None
        self._machine: MachineView | None = None
        self._finder: Finder | None = None
        self._last = Snapshot(0.0)
        self._wants_daemon = False
        self._notices: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database. Safe to repeat; jobs and scheduler go on."""
        with self._opening, self._writing:
            if self._queries is not None:
                self._queries.close()
            if self._intents is not None:
                self._intents.close()
            if self._machine is not None:
                self._machine.close()
            self._queries = self._intents = self._machine = None

    def watch(self) -> Subscription:
        """A bell that rings after each change; close it. The scheduler stays while one is open."""
        self.home.make()
        watcher = Subscription(self.home.subscriptions)
        self._ring()  # so that the scheduler begins to publish what it measures
        return watcher

    def ensure_daemon(self) -> DaemonStatus:
        """Start a scheduler unless one runs, and wait until it answers. One of an earlier version is
        replaced: it would pass over what it does not know of a job.

        Raises Unreachable with the last lines of daemon.log when it does not come up.
        """
        self._wants_daemon = True
        self._reading()  # tables are made here: that library would stay in the scheduler's memory
        status = daemon_lock.until_it_listens(self.home)
        if status.running and status.version.is_older and not self.readonly:
            with daemon_lock.instead_of_older(self.home) as was:
                if was is not None:
                    self._note_replaced(was)
            status = daemon_lock.until_it_listens(self.home)
        return self.daemon_status() if status.running else daemon_lock.start(self.home)

    def notices(self) -> tuple[str, ...]:
        """What was done about the installation besides what was asked for; each is told once."""
        told, self._notices = tuple(self._notices), []
        return told

    def daemon_status(self) -> DaemonStatus:
        """Whether a scheduler runs; never starts one."""
        status = daemon_lock.look(self.home.scheduler_lock)
        if not self.home.database.exists():
            return status
        try:
            with self._reading().snapshot() as view:
                return with_meta(status, view)
        except StateUnavailable as error:
            return replace(status, note=error.title)

    def stop_daemon(self) -> bool:
        """Ask the scheduler to leave and wait until it has; False when none ran. Jobs go on."""
        self._wants_daemon = False
        return daemon_lock.stop(self.home)

    def _reading(self) -> Queries:
        with self._opening:
            if self._queries is None or self._replaced(self._read_file):
                self.home.make()
                self._queries = self._up_to_date(Queries)  # a thread may still use the old one
                self._read_file = _identity(self.home.database)
            return self._queries

    def _up_to_date(self, opened: Callable[[Path], Opened]) -> Opened:
        """A connection to the database, whose tables are brought up to date before where they lag."""
        try:
            return opened(self.home.database)
        except Outdated:
            if self.readonly:
                raise
        self._migrate()
        return opened(self.home.database)

    def _migrate(self) -> None:
        """Bring the tables up to date while no scheduler runs; one that did is started again afterwards."""
        deadline = time.monotonic() + daemon_lock.START_TIMEOUT_S
        was: DaemonStatus | None = None
        while was is None:
            with daemon_lock.instead_of_older(self.home) as held:
                if (was := held) is not None:
                    migrate(self.home.database)
            if was is None:  # another process of this version has the lock: it does the same first of all
                if time.monotonic() > deadline:
                    raise StateUnavailable(
                        f"The job database {self.home.database} is being brought up to date."
                    )
                time.sleep(0.01)
                with contextlib.suppress(Outdated):
                    connect(self.home.database).close()
                    return
        if was.running:
            self._note_replaced(was)
            daemon_lock.start(self.home)

    def _note_replaced(self, was: DaemonStatus) -> None:
        self._notices.append(
            f"The scheduler ({was.version}) was replaced by version {PACKAGE}; running jobs continue."
        )

    def _replaced(self, known: tuple[int, int] | None) -> bool:
        """Whether the database is another file by now: a damaged one was restored."""
        now = _identity(self.home.database)
        return now is not None and now != known

    @contextlib.contextmanager
    def _writer(self) -> Iterator[Intents]:
        """The writing connection, for one thread at a time; the scheduler is rung afterwards."""
        with self._writing:
            if self._intents is not None and self._replaced(self._written_file):
                self._intents.close()
                self._intents = None
            if self._intents is None:
                self.home.make()
                self._intents = self._up_to_date(Intents)
                self._written_file = _identity(self.home.database)
            yield self._intents
            if self._replaced(self._written_file):
                raise StateUnavailable(
                    "The job database was restored from its backup at this moment, without this wish.",
                    "Look at the jobs, and do it again if it is missing.",
                )
        if not self._ring() and self._wants_daemon:  # it has just left, or is about to
            with contextlib.suppress(StateUnavailable):
                self.ensure_daemon()

    def _ring(self) -> bool:
        with contextlib.closing(Notifier()) as ringer:
            return ringer.notify(self.home.scheduler_socket)

    def _measuring(self) -> MachineView:
        from jobs.machine.viewer import MachineView

        with self._opening:
            if self._machine is None:
                self._machine = MachineView(self.home.latest_sample)
            return self._machine

    def _completed(
        self, jobs: Sequence[Job], status: DaemonStatus, sample: Sample | None = None
    ) -> tuple[Job, ...]:
        """With the live use of running jobs, and with the truth about who decides while they wait."""
        live: Mapping[JobId, Usage] = {}
        if status.running and any(isinstance(job.state, Active) for job in jobs):
            sample = sample or self._measuring().published(self._clock(), status)
            live = {} if sample is None else sample.jobs
        return tuple(as_of_now(job, live, status.running) for job in jobs)

    def _rows_completed(
        self, rows: Sequence[ListRow], status: DaemonStatus, sample: Sample | None = None
    ) -> tuple[ListRow, ...]:
        """The same for the lines of a list: of a group it is the job that it stands for."""
        jobs = [row if isinstance(row, Job) else row.foremost for row in rows]
        told = zip(rows, self._completed(jobs, status, sample), strict=True)
        return tuple(job if isinstance(row, Job) else replace(row, foremost=job) for row, job in told)

    def _attempt(self, job_id: JobId, attempt: int | None) -> Path:
        with self._reading().snapshot() as view:
            found = view.get([job_id])
        if not found:
            raise no_such_job(job_id)
        return self.home.attempt(job_id, max(1, found[0].attempts) if attempt is None else attempt)

    def capacity(self) -> Capacity:
        """The machine's size."""
        return self._measuring().capacity(daemon_lock.look(self.home.scheduler_lock))


def with_meta(status: DaemonStatus, view: View) -> DaemonStatus:
    """The status with what the store knows: whether it drains, and that it had to be restored."""
    note = status.note
    if told := view.meta("restored"):
        from jobs.store.backup import restored_note

        note = restored_note(told) or note
    return replace(status, draining=view.meta("draining") == "1", note=note)


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file this is; None when there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
