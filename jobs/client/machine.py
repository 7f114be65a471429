"""`client.machine`: its size, its load over the last day, what runs on it, and signals to what runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from jobs.client.connection import Connection
from jobs.core.jobs import Paused, Running
from jobs.core.machine import Capacity

if TYPE_CHECKING:
    from jobs.machine.process_groups import Process, ProcessGroup
    from jobs.records.load_history import Point


class Machine:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def capacity(self) -> Capacity:
        """Its cores, memory (bytes) and GPUs, whether in use or not."""
        return self._connection.machine().capacity(self._connection.scheduler())

    def load_history(self, span_s: float) -> tuple[Point, ...]:
        """Its load over the last `span_s` seconds (at most a day), as far as a scheduler measured it."""
        from jobs.records import load_history

        return load_history.read(self._connection.home.load_history, self._connection.now() - span_s)

    def processes(self, shown: Collection[int] = ()) -> tuple[ProcessGroup, ...]:
        """What runs on it, grouped by job, container or session. Rates are since the call before.

        Of the processes whose pids are `shown`, the command and the disk use are read as well.
        """
        from jobs.machine.process_groups import groups

        status = self._connection.scheduler()
        with self._connection.view() as view:
            active = view.active()
        jobs = {
            job.state.pid: (job.id, job.spec.name)
            for job in active
            if isinstance(job.state, Running | Paused)
        }
        own = () if status.pid is None else (status.pid,)
        processes = self._connection.machine().processes(self._connection.now(), status, shown)
        return groups(processes, jobs, own)

    def signal(self, processes: Iterable[Process], number: int) -> tuple[str, ...]:
        """Send a signal to these very processes, never to others that have their pids by now.

        Returns one sentence for each process that did not get it; the scheduler never does.
        """
        from jobs.machine.processes import send

        scheduler = self._connection.scheduler().pid
        refusals = []
        for process in processes:
            if process.pid == scheduler:
                refusals.append("That is the scheduler: stop it with cro-tui daemon --stop.")
            elif refusal := send(process.pid, process.started, number):
                refusals.append(refusal)
        return tuple(refusals)
