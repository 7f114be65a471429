"""Removes old jobs' files, slowly, in a thread of its own; which ones, the policy says.

Rows stay, and so does the job's own folder with a file that says when the rest went: no id is ever given
again. A file `keep` in an attempt's folder protects all files of its job; so does a job that waits for it.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from jobs.core.jobs import JobId
from jobs.environments.folder import prune
from jobs.environments.in_use import needed
from jobs.installation.home import KEEP, REMOVED, Home
from jobs.installation.settings import EnvironmentSettings, KeepSettings
from jobs.records.checkpoints import CHECKPOINT
from jobs.upkeep.retention import SPARED_S, EndedFiles, to_remove

log = logging.getLogger(__name__)
FIRST_AFTER_S = 60.0
REST_S = 0.001  # between two jobs, for others want the disk and the processor


class Retention:
    def __init__(
        self, home: Home, settings: KeepSettings, environments: EnvironmentSettings | None = None
    ) -> None:
        self._home = home
        self._settings = settings
        self._environments = environments or EnvironmentSettings()
        self._thread: threading.Thread | None = None
        self._next_at = time.monotonic() + min(FIRST_AFTER_S, settings.check_s)
        self._removed: list[JobId] = []

    def tick(self) -> list[JobId]:
        """To be called on each turn of the loop; the jobs whose files were removed since the last one."""
        sizes = self._settings.max_bytes, self._environments.max_bytes
        limited = self._settings.days > 0 or max(sizes) > 0
        running = self._thread is not None and self._thread.is_alive()
        if limited and not running and time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + self._settings.check_s
            self._thread = threading.Thread(target=self._prune, name="pruning", daemon=True)
            self._thread.start()
        removed = self._removed[:]
        del self._removed[: len(removed)]  # the thread only appends
        return removed

    def _prune(self) -> None:
        try:
            spared_s = min(SPARED_S, self._settings.check_s)
            keep_s = self._settings.days * 86400
            files = list(_left(self._home))
            for job_id in to_remove(
                files, time.time(), keep_s, self._settings.max_bytes, spared_s=spared_s
            ):
                if remove(_folder(self._home, job_id)):
                    self._removed.append(job_id)
                time.sleep(REST_S)
            if self._home.recipe_environments.exists():
                for digest in prune(
                    self._home.recipe_environments,
                    needed(self._home.database),
                    self._environments.max_bytes,
                ):
                    log.info("environment %s was removed to make room", digest)
        except (sqlite3.Error, OSError) as error:
            log.warning("old files could not be removed: %s", error)


def remove(folder: Path) -> bool:
    """Say in a job's folder that its files are gone, and remove them; False when somebody keeps them."""
    attempts = [each for each in folder.iterdir() if each.name.isdigit()]
    if any((attempt / KEEP).exists() for attempt in attempts):
        return False
    marker = folder / REMOVED
    if not marker.exists():
        marker.write_text(f"{time.time()}\n")
    for left in (*attempts, folder / CHECKPOINT):
        shutil.rmtree(left, ignore_errors=True)
    return True


def _left(home: Home) -> Iterator[EndedFiles]:
    """What each ended job has left; the disk is asked only for those that have a folder."""
    with closing(sqlite3.connect(f"file:{home.database}?mode=ro", uri=True, timeout=5.0)) as store:
        ended = store.execute("SELECT id, finished_at FROM jobs WHERE finished_at IS NOT NULL").fetchall()
        needed = {
            on_id
            for (on_id,) in store.execute(
                "SELECT DISTINCT on_id FROM dependencies JOIN jobs ON jobs.id = job_id "
                "WHERE finished_at IS NULL"
            )
        }
    for job_id, ended_at in ended:
        folder = _folder(home, job_id)
        attempts = [each for each in _entries(folder) if each.name.isdigit() or each.name == CHECKPOINT]
        if attempts:
            kept = job_id in needed or any(os.path.exists(os.path.join(each, KEEP)) for each in attempts)
            yield EndedFiles(JobId(job_id), ended_at, sum(map(_size, attempts)), kept)
            time.sleep(REST_S)


def _folder(home: Home, job_id: int) -> Path:
    return home.attempt(job_id, 1).parent


def _entries(folder: str | Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _size(entry: os.DirEntry[str]) -> int:
    """Bytes on the disk; links are not followed."""
    try:
        taken = entry.stat(follow_symlinks=False).st_blocks * 512
        return taken + sum(map(_size, _entries(entry))) if entry.is_dir(follow_symlinks=False) else taken
    except OSError:
        return 0
