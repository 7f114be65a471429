"""What will become of the waiting jobs, and what would have become of others: the rules, run forward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.client.connection import StoreConnection
from jobs.core.jobs import Held, Job, JobId, Queued, Waiting
from jobs.core.requests import Headroom, StartEstimate
from jobs.installation import daemon_lock

if TYPE_CHECKING:
    from jobs.simulation.what_if import Comparison, MachineSize


class Foreseeing(StoreConnection):
    def explain(self, job_id: JobId) -> Job:
        """One job; while it waits, with complete `reasons`, even with no scheduler, and with its forecast.

        Raises NoSuchJob.
        """
        status = daemon_lock.look(self.home.scheduler_lock)
        with self._reading().snapshot() as view:
            found = view.job(job_id)
            if isinstance(found.state, Waiting):
                capacity = self._measuring().capacity(status)
                (found,) = view.with_forecasts([found], capacity, self.settings.admission)
        return self._completed([found], status)[0]

    def start_estimate(self, job_id: JobId) -> StartEstimate | None:
        """What stands behind the place of a waiting job, and what is foreseen; None when it does not wait.

        Runs the scheduler's rules forward, so it can take a second. Raises NoSuchJob.
        """
        from jobs.client import forecast

        with self._reading().snapshot() as view:
            job = view.job(job_id)
            if not isinstance(job.state, Queued | Held):
                return None
            now, machine, status = (
                self._clock(),
                self._measuring(),
                daemon_lock.look(self.home.scheduler_lock),
            )
            return forecast.start_estimate(
                job, view, machine, status,
                now=now, rules=self.settings.admission, sample=machine.sample(now, status),
            )  # fmt: skip

    def headroom(self) -> Headroom | None:
        """What a job could get now, and who is next; None while the machine cannot be read."""
        from jobs.client import forecast

        now, machine, status = self._clock(), self._measuring(), daemon_lock.look(self.home.scheduler_lock)
        sample = machine.sample(now, status)
        with self._reading().snapshot() as view:
            return forecast.headroom(
                view, machine, status, now=now, rules=self.settings.admission, sample=sample
            )

    def replayed(
        self,
        trace: Path | None,
        size: MachineSize,
        changed: MachineSize,
        *,
        changes: Sequence[str] = (),
        load: float | None = None,
        last: int = 4000,
        progress: Callable[[float], None] = lambda _: None,
    ) -> Comparison:
        """What would have become of a trace, or (None) of the jobs that have run here, on a machine of this
        size by the settings, and on one of the `changed` size with `changes` like `admission.evict=false`.

        It can take minutes; `progress` hears the share that is done. Raises BadInput.
        """
        from jobs.simulation import what_if

        rules = self.settings.admission
        if trace is None:
            with self._reading().snapshot() as view:
                jobs = what_if.past(view.ended_jobs(last), self.capacity())
        else:
            jobs = what_if.read_trace(trace)
        return what_if.compare(
            jobs, (size, rules), (changed, self.settings.changed(changes).admission),
            load=load, last=last, progress=progress,
        )  # fmt: skip
