"""What runs on the machine, its load over the last day, and signals to what runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from jobs.client.connection import StoreConnection
from jobs.core.jobs import Paused, Running
from jobs.installation import daemon_lock

if TYPE_CHECKING:
    from jobs.machine.process_groups import Process, ProcessGroup
    from jobs.records.load_history import Point


class Processes(StoreConnection):
    def load_history(self, span_s: float) -> tuple[Point, ...]:
        """The machine's load over the last `span_s` seconds (at most a day), as far as it was measured."""
        from jobs.records import load_history

        return load_history.read(self.home.load_history, self._clock() - span_s)

    def processes(self, shown: Collection[int] = ()) -> tuple[ProcessGroup, ...]:
        """What runs on the machine, grouped by job, container or session. Rates are since the last call.

        Of the processes whose pids are `shown`, the command and the disk use are read as well.
        """
        from jobs.machine.process_groups import groups

        status = daemon_lock.look(self.home.scheduler_lock)
        with self._reading().snapshot() as view:
            active = view.active()
        jobs = {
            job.state.pid: (job.id, job.spec.name)
            for job in active
            if isinstance(job.state, Running | Paused)
        }
        own = () if status.pid is None else (status.pid,)
        return groups(self._measuring().processes(self._clock(), status, shown), jobs, own)

    def signal(self, processes: Iterable[Process], number: int) -> tuple[str, ...]:
        """Send a signal to these very processes; one sentence for each that did not get it."""
        from jobs.machine.processes import send

        scheduler = daemon_lock.look(self.home.scheduler_lock).pid
        said = []
        for process in processes:
            if process.pid == scheduler:
                said.append("That is the scheduler: stop it with cro-tui daemon --stop.")
            elif wrong := send(process.pid, process.started, number):
                said.append(wrong)
        return tuple(said)
