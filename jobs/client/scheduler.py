"""`client.scheduler`: the one process that starts jobs, and being told when something changes."""

from __future__ import annotations

from dataclasses import replace

from jobs.client.connection import Connection
from jobs.core.ports import StateUnavailable
from jobs.core.requests import DaemonStatus
from jobs.installation import daemon_lock
from jobs.installation.notify import Subscription
from jobs.store.queries import View


class Scheduler:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def start(self) -> DaemonStatus:
        """Start a scheduler unless one runs, and wait until it answers; replace one of an earlier version.
        From then on every write of this client starts one again where it has exited.

        Raises StateUnavailable with the last lines of daemon.log when it does not come up.
        """
        self._connection.ensure_scheduler()
        return self.status()

    def stop(self) -> bool:
        """Ask the scheduler to exit and wait until it has; False when none ran. Running jobs continue.

        Raises StateUnavailable when it does not exit, or is somebody else's.
        """
        self._connection.wants_scheduler = False
        return daemon_lock.stop(self._connection.home)

    def status(self) -> DaemonStatus:
        """Whether a scheduler runs, since when, and whether it drains; never starts one, never raises."""
        status = self._connection.scheduler()
        if not self._connection.home.database.exists():
            return status
        try:
            with self._connection.view() as view:
                return with_meta(status, view)
        except StateUnavailable as error:
            return replace(status, note=error.title)

    def drain(self, on: bool) -> None:
        """While on, nothing new starts; running jobs continue. It outlives the scheduler's process."""
        with self._connection.writer() as intents:
            intents.drain(on, self._connection.now())

    def watch(self) -> Subscription:
        """A bell that rings after each change: `wait(seconds)`, or `fileno()` for select; close it.

        The scheduler measures the machine as long as one is open. Raises OSError where no socket can be
        made.
        """
        self._connection.home.make()
        subscription = Subscription(self._connection.home.subscriptions)
        self._connection.ring()  # so that the scheduler begins to publish what it measures
        return subscription

    def notices(self) -> tuple[str, ...]:
        """What was done to the installation besides what was asked for, a sentence each, told once."""
        notices = tuple(self._connection.notices)
        self._connection.notices.clear()
        return notices


def with_meta(status: DaemonStatus, view: View) -> DaemonStatus:
    """The status with what the database knows: whether it drains, and that it had to be restored."""
    note = status.note
    if restored := view.meta("restored"):
        from jobs.store.backup import restored_note

        note = restored_note(restored) or note
    return replace(status, draining=view.meta("draining") == "1", note=note)
