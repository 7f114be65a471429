"""The one connection that all parts of a client share: the database, the scheduler, the machine.

Everything is opened by the first call that needs it, and follows a database that was replaced. It asks and
decides nothing itself.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from jobs.core.jobs import JobId
from jobs.core.ports import Clock, StateUnavailable
from jobs.core.requests import DaemonStatus
from jobs.core.versions import PACKAGE
from jobs.installation import daemon_lock
from jobs.installation.home import Home
from jobs.installation.notify import Notifier
from jobs.installation.settings import Settings
from jobs.store.intents import Intents, no_such_job
from jobs.store.queries import Queries, View
from jobs.store.schema import Outdated, connect, migrate

if TYPE_CHECKING:
    from jobs.machine.viewer import MachineView

Opened = TypeVar("Opened", Queries, Intents)


class Connection:
    """May be shared by threads. Every use can raise StateUnavailable.

    `environ` are the variables that a job gets whose request names none. `readonly`: nothing on the disk is
    changed, not even brought up to date.
    """

    def __init__(self, home: Home, settings: Settings, clock: Clock, environ: Mapping[str, str]) -> None:
        self.home = home
        self.settings = settings
        self.now = clock
        self.environ = environ
        self.readonly = False
        self.notices: list[str] = []  # what was done to the installation besides what was asked for
        self.wants_scheduler = False
        self._opening = threading.RLock()
        self._writing = threading.Lock()
        self._queries: Queries | None = None
        self._intents: Intents | None = None
        self._read_file: tuple[int, int] | None = None
        self._written_file: tuple[int, int] | None = None
        self._machine: MachineView | None = None

    def close(self) -> None:
        """Close the database. Safe to repeat, and the next use opens it again."""
        with self._opening, self._writing:
            for each in (self._queries, self._intents, self._machine):
                if each is not None:
                    each.close()
            self._queries = self._intents = self._machine = None

    # --- the database ---------------------------------------------------------------------------

    def queries(self) -> Queries:
        """The reading connection, which threads share."""
        with self._opening:
            if self._queries is None or self._is_replaced(self._read_file):
                self.home.make()
                self._queries = self._up_to_date(Queries)  # a thread may still use the old one
                self._read_file = _identity(self.home.database)
            return self._queries

    def view(self) -> AbstractContextManager[View]:
        """One consistent view of the database."""
        return self.queries().snapshot()

    @contextlib.contextmanager
    def writer(self) -> Iterator[Intents]:
        """The writing connection, for one thread at a time; the scheduler is notified afterwards."""
        with self._writing:
            if self._intents is not None and self._is_replaced(self._written_file):
                self._intents.close()
                self._intents = None
            if self._intents is None:
                self.home.make()
                self._intents = self._up_to_date(Intents)
                self._written_file = _identity(self.home.database)
            yield self._intents
            if self._is_replaced(self._written_file):
                raise StateUnavailable(
                    "The job database was restored from its backup at this moment, without this request.",
                    "Look at the jobs, and do it again if it is missing.",
                )
        if not self.ring() and self.wants_scheduler:  # it has just exited, or is about to
            with contextlib.suppress(StateUnavailable):
                self.ensure_scheduler()

    def attempt_folder(self, job_id: JobId, attempt: int | None) -> Path:
        """The files of an attempt; None: of the latest, or of the first to come. Raises NoSuchJob."""
        with self.view() as view:
            found = view.get([job_id])
        if not found:
            raise no_such_job(job_id)
        return self.home.attempt(job_id, max(1, found[0].attempts) if attempt is None else attempt)

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

    def _is_replaced(self, known: tuple[int, int] | None) -> bool:
        """Whether the database is another file by now: a damaged one was restored."""
        now = _identity(self.home.database)
        return now is not None and now != known

    # --- the scheduler and the machine ----------------------------------------------------------

    def scheduler(self) -> DaemonStatus:
        """Who holds the scheduler's lock; reads no database."""
        return daemon_lock.look(self.home.scheduler_lock)

    def ring(self) -> bool:
        """Tell the scheduler that something was written; False when none listens."""
        with contextlib.closing(Notifier()) as notifier:
            return notifier.notify(self.home.scheduler_socket)

    def ensure_scheduler(self) -> None:
        """Start a scheduler unless one runs, and wait until it answers; replace one of an earlier version,
        which would pass over what it does not know of a job. From then on each write keeps one running.

        Raises StateUnavailable with the last lines of daemon.log when it does not come up.
        """
        self.wants_scheduler = True
        self.queries()  # tables are made here: that library would stay in the scheduler's memory
        status = daemon_lock.until_it_listens(self.home)
        if status.running and status.version.is_older and not self.readonly:
            with daemon_lock.instead_of_older(self.home) as was:
                if was is not None:
                    self._note_replaced(was)
            status = daemon_lock.until_it_listens(self.home)
        if not status.running:
            daemon_lock.start(self.home)

    def machine(self) -> MachineView:
        """What the scheduler measures, or what is measured here while none runs."""
        from jobs.machine.viewer import MachineView

        with self._opening:
            if self._machine is None:
                self._machine = MachineView(self.home.latest_sample)
            return self._machine

    def _note_replaced(self, was: DaemonStatus) -> None:
        self.notices.append(
            f"The scheduler ({was.version}) was replaced by version {PACKAGE}; running jobs continue."
        )


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file this is; None when there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
