"""What a front end sees of jobs: lists, one job, its files, a sweep, a screen's picture, and waiting."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.api.door import with_meta
from jobs.api.recipes import Recipes
from jobs.daemon import presence
from jobs.model import Job, JobId, JobSpec, StateName
from jobs.ports import NotNow, Unreachable
from jobs.store.intents import no_such_job
from jobs.views import FirstRun, HistoryEntry, JobQuery, Snapshot

if TYPE_CHECKING:
    from jobs.store.queries import View
    from jobs.tracking.model import Curve, Provenance
    from jobs.tracking.sweeps import Sweep
    from jobs.usage_trace import Moment


class Reading(Recipes):
    def snapshot(self, query: JobQuery = JobQuery()) -> Snapshot:  # noqa: B008 - frozen
        """One consistent picture for a screen, with the machine's latest sample."""
        now = self._clock()
        status = presence.look(self.home.lock)
        machine = self._measuring()
        sample = machine.sample(now, status)
        try:
            with self._reading().snapshot() as view:
                found, matched = view.jobs(query)
                counts = view.counts()
                status = with_meta(status, view)
        except Unreachable as error:
            return replace(self._last, at=now, sample=sample, daemon=status, note=error.title)
        jobs = self._completed(found, status, sample)
        self._last = Snapshot(now, jobs, matched, counts, machine.capacity(status), sample, status)
        return self._last

    def jobs(self, query: JobQuery = JobQuery()) -> tuple[Job, ...]:  # noqa: B008 - frozen
        """The jobs that match, in the query's order, at most `query.limit`."""
        with self._reading().snapshot() as view:
            found, _ = view.jobs(query)
        return self._completed(found, presence.look(self.home.lock))

    def job(self, job_id: JobId) -> Job:
        """One job. Raises NoSuchJob."""
        with self._reading().snapshot() as view:
            found = view.job(job_id)
        return self._completed([found], presence.look(self.home.lock))[0]

    def history(self, job_id: JobId) -> tuple[HistoryEntry, ...]:
        """What happened to it, oldest first. Raises NoSuchJob."""
        with self._reading().snapshot() as view:
            if job_id not in view.states([job_id]):
                raise no_such_job(job_id)
            return view.history(job_id)

    def sweep(self, job_id: JobId) -> Sweep:
        """The sweep that a job belongs to. Raises NoSuchJob, NotNow (it belongs to none)."""
        from jobs.tracking.sweeps import LOOKED_AT, members, sweep_of

        with self._reading().snapshot() as view:
            job = view.job(job_id)
            if (controller := _controller(view, job)) is not None:
                return _optimized(view, controller)
            sweep = _swept(job)
            ids = members(sweep)
            found = view.get(map(JobId, ids[:LOOKED_AT]))
            counts = view.counts_within(ids)
        return sweep_of(sweep, found, counts, self._better(job.spec))

    def sweep_ids(self, job_id: JobId, states: frozenset[StateName]) -> tuple[JobId, ...]:
        """Those jobs of its sweep that are in one of these states, of an optimisation its controller first.

        Raises NoSuchJob, NotNow.
        """
        from jobs.tracking.sweeps import members

        with self._reading().snapshot() as view:
            job = view.job(job_id)
            if (first := _controller(view, job)) is not None:
                newest = view.newest_retry(first.id)
                both = view.get({first.id, newest})
                every = [*both, *_trials(view, first)]
                return tuple(each.id for each in every if each.state.name in states)
            return view.ids_within(members(_swept(job)), states)

    def optimization(self, job: Job) -> JobId:
        """The first controller of an optimisation: what its trials are queued under. Raises NotNow."""
        with self._reading().snapshot() as view:
            found = _controller(view, job)
        if found is None:
            raise NotNow(f"Job {job.id} is no optimisation.", "List the jobs to see which is.")
        return found.id

    def trials(self, controller: JobId, ids: Iterable[JobId] | None = None) -> tuple[Job, ...]:
        """The jobs that an optimisation has queued, by id; with `ids` those alone, which is quicker."""
        with self._reading().snapshot() as view:
            return tuple(_trials(view, view.job(controller)) if ids is None else view.get(ids))

    def better_metrics(self, job: Job) -> Mapping[str, str]:
        """Which end of its metrics is better, "max" or "min", as far as its recipe says."""
        return dict(self._better(job.spec))

    def _better(self, spec: JobSpec) -> tuple[tuple[str, str], ...]:
        recipe = None if spec.recipe is None else self.recipes().find(spec.recipe)
        return getattr(recipe, "metrics", ())

    def wait(self, ids: Iterable[JobId], timeout_s: float | None = None) -> tuple[Job, ...]:
        """Return the jobs, in the order asked, once all have ended, or as they stand at the time-out.

        Raises NoSuchJob, and Unreachable when no scheduler runs that could end them.
        """
        from jobs.waiting import until_ended

        wanted = tuple(ids)
        with contextlib.closing(self.watch()) as watcher:
            until_ended(
                wanted, self._reading(), watcher, timeout_s, lambda: presence.look(self.home.lock).running
            )
        with self._reading().snapshot() as view:
            found = {job.id: job for job in view.get(wanted)}
        return tuple(found[job_id] for job_id in wanted)

    def log_path(self, job_id: JobId, attempt: int | None = None) -> Path:
        """The log of an attempt (default: the latest, or the first to come); it may not exist yet."""
        return self._attempt(job_id, attempt) / "output.log"

    def events_path(self, job_id: JobId, attempt: int | None = None) -> Path:
        """What an attempt reports of itself (default: the latest); see `jobs.tracking.reports`."""
        return self._attempt(job_id, attempt) / "events.jsonl"

    def curves(self, job_id: JobId) -> Mapping[str, Curve]:
        """How each metric went over the steps of the latest attempt, thinned; empty if it said nothing."""
        from jobs.tracking.curves import read_curves

        return read_curves(self.events_path(job_id))

    def provenance(self, job_id: JobId) -> Provenance | None:
        """What the latest attempt began with; None where it left no word of it."""
        from jobs.tracking.provenance import read_provenance

        return read_provenance(self._attempt(job_id, None))

    def first_run(self, job: Job) -> FirstRun | None:
        """The job that it is a retry of, with what both began with; None of one that is no retry.

        Its row can be gone after the database was restored: then None, too.
        """
        before_id = job.spec.retry_of
        if before_id is None:
            return None
        found = self.jobs(JobQuery(ids=frozenset({before_id})))
        return FirstRun(found[0], self.provenance(before_id), self.provenance(job.id)) if found else None

    def output_dir(self, job_id: JobId, attempt: int | None = None) -> Path:
        """Where an attempt leaves its files (default: the latest); it may not exist yet."""
        return self._attempt(job_id, attempt) / "output"

    def usage_trace(self, job_id: JobId, attempt: int | None = None) -> tuple[Moment, ...]:
        """What an attempt used, second by second (default: the latest); empty before its first second."""
        from jobs import usage_trace

        return usage_trace.read(self._attempt(job_id, attempt) / "usage.jsonl")

    def log_line_at(self, job_id: JobId, moment: Moment) -> str:
        """The last line that the latest attempt's log had at that moment."""
        from jobs import usage_trace

        return usage_trace.line_at(self._attempt(job_id, None) / "output.log", moment.log_bytes)

    def files_removed_at(self, job_id: JobId) -> float | None:
        """When the files of an ended job were removed to make room; None while they are there."""
        return self.home.removed_at(job_id)


def _controller(view: View, job: Job) -> Job | None:
    """The job whose optimisation it is, or is a part of: of a retried controller the first one."""
    from jobs.optimizing.model import is_controller

    if job.spec.sweep is not None and job.spec.sweep[1] == 0:
        return view.job(JobId(job.spec.sweep[0]))
    if not is_controller(job):
        return None
    while job.spec.retry_of is not None:
        job = view.job(job.spec.retry_of)
    return job


def _trials(view: View, controller: Job) -> list[Job]:
    from jobs.optimizing.model import plan_of

    plan = plan_of(controller)
    return [] if plan is None else view.trials(controller.id, plan.trials)


def _optimized(view: View, controller: Job) -> Sweep:
    from collections import Counter

    from jobs.optimizing.model import plan_of
    from jobs.tracking.sweeps import sweep_of

    plan, found = plan_of(controller), _trials(view, controller)
    counts = Counter(job.state.name for job in found)
    size, better = (0, ()) if plan is None else (plan.trials, ((plan.metric, plan.better),))
    return sweep_of((controller.id, size), found, counts, better, optimized=True)


def _swept(job: Job) -> tuple[int, int]:
    if job.spec.sweep is None:
        raise NotNow(f"Job {job.id} belongs to no sweep.", "List the jobs to see which do.")
    return job.spec.sweep
