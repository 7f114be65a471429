"""From a row of the database to a job, as front ends and the scheduler see it. Reads and writes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jobs.core.jobs import (
    Active,
    Held,
    Job,
    JobId,
    JobSpec,
    Lost,
    Queued,
    Reason,
    ReasonCode,
    Usage,
    Waiting,
)
from jobs.store.codec import DamagedRecord, load_job, load_spec

NOT_SEEN = Reason(ReasonCode.NOT_SEEN)
NO_SCHEDULER = Reason(ReasonCode.NO_SCHEDULER)
_LASTING = frozenset({ReasonCode.HELD, ReasonCode.DEPENDENCY})

SqlRow = sqlite3.Row | Mapping[str, Any]


def read_job(row: SqlRow) -> Job:
    """A job from a row of `jobs` or of a submit; a damaged one says that it is damaged."""
    try:
        if row["detail"] is not None:
            return load_job(row)
        spec = load_spec(row["spec"])
    except DamagedRecord as error:
        return damaged_job(row, str(error))
    at = row["submitted_at"]
    state = Held(at) if spec.start_held else Queued(at)
    return Job(JobId(row["id"]), spec, state, at, reasons=(NOT_SEEN,))


def as_of_now(job: Job, live: Mapping[JobId, Usage], scheduler_runs: bool) -> Job:
    """The job with its live use while it runs, and with the truth about who decides while it waits."""
    if job.id in live and isinstance(job.state, Active):
        return replace(job, usage=live[job.id])
    if isinstance(job.state, Waiting) and not scheduler_runs:
        lasting = tuple(reason for reason in job.reasons if reason.code in _LASTING)
        return replace(job, reasons=(NO_SCHEDULER, *lasting), estimated_start_at=None)
    return job


def damaged_job(row: SqlRow, error: str) -> Job:
    """A stand-in for a row that cannot be read back; it never counts as a success."""
    at = row["submitted_at"] if isinstance(row["submitted_at"], float) else 0.0
    cause = f"its record in the database is damaged: {error}"
    spec = JobSpec(str(row["name"]), (), "", "")
    return Job(JobId(row["id"]), spec, Lost(None, at, cause, Usage()), at)
