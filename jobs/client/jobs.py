"""`client.jobs`: queue jobs, control them, list them, wait for them.

What a job's attempts leave behind is in `client.runs`, why it waits in `client.forecasts`, and whole sweeps
are in `client.groups`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from jobs.client.batch import batch_of
from jobs.client.connection import Connection
from jobs.client.enqueue import enqueue
from jobs.client.live_usage import completed, completed_rows
from jobs.client.recipes import Recipes
from jobs.client.resolve import resolve_all
from jobs.client.scheduler import Scheduler, with_meta
from jobs.client.waiting import until_ended
from jobs.core.jobs import Ended, GroupRef, Job, JobId
from jobs.core.ports import BadInput, StateUnavailable, WrongState
from jobs.core.requests import HistoryEntry, JobQuery, ListRow, NeedsRequest, Snapshot, SubmitRequest
from jobs.installation.settings import HIGHEST_PRIORITY, LOWEST_PRIORITY
from jobs.store.intents import IntentKind, no_such_job

_ALL = JobQuery()


class Jobs:
    def __init__(self, connection: Connection, scheduler: Scheduler, recipes: Recipes) -> None:
        self._connection = connection
        self._scheduler = scheduler
        self._recipes = recipes
        self._last = Snapshot(0.0)

    # --- queueing -------------------------------------------------------------------------------

    def submit(
        self, requests: Sequence[SubmitRequest], *, sweep: bool = False, trials_of: JobId | None = None
    ) -> tuple[JobId, ...]:
        """Queue all of them or none, and return their ids in order; as a `sweep` they belong together;
        `trials_of` names the controller of an optimization, which they then belong to.

        When it returns, the jobs survive a crash and a power cut, with or without a running scheduler
        (it does not start one: see `client.scheduler.start`). Raises BadInput with what to type instead,
        NeverFits with the numbers, NoSuchJob for an unknown dependency.
        """
        batch = batch_of(self._connection, self._recipes, keep=True)
        specs = resolve_all(requests, batch)
        if trials_of is not None:
            specs = [replace(spec, group=GroupRef(trials_of, 0)) for spec in specs]
        return enqueue(specs, batch, self._connection, sweep=sweep)

    def optimize(
        self,
        request: SubmitRequest,
        params: Mapping[str, Sequence[str]],
        metric: str,
        trials: int,
        *,
        prunes: bool = True,
    ) -> JobId:
        """Queue the controller of an optimization, which queues so many trials of the request's recipe.

        `params` has the texts of each parameter: several are a choice, `LOW..HIGH` (or `:log`) a range.
        The request's hold and dependencies are the controller's; `prunes` stops trials that do worse than
        others. Raises BadInput, NeverFits, NoSuchJob.
        """
        from jobs.client.optimize import queue_controller

        return queue_controller(
            request, params, metric, trials,
            prunes=prunes, connection=self._connection, recipes=self._recipes,
        )  # fmt: skip

    def retry(self, ids: Iterable[JobId], needs: NeedsRequest | None = None) -> tuple[JobId, ...]:
        """Queue each ended job again as a new job (`spec.retry_of`), and return the new ids in order.

        `needs` replaces what the person asked for, field by field. A dependency on a job that was itself
        retried becomes one on its newest retry. Raises NoSuchJob, WrongState (it has not ended), BadInput.
        """
        from jobs.client.retry import retried

        specs = []
        with self._connection.view() as view:
            for job_id in dict.fromkeys(ids):
                job = view.job(job_id)
                if not isinstance(job.state, Ended):
                    state = job.state.name.replace("_", " ")
                    raise WrongState(f"Job {job_id} is {state}: only an ended job can be retried.")
                specs.append(retried(job, needs, view.newest_retry, self._connection.home))
        batch = batch_of(self._connection, self._recipes, keep=True)
        return enqueue(specs, batch, self._connection)

    # --- controlling ----------------------------------------------------------------------------

    def cancel(self, ids: Iterable[JobId], *, cause: str = "") -> None:
        """Stop running jobs and take waiting ones out; `cause` says why when it was not a person.

        Raises NoSuchJob, WrongState (already ended).
        """
        self._control(IntentKind.CANCEL, ids, cause or None)

    def hold(self, ids: Iterable[JobId]) -> None:
        """Keep queued jobs from starting, and pause running ones. Raises NoSuchJob, WrongState."""
        self._control(IntentKind.HOLD, ids)

    def release(self, ids: Iterable[JobId]) -> None:
        """Queue held jobs, and resume paused ones. Raises NoSuchJob, WrongState."""
        self._control(IntentKind.RELEASE, ids)

    def set_priority(
        self, ids: Iterable[JobId], value: int | None = None, *, delta: int | None = None
    ) -> None:
        """Set (0..100) or shift the priority of waiting jobs; a shift stops at the ends of the range.

        Raises BadInput (outside 0..100, or not exactly one of both), NoSuchJob, WrongState (not waiting).
        """
        self._control(IntentKind.PRIORITY, ids, priority_change(value, delta))

    def _control(self, kind: IntentKind, ids: Iterable[JobId], body: object = None) -> None:
        wanted = tuple(dict.fromkeys(ids))
        if wanted:
            with self._connection.writer() as intents:
                intents.control(kind, wanted, self._connection.now(), body)

    # --- looking --------------------------------------------------------------------------------

    def get(self, job_id: JobId) -> Job:
        """One job. Raises NoSuchJob."""
        with self._connection.view() as view:
            job = view.job(job_id)
        return completed([job], self._connection, self._connection.scheduler())[0]

    def list(self, query: JobQuery = _ALL) -> tuple[Job, ...]:
        """The jobs that match, in the query's order, at most `query.limit` (200)."""
        with self._connection.view() as view:
            found, _ = view.jobs(query)
        return completed(found, self._connection, self._connection.scheduler())

    def rows(self, query: JobQuery) -> tuple[ListRow, ...]:
        """The lines of a list: jobs and, where the query folds, groups."""
        with self._connection.view() as view:
            found, _ = view.rows(query)
        return completed_rows(found, self._connection, self._connection.scheduler())

    def snapshot(self, query: JobQuery = _ALL) -> Snapshot:
        """One consistent picture for a screen, with the machine's latest sample. Where the database cannot
        be read it is the picture before, and its `note` says why."""
        now, status, machine = (
            self._connection.now(), self._connection.scheduler(), self._connection.machine()
        )  # fmt: skip
        sample = machine.sample(now, status)
        try:
            with self._connection.view() as view:
                found, matched = view.rows(query)
                counts = view.counts()
                status = with_meta(status, view)
        except StateUnavailable as error:
            return replace(self._last, at=now, sample=sample, daemon=status, note=error.title)
        rows = completed_rows(found, self._connection, status, sample)
        self._last = Snapshot(now, rows, matched, counts, machine.capacity(status), sample, status)
        return self._last

    def history(self, job_id: JobId) -> tuple[HistoryEntry, ...]:
        """What happened to it, oldest first. Raises NoSuchJob."""
        with self._connection.view() as view:
            if job_id not in view.states([job_id]):
                raise no_such_job(job_id)
            return view.history(job_id)

    def wait(self, ids: Iterable[JobId], timeout_s: float | None = None) -> tuple[Job, ...]:
        """Return the jobs, in the order asked, once all have ended, or as they stand at the time-out.

        Raises NoSuchJob, and StateUnavailable when no scheduler runs that could end them.
        """
        wanted = tuple(ids)
        with contextlib.closing(self._scheduler.watch()) as subscription:
            until_ended(wanted, self._connection, subscription, timeout_s)
        with self._connection.view() as view:
            found = {job.id: job for job in view.get(wanted)}
        return tuple(found[job_id] for job_id in wanted)


def priority_change(value: int | None, delta: int | None) -> dict[str, int]:
    """What the scheduler reads. Raises BadInput."""
    if (value is None) == (delta is None):
        raise BadInput("Give either a priority or a shift, not both.")
    if delta is not None:
        return {"delta": delta}
    if value is None or not LOWEST_PRIORITY <= value <= HIGHEST_PRIORITY:
        raise BadInput(f"The priority must be a whole number from 0 to 100, not {value}.")
    return {"value": value}
