"""Writes down beside each running job's log how much GPU memory it holds, for its trace.

Its supervisor cannot: it runs without our packages, and the driver is asked by the scheduler alone. A line
when the number changes, or after a while; the longer a job runs, the rarer. It reads nothing back, and a
disk that is full stops nothing.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass

from jobs.core.jobs import Job, JobId, Paused, Running
from jobs.core.machine import Sample
from jobs.installation.home import Home
from jobs.records.usage_trace import GPU_FILE, GPU_KEPT_S

log = logging.getLogger(__name__)

_CHANGED = 0.01  # a smaller change is not worth a line
_RARER = 10_000  # a job's lines are at least this part of its age apart
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class _Written:
    attempt: int
    at: float
    mem_bytes: int


class GpuTraces:
    """Of the jobs of one installation."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._written: dict[JobId, _Written] = {}

    def write(self, sample: Sample, jobs: Iterable[Job]) -> None:
        """Add a line for each job that was given a GPU, where there is something new to say."""
        written: dict[JobId, _Written] = {}
        for job in jobs:
            state, usage = job.state, sample.jobs.get(job.id)
            if not isinstance(state, Running | Paused) or not state.grant.device_uuids:
                continue
            before = self._written.get(job.id)
            if before is not None:
                written[job.id] = before
            held = None if usage is None else usage.gpu_mem_bytes
            if held is None or not _is_news(
                before, held, sample.at - state.started_at, state.attempt, sample.at
            ):
                continue
            written[job.id] = _Written(state.attempt, sample.at, held)
            self._append(job, state.attempt, sample.at, held)
        self._written = written

    def _append(self, job: Job, attempt: int, at: float, held: int) -> None:
        path = self._home.attempt(job.id, attempt) / GPU_FILE
        try:
            descriptor = os.open(path, _FLAGS, 0o600)
            try:
                os.write(
                    descriptor, json.dumps({"at": round(at, 2), "gpu_mem_bytes": held}).encode() + b"\n"
                )
            finally:
                os.close(descriptor)
        except OSError as error:
            log.debug("the GPU memory of job %d is not written down: %s", job.id, error)


def _is_news(before: _Written | None, held: int, age_s: float, attempt: int, now: float) -> bool:
    if before is None or before.attempt != attempt or now < before.at:
        return True
    since_s = now - before.at
    changed = abs(held - before.mem_bytes) > _CHANGED * max(held, before.mem_bytes)
    return since_s >= GPU_KEPT_S / 2 or (changed and since_s >= age_s / _RARER)
