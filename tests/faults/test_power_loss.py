"""Power loss: a scheduler that finds the state folder as the disk had it, after another boot.

The folder is copied while everything runs, and the copy gets another boot id. Simulated: the store and the
job folders from different moments, in either order (what a disk may keep of writes nobody waited for), and
half of the records that are younger than a second emptied or missing. The database and its log are copied
as they are while nobody can commit: those are one moment. Not simulated: pages torn in a write,
which is SQLite's business, and the loss of a commit that was waited for.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.core.jobs import Dependency, DependencyKind, Ended, Failed, Job, JobId, Lost, Succeeded
from jobs.core.requests import JobQuery, SubmitRequest
from tests.daemon.conftest import Installation, command

ENOUGH = 120  # jobs
# The witness lies in the job's own output folder, so the copy has it as it was then.
SCRIPT = "w=$CRO_OUTPUT_DIR/witness; echo begin >> $w; sleep {sleep_s}; echo end {code} >> $w; exit {code}"
FRESH_S = 1.0
DATABASE = ("cro.db", "cro.db-wal")


class Stream:
    """Jobs without end on one installation, and copies of it."""

    def __init__(self, installation: Installation, folder: Path, chance: random.Random) -> None:
        self._installation = installation
        self._folder = folder
        self._chance = chance
        self.acknowledged: list[JobId] = []

    def submit(self) -> None:
        self.acknowledged += self._installation.submit(*[self._request() for _ in range(10)])

    def _request(self) -> SubmitRequest:
        code = self._chance.choice([0, 0, self._chance.randint(1, 99)])
        script = SCRIPT.format(sleep_s=self._chance.choice([0, 0.02, 0.3, 1]), code=code)
        known, after = self.acknowledged[-20:], ()
        if known and self._chance.random() < 0.3:
            return command(
                "sh", "-c", script, after=(Dependency(self._chance.choice(known), DependencyKind.ANY),)
            )
        return command("sh", "-c", script, after=after)

    def cut(self, number: int) -> tuple[Path, list[JobId]]:
        """A copy of the folder as the disk may have it now, and the jobs acknowledged before."""
        promised, copy = list(self.acknowledged), self._folder / f"copy-{number}"
        source = self._installation.home.data
        parts = [self._copy_database, self._copy_the_rest]
        self._chance.shuffle(parts)
        for part in parts:
            part(source, copy)
        self._tear(copy)
        return copy, promised

    def _copy_database(self, source: Path, copy: Path) -> None:
        copy.mkdir(mode=0o700, exist_ok=True)
        with contextlib.closing(sqlite3.connect(source / "cro.db", isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            for name in DATABASE:
                shutil.copy(source / name, copy / name)
            holder.execute("ROLLBACK")

    def _copy_the_rest(self, source: Path, copy: Path) -> None:
        for path in _files(source):
            name = path.relative_to(source)
            if str(name).startswith("cro.db") or path.parent.name == "watchers":
                continue
            (copy / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # a temporary file, renamed since
                shutil.copy2(path, copy / name)

    def _tear(self, copy: Path) -> None:
        fresh = time.time() - FRESH_S
        for path in (copy / "jobs").rglob("*.json"):
            if path.stat().st_mtime > fresh and self._chance.random() < 0.5:
                if self._chance.random() < 0.5:
                    path.unlink()
                else:
                    path.write_bytes(b"")
            elif path.name == "pid.json" and path.stat().st_size:
                record = json.loads(path.read_bytes())
                path.write_text(json.dumps({**record, "boot_id": "the boot before"}))


def _files(folder: Path) -> Iterator[Path]:
    for found, _, names in os.walk(folder):
        for name in names:
            path = Path(found, name)
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISREG(path.lstat().st_mode):
                    yield path


def wrong(original: Installation, copy: Installation, job: Job) -> str | None:
    """What is wrong with the fate that a job has after the power came back.

    The original's witness counts as well: the copy's may be of an earlier moment than its store.
    """
    witnesses = [_witness(copy, job.id, number) for number in range(1, job.attempts + 1)]
    if sum(words.count("begin") for words in witnesses) > 1:
        return "ran twice"
    match job.state:
        case Succeeded() | Failed(exit_code=int()):
            end = ["end", str(job.state.exit_code)]
            told = [_witness(one, job.id, job.attempts)[1:] for one in (original, copy)]
            return None if end in told else f"its witnesses say {told}"
        case Lost():
            return None if job.state.cause else "lost without a cause"
        case _:
            return "its fate is unknown"


def _witness(installation: Installation, job_id: JobId, attempt: int) -> list[str]:
    try:
        return (installation.home.attempt(job_id, attempt) / "output" / "witness").read_text().split()
    except FileNotFoundError:
        return []


def survive(installation: Installation, folder: Path, cuts: int) -> None:
    """Cut the power `cuts` times at random moments, and see what a scheduler makes of each copy."""
    seed = os.environ.get("CRO_CHAOS_SEED") or str(random.SystemRandom().randrange(10**6))
    print(f"CRO_CHAOS_SEED={seed}")
    chance = random.Random(seed)
    stream = Stream(installation, folder, chance)
    installation.start()
    moments = sorted(chance.sample(range(ENOUGH // 10), cuts))
    copies = []
    for number in range(ENOUGH // 10):
        stream.submit()
        time.sleep(chance.uniform(0, 0.3))  # the random moment
        if number in moments:
            copies.append(stream.cut(number))
    installation.client.jobs.wait(stream.acknowledged, timeout_s=120)
    installation.client.scheduler.stop()
    lost = 0
    for copy, promised in copies:
        lost += judge(installation, copy, promised)
    print(f"{cuts} cuts of {ENOUGH} jobs: {lost} were running and are lost, the others have their true end")


def judge(original: Installation, folder: Path, promised: list[JobId]) -> int:
    """Start a scheduler on a copy and audit it; how many jobs are lost."""
    copy = Installation(folder, None)
    try:
        copy.start()
        jobs = copy.client.jobs.list(JobQuery(limit=10_000))
        copy.client.jobs.wait([job.id for job in jobs], timeout_s=120)
        jobs = copy.client.jobs.list(JobQuery(limit=10_000))
        assert [(job.id, job.state, job.reasons) for job in jobs if not isinstance(job.state, Ended)] == []
        assert set(promised) <= {job.id for job in jobs}, "acknowledged submits are there"
        bad = {
            job.id: (found, job.state) for job in jobs if (found := wrong(original, copy, job)) is not None
        }
        assert bad == {}, copy.log()
        return sum(isinstance(job.state, Lost) for job in jobs)
    finally:
        copy.close()


def test_a_copy_of_the_disk_at_random_moments(installation: Installation, tmp_path: Path) -> None:
    survive(installation, tmp_path, 3)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_copy_of_the_disk_at_many_moments(installation: Installation, tmp_path: Path) -> None:
    survive(installation, tmp_path, 12)
