"""A home that an earlier commit wrote, opened as a front end of today opens it, in plain values.

What these tests ask of today's code is asked here and nowhere else; a job is a table with the keys of the
manifests in `tests/data/homes`.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jobs.core.jobs import Job, JobId
from jobs.core.requests import JobGroup, JobQuery
from jobs.daemon.recovery import recover
from jobs.store.schema import MIGRATIONS
from tests.daemon.conftest import Installation

HOMES = Path(__file__).resolve().parents[1] / "data" / "homes"
NAMES = sorted(path.stem for path in HOMES.glob("*.json"))
VERSION = len(MIGRATIONS)  # of today's tables
ENDED = ("succeeded", "failed", "cancelled", "timed_out", "out_of_memory", "lost")
Table = Mapping[str, Any]


def manifest(name: str) -> Table:
    """What the commit that wrote the home read in it, just before the power cut."""
    return dict(json.loads((HOMES / f"{name}.json").read_text(encoding="utf-8")))


class Earlier:
    """Of the home `name`, unpacked into a folder that is not there yet."""

    def __init__(self, name: str, folder: Path) -> None:
        with tarfile.open(HOMES / f"{name}.tar.gz") as tar:
            tar.extractall(folder, filter="data")
        self.said = manifest(name)
        self.was: list[Table] = self.said["jobs"]
        self._installation = Installation(folder, None)
        self._client = self._installation.client

    def named(self, name: str) -> list[Table]:
        return [was for was in self.was if was["name"] == name]

    # --- the scheduler -----------------------------------------------------------------------------

    def start(self) -> None:
        self._installation.start()

    def close(self) -> None:
        """Stop what runs, if a scheduler was started."""
        if self._client.scheduler.status().running:
            self._installation.close()
        self._client.close()

    def note(self) -> str:
        return self._client.scheduler.status().note

    def until(self, job_id: int, *states: str) -> Table:
        self._installation.until_state(JobId(job_id), *states)
        return self.job(job_id)

    def until_attempt(self, job_id: int, attempt: int) -> None:
        """Until that attempt of it runs."""
        self._installation.until(
            lambda: (job := self.job(job_id))["state"] == "running" and job["attempts"] == attempt,
            f"attempt {attempt} of job {job_id}",
        )

    # --- jobs --------------------------------------------------------------------------------------

    def jobs(self) -> dict[int, Table]:
        return {job.id: _table(job) for job in self._client.jobs.list(JobQuery(limit=1000))}

    def job(self, job_id: int) -> Table:
        return _table(self._client.jobs.get(JobId(job_id)))

    def events(self, job_id: int) -> list[str]:
        return [entry.event for entry in self._client.jobs.history(JobId(job_id))]

    def log(self, job_id: int) -> str:
        return self._client.runs.log_path(JobId(job_id)).read_text()

    def curves(self, job_id: int) -> Mapping[str, Any]:
        """Empty where the commit knew no reports."""
        return self._client.runs.curves(JobId(job_id))

    def packages(self, job_id: int) -> Mapping[str, str] | None:
        began_with = self._client.runs.provenance(JobId(job_id))
        return None if began_with is None else began_with.packages

    def output(self, job_id: int) -> Path:
        return self._client.runs.output_dir(JobId(job_id))

    def attempt(self, job_id: int, attempt: int) -> Path:
        """The folder of one."""
        return self._installation.home.attempt(job_id, attempt)

    def cancel(self, ids: Iterable[int]) -> None:
        self._client.jobs.cancel(JobId(job_id) for job_id in ids)

    def release(self, job_id: int) -> None:
        self._client.jobs.release([JobId(job_id)])

    def retry(self, job_id: int) -> int:
        (again,) = self._client.jobs.retry([JobId(job_id)])
        return again

    # --- groups and models ---------------------------------------------------------------------------

    def groups(self) -> dict[int, Table]:
        """The rows of a list that stand for several jobs."""
        rows = self._client.jobs.rows(JobQuery(limit=1000, folded=True))
        return {row.id: _group(row) for row in rows if isinstance(row, JobGroup)}

    def group_of(self, job_id: int) -> Table:
        return _group(self._client.groups.get(JobId(job_id)))

    def sweep_of(self, job_id: int) -> Table:
        """As `cro-tui sweep --json` has it; its jobs as ids, the best first."""
        found = self._client.groups.summary(JobId(job_id))
        return {
            "first": found.first,
            "size": found.size,
            "metric": found.metric,
            "better": found.better,
            "optimized": found.optimized,
            "jobs": [job.id for job in found.jobs],
        }

    def models(self) -> dict[str, Table]:
        found = (json.loads(json.dumps(asdict(model))) for model in self._client.models.list())
        return {model["name"]: model for model in found}

    def version(self, reference: str) -> int:
        return self._client.models.get(reference)[0].version

    def export(self, reference: str, folder: Path) -> None:
        self._client.models.export(reference, str(folder))

    # --- the home itself -------------------------------------------------------------------------------

    def is_as_if_made_here(self) -> None:
        """Let jobs name this folder and this Python, as after an update in place."""
        home = self._installation.home
        with contextlib.closing(sqlite3.connect(home.database)) as database, database:
            for place, here in (
                ("/mnt/ada/cro-tui/.venv/bin/python", sys.executable),
                ("/mnt/ada/home", str(home.data)),
            ):
                database.execute("UPDATE jobs SET spec = replace(spec, ?, ?)", (place, here))
                database.execute("UPDATE intents SET body = replace(body, ?, ?)", (place, here))

    def loses_its_database(self) -> None:
        """Damage it, without a backup, and do what a scheduler does about that before it begins."""
        home = self._installation.home
        for path in home.data.glob("cro.db*"):
            path.unlink()
        home.database.write_bytes(b"this is no database")
        recover(home)


def _table(job: Job) -> Table:
    spec, state = job.spec, job.state
    return {
        "id": job.id,
        "name": spec.name,
        "state": state.name.value,
        "cause": getattr(state, "cause", ""),
        "exit_code": getattr(state, "exit_code", None),
        "signal": getattr(state, "signal", None),
        "metrics": dict(job.metrics),
        "priority": spec.priority,
        "attempts": job.attempts,
        "evictions": job.evictions,
        "submitted_at": job.submitted_at,
        "started_at": getattr(state, "started_at", None),
        "finished_at": getattr(state, "finished_at", None),
        "recipe": spec.recipe,
        "params": dict(spec.params),
        "command": list(spec.argv),
        "cwd": spec.cwd,
        "after": [{"id": each.job_id, "kind": each.kind.value} for each in spec.after],
        "retry_of": spec.retry_of,
        "sweep": None if spec.group is None else dict(spec.group._asdict()),
        "on_reboot": spec.on_reboot.value,
        "checkpoint": spec.checkpoint,
        "grace_s": spec.grace_s,
        "needs": asdict(spec.needs),
    }


def _group(group: JobGroup) -> Table:
    return {
        "id": group.id,
        "size": group.size,
        "counts": {state.value: count for state, count in group.counts.items() if count},
        "controller": group.controller,
        "judged_by": dict(group.judged_by),
        "best": (group.metric, group.best, group.best_id),
    }
