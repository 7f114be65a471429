"""Exports what has ended to MLflow, one process for each installation.

`python -P -m jobs.programs.mlflow_mirror HOME [--once]`.

Catches up with the store, then waits for more and leaves after a while without. What it has told is a line
in `told`, written afterwards: killed between the two it tells the same again, which changes nothing. It
starts no job, and nobody waits for it.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from jobs.client import Client
from jobs.core.jobs import Ended, Job, JobId
from jobs.core.ports import CroError, StateUnavailable
from jobs.core.requests import JobQuery
from jobs.installation.home import Home
from jobs.installation.settings import Settings
from jobs.kinds.mlflow_run import BUSY, MOST_POINTS, is_exported, mlflow_run
from jobs.records.curves import read_curves
from jobs.records.mlflow_prepared import DATABASE

PREPARED = 64
CHUNK = 200
LINGER_S = 30.0
LOOK_EVERY_S = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m jobs.programs.mlflow_mirror")
    parser.add_argument("home", type=Path)
    parser.add_argument("--once", action="store_true", help="leave once everything is told")
    options = parser.parse_args()
    home = Home(options.home, options.home / "settings.toml")
    home.mlflow.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(home.mlflow / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX if options.once else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return BUSY
    with contextlib.suppress(OSError):
        os.nice(19)
    os.umask(0o077)
    with contextlib.closing(Client(home, Settings())) as client:
        mirroring = MlflowSyncRun(home, client)
        busy_at = time.monotonic()
        while True:
            if mirroring.catch_up():
                busy_at = time.monotonic()
            if options.once or time.monotonic() - busy_at > LINGER_S or not home.database.exists():
                return 0
            time.sleep(LOOK_EVERY_S)


class MlflowSyncRun:
    def __init__(self, home: Home, client: Client) -> None:
        _check(home.mlflow / DATABASE)
        from jobs.programs.mlflow_mirror.mirror import Mirror

        self._home, self._client = home, client
        self._mirror = Mirror(home.mlflow)
        self._file = home.mlflow / "told"
        self._told = _read(self._file)
        self._shown: object = None

    def catch_up(self) -> int:
        """Tell what has ended and is not told yet; how many that were."""
        self._mirror.prepare(PREPARED)
        count = 0
        for job in self._ended():
            if is_exported(job):
                folder = self._home.attempt(job.id, max(1, job.attempts))
                curves = read_curves(folder / "events.jsonl", MOST_POINTS)
                what = mlflow_run(job, curves, self._client.runs.provenance(job.id), str(folder / "output"))
                self._mirror.run(job.id, what)
            else:
                self._mirror.drop(job.id)
            with self._file.open("a") as file:
                file.write(f"{job.id}\n")
            self._told.add(job.id)
            count += 1
            if count % CHUNK == 0:
                print(f"{count} runs are told", flush=True)
        self._models()
        return count

    def _ended(self) -> Iterator[Job]:
        try:
            store = sqlite3.connect(f"file:{self._home.database}?mode=ro", uri=True, timeout=5.0)
            with contextlib.closing(store):
                rows = store.execute("SELECT id FROM jobs WHERE finished_at IS NOT NULL ORDER BY id")
                ids = [JobId(job_id) for (job_id,) in rows if job_id not in self._told]
        except sqlite3.Error:
            return
        for start in range(0, len(ids), CHUNK):
            part = frozenset(ids[start : start + CHUNK])
            for job in self._client.jobs.list(JobQuery(ids=part, limit=CHUNK)):
                if isinstance(job.state, Ended):
                    yield job

    def _models(self) -> None:
        registry = self._home.models
        if not registry.is_dir():
            return
        models = self._client.models.list()
        if models == self._shown:
            return
        content = registry / "content"
        self._mirror.models(
            (model, [(card, content / card.digest) for card in reversed(model.versions)])
            for model in models
        )
        self._shown = models


def _check(database: Path) -> None:
    """Raises Unreachable of a store that cannot be written: MLflow would try again for minutes."""
    if not database.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as store:
            store.execute("SELECT count(*) FROM sqlite_master").fetchone()
            store.execute("BEGIN IMMEDIATE")
            store.execute("ROLLBACK")
    except sqlite3.Error as error:
        if "locked" not in str(error):
            raise StateUnavailable(
                f"{database} cannot be used ({error}).",
                f"Move the folder {database.parent} away: all is told again to a new one.",
            ) from error


def _read(path: Path) -> set[int]:
    try:
        return {int(line) for line in path.read_text().split() if line.isdigit()}
    except OSError:
        return set()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CroError as error:
        sys.exit(str(error))
