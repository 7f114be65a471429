"""What a front end sees of jobs: lists, one job, its files, a screen's picture, and waiting."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.client.connection import with_meta
from jobs.client.recipes import Recipes
from jobs.core.jobs import Job, JobId
from jobs.core.ports import StateUnavailable
from jobs.core.requests import FirstRun, HistoryEntry, JobQuery, ListRow, Snapshot
from jobs.installation import daemon_lock
from jobs.store.intents import no_such_job

if TYPE_CHECKING:
    from jobs.core.tracking import Curve, Provenance
    from jobs.records.usage_trace import Moment


class Reading(Recipes):
    def snapshot(self, query: JobQuery = JobQuery()) -> Snapshot:  # noqa: B008 - frozen
        """One consistent picture for a screen, with the machine's latest sample."""
        now = self._clock()
        status = daemon_lock.look(self.home.scheduler_lock)
        machine = self._measuring()
        sample = machine.sample(now, status)
        try:
            with self._reading().snapshot() as view:
                found, matched = view.rows(query)
                counts = view.counts()
                status = with_meta(status, view)
        except StateUnavailable as error:
            return replace(self._last, at=now, sample=sample, daemon=status, note=error.title)
        rows = self._rows_completed(found, status, sample)
        self._last = Snapshot(now, rows, matched, counts, machine.capacity(status), sample, status)
        return self._last

    def rows(self, query: JobQuery) -> tuple[ListRow, ...]:
        """The lines of a list: jobs and, where the query folds, groups."""
        with self._reading().snapshot() as view:
            found, _ = view.rows(query)
        return self._rows_completed(found, daemon_lock.look(self.home.scheduler_lock))

    def jobs(self, query: JobQuery = JobQuery()) -> tuple[Job, ...]:  # noqa: B008 - frozen
        """The jobs that match, in the query's order, at most `query.limit`."""
        with self._reading().snapshot() as view:
            found, _ = view.jobs(query)
        return self._completed(found, daemon_lock.look(self.home.scheduler_lock))

    def job(self, job_id: JobId) -> Job:
        """One job. Raises NoSuchJob."""
        with self._reading().snapshot() as view:
            found = view.job(job_id)
        return self._completed([found], daemon_lock.look(self.home.scheduler_lock))[0]

    def history(self, job_id: JobId) -> tuple[HistoryEntry, ...]:
        """What happened to it, oldest first. Raises NoSuchJob."""
        with self._reading().snapshot() as view:
            if job_id not in view.states([job_id]):
                raise no_such_job(job_id)
            return view.history(job_id)

    def wait(self, ids: Iterable[JobId], timeout_s: float | None = None) -> tuple[Job, ...]:
        """Return the jobs, in the order asked, once all have ended, or as they stand at the time-out.

        Raises NoSuchJob, and Unreachable when no scheduler runs that could end them.
        """
        from jobs.client.waiting import until_ended

        wanted = tuple(ids)
        with contextlib.closing(self.watch()) as watcher:
            until_ended(
                wanted,
                self._reading(),
                watcher,
                timeout_s,
                lambda: daemon_lock.look(self.home.scheduler_lock).running,
            )
        with self._reading().snapshot() as view:
            found = {job.id: job for job in view.get(wanted)}
        return tuple(found[job_id] for job_id in wanted)

    def log_path(self, job_id: JobId, attempt: int | None = None) -> Path:
        """The log of an attempt (default: the latest, or the first to come); it may not exist yet."""
        return self._attempt(job_id, attempt) / "output.log"

    def events_path(self, job_id: JobId, attempt: int | None = None) -> Path:
        """What an attempt reports of itself (default: the latest); see `jobs.records.events`."""
        return self._attempt(job_id, attempt) / "events.jsonl"

    def curves(self, job_id: JobId) -> Mapping[str, Curve]:
        """How each metric went over the steps of the latest attempt, thinned; empty if it said nothing."""
        from jobs.records.curves import read_curves

        return read_curves(self.events_path(job_id))

    def provenance(self, job_id: JobId) -> Provenance | None:
        """What the latest attempt began with; None where it left no word of it."""
        from jobs.records.provenance import read_provenance

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
        from jobs.records import usage_trace

        return usage_trace.read(self._attempt(job_id, attempt) / "usage.jsonl")

    def log_line_at(self, job_id: JobId, moment: Moment) -> str:
        """The last line that the latest attempt's log had at that moment."""
        from jobs.records import usage_trace

        return usage_trace.line_at(self._attempt(job_id, None) / "output.log", moment.log_bytes)

    def files_removed_at(self, job_id: JobId) -> float | None:
        """When the files of an ended job were removed to make room; None while they are there."""
        return self.home.removed_at(job_id)
