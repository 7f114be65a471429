"""`client.forecasts`: what becomes of waiting jobs, or would of others: the scheduler's rules, run forward.

Nothing is decided here: a copy of the scheduler's world is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.client.batch import batch_of
from jobs.client.connection import Connection
from jobs.client.live_usage import completed
from jobs.client.recipes import Recipes
from jobs.client.resolve import CannotResolve, resolve
from jobs.core.jobs import Held, Job, JobId, Queued, Waiting
from jobs.core.requests import Headroom, Preview, StartEstimate, SubmitRequest
from jobs.store.intents import no_such_job

if TYPE_CHECKING:
    from jobs.simulation.what_if import Comparison, MachineSize


class Forecasts:
    def __init__(self, connection: Connection, recipes: Recipes) -> None:
        self._connection = connection
        self._recipes = recipes

    def preview(self, request: SubmitRequest) -> Preview:
        """What would happen to the request now; wrong fields are its `problems`, never an exception."""
        from jobs.client import forecast

        connection, rules = self._connection, self._connection.settings.admission
        try:
            batch = batch_of(connection, self._recipes, keep=False)
            spec = resolve(request, batch)
        except CannotResolve as error:
            return Preview(problems=error.problems)
        now, machine, status = connection.now(), connection.machine(), connection.scheduler()
        sample = machine.sample(now, status)
        with connection.view() as view:
            known = view.states([after.job_id for after in spec.after])
            unknown = [after.job_id for after in spec.after if after.job_id not in known]
            if unknown:
                return Preview(spec.needs, problems={"after": no_such_job(unknown[0]).title})
            (spec,) = view.with_expected([spec])
            job = Job(view.next_id(), spec, Held(now) if spec.start_held else Queued(now), now)
            preview = forecast.preview(job, view, machine, status, rules=rules, sample=sample)
        environment = batch.environment_of(spec.argv[0])
        if spec.recipe is None or environment is None or environment[1]:
            return preview
        return replace(preview, builds=len(self._recipes.get(spec.recipe).dependencies))

    def explain(self, job_id: JobId) -> Job:
        """One job; while it waits, with complete `reasons`, even with no scheduler, and with its forecast.

        Raises NoSuchJob.
        """
        connection, status = self._connection, self._connection.scheduler()
        with connection.view() as view:
            job = view.job(job_id)
            if isinstance(job.state, Waiting):
                capacity = connection.machine().capacity(status)
                (job,) = view.with_forecasts([job], capacity, connection.settings.admission)
        return completed([job], connection, status)[0]

    def start_estimate(self, job_id: JobId) -> StartEstimate | None:
        """What stands behind the place of a waiting job, and when it should start (seconds since 1970);
        None when it does not wait. It can take a second. Raises NoSuchJob.
        """
        from jobs.client import forecast

        connection = self._connection
        with connection.view() as view:
            job = view.job(job_id)
            if not isinstance(job.state, Queued | Held):
                return None
            now, machine, status = connection.now(), connection.machine(), connection.scheduler()
            return forecast.start_estimate(
                job, view, machine, status,
                now=now, rules=connection.settings.admission, sample=machine.sample(now, status),
            )  # fmt: skip

    def headroom(self) -> Headroom | None:
        """What a job could get now, and who is next; None while the machine cannot be read."""
        from jobs.client import forecast

        connection, rules = self._connection, self._connection.settings.admission
        now, machine, status = connection.now(), connection.machine(), connection.scheduler()
        sample = machine.sample(now, status)
        with connection.view() as view:
            return forecast.headroom(view, machine, status, now=now, rules=rules, sample=sample)

    def replay(
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
        """What would have become of a trace, or (None) of the last jobs that have run here, on a machine of
        this size by the settings, and on one of the `changed` size with `changes` like
        `admission.evict=false`.

        It can take minutes; `progress` gets the share that is done, 0 to 1. Raises BadInput.
        """
        from jobs.simulation import what_if

        connection, rules = self._connection, self._connection.settings.admission
        if trace is None:
            capacity = connection.machine().capacity(connection.scheduler())
            with connection.view() as view:
                jobs = what_if.past(view.ended_jobs(last), capacity)
        else:
            jobs = what_if.read_trace(trace)
        return what_if.compare(
            jobs, (size, rules), (changed, connection.settings.changed(changes).admission),
            load=load, last=last, progress=progress,
        )  # fmt: skip
