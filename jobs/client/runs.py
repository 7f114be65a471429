"""`client.runs`: what a job's attempts printed, reported, used and left behind. It reads files.

`attempt` counts from 1; None is the latest, or the first to come. An unknown job raises NoSuchJob.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.client.connection import Connection
from jobs.core.jobs import Job, JobId
from jobs.core.requests import FirstRun

if TYPE_CHECKING:
    from jobs.core.tracking import Curve, Provenance
    from jobs.records.usage_trace import Moment


class Runs:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def log_path(self, job_id: JobId, attempt: int | None = None) -> Path:
        """The log, stdout and stderr as they came; it may not exist yet."""
        return self._connection.attempt_folder(job_id, attempt) / "output.log"

    def events_path(self, job_id: JobId, attempt: int | None = None) -> Path:
        """What it reports of itself, a JSON object a line; see `jobs.records.events`."""
        return self._connection.attempt_folder(job_id, attempt) / "events.jsonl"

    def output_dir(self, job_id: JobId, attempt: int | None = None) -> Path:
        """Where it leaves its files (`CRO_OUTPUT_DIR`); it may not exist yet."""
        return self._connection.attempt_folder(job_id, attempt) / "output"

    def curves(self, job_id: JobId) -> Mapping[str, Curve]:
        """Each metric that the latest attempt reported: at most 400 (step, value) pairs, the last reported
        always among them. Empty if it reported none."""
        from jobs.records.curves import read_curves

        return read_curves(self.events_path(job_id))

    def usage_trace(self, job_id: JobId, attempt: int | None = None) -> tuple[Moment, ...]:
        """What it used, second by second; empty before its first second."""
        from jobs.records import usage_trace

        return usage_trace.read(self._connection.attempt_folder(job_id, attempt) / "usage.jsonl")

    def log_line_at(self, job_id: JobId, moment: Moment) -> str:
        """The last line that the latest attempt's log had at that moment."""
        from jobs.records import usage_trace

        return usage_trace.line_at(self.log_path(job_id), moment.log_bytes)

    def provenance(self, job_id: JobId) -> Provenance | None:
        """What the latest attempt began with: code, data, packages; None where it is not on record."""
        from jobs.records.provenance import read_provenance

        return read_provenance(self._connection.attempt_folder(job_id, None))

    def retry_origin(self, job: Job) -> FirstRun | None:
        """The job that this one is a retry of, with what both began with; None for one that is no retry,
        and where the other's row was lost with a damaged database."""
        before_id = job.spec.retry_of
        if before_id is None:
            return None
        with self._connection.view() as view:
            found = view.get([before_id])
        return FirstRun(found[0], self.provenance(before_id), self.provenance(job.id)) if found else None

    def files_removed_at(self, job_id: JobId) -> float | None:
        """When the files of an ended job were removed to make room; None while they are there."""
        return self._connection.home.removed_at(job_id)
