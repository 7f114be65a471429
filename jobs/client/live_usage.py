"""Jobs as they are at this moment: what the database cannot know is added to what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from jobs.client.connection import Connection
from jobs.core.jobs import Active, Job, JobId, Usage
from jobs.core.machine import Sample
from jobs.core.requests import DaemonStatus, ListRow
from jobs.store.rows import as_of_now


def completed(
    jobs: Sequence[Job], connection: Connection, status: DaemonStatus, sample: Sample | None = None
) -> tuple[Job, ...]:
    """With the live use of running jobs, and with the truth about who decides while they wait."""
    live: Mapping[JobId, Usage] = {}
    if status.running and any(isinstance(job.state, Active) for job in jobs):
        sample = sample or connection.machine().published(connection.now(), status)
        live = {} if sample is None else sample.jobs
    return tuple(as_of_now(job, live, status.running) for job in jobs)


def completed_rows(
    rows: Sequence[ListRow], connection: Connection, status: DaemonStatus, sample: Sample | None = None
) -> tuple[ListRow, ...]:
    """The same for the lines of a list: of a group it is the job that it stands for."""
    jobs = completed(
        [row if isinstance(row, Job) else row.foremost for row in rows], connection, status, sample
    )
    return tuple(
        job if isinstance(row, Job) else replace(row, foremost=job)
        for row, job in zip(rows, jobs, strict=True)
    )
