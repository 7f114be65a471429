"""A damaged database is replaced, and what the job folders know beyond it is brought back as jobs.

Runs at the daemon's start, under its lock, before anything is decided. What a folder does not say (a
name, a priority, dependencies) is lost; a job that has ended keeps its end, one that still runs is adopted.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from jobs.core.jobs import GIB, Grant, Held, Job, JobId, JobSpec, Needs, Starting
from jobs.core.ports import Exit, ExitCause
from jobs.engine.attempts import SAVED
from jobs.engine.exit_states import exit_state
from jobs.installation.home import Home
from jobs.records.exits import exit_of
from jobs.runtime import job_folder
from jobs.store.backup import damage, restore
from jobs.store.codec import load_spec
from jobs.store.writer import Store

log = logging.getLogger(__name__)
SAVED_AND_STOPPED = "it saved and stopped before the database was lost: release it to resume, or cancel it"
SAID = "brought back from its job folder: the database was damaged"


def recover(home: Home) -> None:
    """Make sure that there is a sound database. Raises OSError, CroError when there cannot be one."""
    why = damage(home.database)
    if not why:
        return
    log.error("the database is damaged: %s", why)
    restored = restore(home.database, why)
    log.warning("the damaged database is kept as %s", restored.aside)
    store = Store(home.database)
    try:
        jobs = bring_back(home, store, restored.first_unknown)
        store.commit()
    finally:
        store.close()
    source = "no backup was there" if restored.backup_at is None else "the last backup was restored"
    log.warning("%s; %d jobs were brought back from their folders", source, jobs)


def bring_back(home: Home, store: Store, first: int) -> int:
    """Insert the jobs from the id `first` on that have a folder; how many."""
    jobs = 0
    for job_id, attempt, folder in _attempts(home.jobs, first):
        spec = job_folder.read_json(str(folder / job_folder.SPEC))
        try:
            job, instance = _job(job_id, attempt, folder, spec or {})
        except (KeyError, TypeError, ValueError) as error:
            log.warning("job %d cannot be brought back: its spec.json says too little (%s)", job_id, error)
            continue
        if not jobs and first == 1:
            store.set_meta("instance", instance)  # so that running attempts keep their names
        store.insert(job)
        store.record(job_id, job.submitted_at, job.state.name.value.replace("_", " "), attempt, SAID)
        jobs += 1
    return jobs


def _attempts(jobs: Path, first: int) -> Iterator[tuple[JobId, int, Path]]:
    """The last attempt of every job from the id `first` on, in order of the ids."""
    for bucket in _numbers(jobs):
        if bucket < first // 1000:
            continue
        for job_id in _numbers(jobs / str(bucket)):
            folder = jobs / str(bucket) / str(job_id)
            attempts = _numbers(folder)
            if job_id >= first and attempts:
                yield JobId(job_id), attempts[-1], folder / str(attempts[-1])


def _numbers(folder: Path) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(folder) if name.isascii() and name.isdigit())
    except OSError:
        return []


def _job(job_id: JobId, attempt: int, folder: Path, spec: Mapping[str, Any]) -> tuple[Job, str]:
    """The job as its folder knows it, ended or Starting, and the installation's name in its own.

    A folder without a record of what was submitted tells what ran, not its name, priority and recipe.
    """
    extra: Mapping[str, str] = spec["extra_env"]
    argv = tuple(str(word) for word in spec["argv"])
    devices = tuple(filter(None, extra.get("CRO_GPUS", extra.get("CUDA_VISIBLE_DEVICES", "")).split(",")))
    limit = spec["mem_limit_bytes"]
    needs = Needs(
        cpus=float(extra.get("CRO_CPUS", 1)),
        mem_bytes=GIB if limit is None else int(limit),
        gpus=len(devices),
        time_limit_s=spec["time_limit_s"],
        mem_is_limit=limit is not None,
    )
    made = JobSpec(
        os.path.basename(argv[0]),
        argv,
        str(spec["cwd"]),
        Path(spec["environment_path"]).stem,
        needs,
        framework=spec.get("framework", spec.get("stack")),
        grace_s=float(spec["grace_s"]),
    )
    if record := spec.get("record"):
        made = load_spec(str(record))
        needs = made.needs
    began_at = float(spec.get("asked_at") or folder.stat().st_mtime)
    state = Starting(began_at, attempt, Grant(devices))
    job = Job(job_id, made, state, began_at, attempts=attempt)
    ended_as = job_folder.read_json(str(folder / job_folder.EXIT))
    end: Exit | None = None if ended_as is None else exit_of(ended_as)
    if end is not None and end.cause is ExitCause.CANCELLED and end.exit_code == SAVED and made.checkpoint:
        # Stopped for another job or by a person: the folder does not say which, so a person decides.
        held = Held(end.finished_at, SAVED_AND_STOPPED)
        kept_s = end.finished_at - (began_at if end.started_at is None else end.started_at)
        job = replace(job, state=held, usage=end.usage, attained_s=max(0.0, kept_s))
    elif end is not None:
        if end.cause is ExitCause.CANCELLED:
            state = replace(state, cancel_requested_at=began_at)  # who stopped it was one of us
        ended = exit_state(state, needs, end)
        job = replace(job, state=ended, usage=ended.usage, metrics=end.metrics)
    return job, str(spec["name"]).split("-")[1]
