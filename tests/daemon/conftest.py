"""A real daemon process on a state folder of its own, and a Client to drive it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from jobs.client import Client
from jobs.core.jobs import Active, Job, JobId
from jobs.core.requests import JobQuery, NeedsRequest, SubmitRequest
from jobs.installation.home import Home
from jobs.installation.settings import Settings
from jobs.store import schema

# The load of the tests themselves must neither keep jobs waiting nor starve them.
TOLERANT = """
[jobs]
low_priority = false
[admission]
foreign_cpu_tolerance = 1.0
memory_full_close = 100
memory_some_close = 100
cpu_some_close = 100
start_retry_s = 0.5
[daemon]
lost_after_s = 0.5
"""
SMALL = NeedsRequest(cpus=0.1, mem_bytes=32 * 2**20)
SECRET = "xyzzy-5b1e-secret"


def command(*argv: str, cpus: float = 0.1, **changes: object) -> SubmitRequest:
    needs = NeedsRequest(cpus=cpus, mem_bytes=32 * 2**20)
    return SubmitRequest(argv=argv, needs=needs, **changes)  # type: ignore[arg-type]


class Installation:
    """One state folder with its scheduler; `database` None: the folder has one already."""

    def __init__(self, folder: Path, database: Path | None) -> None:
        self.home = Home.find({"CRO_HOME": str(folder)})
        self.home.make()
        if database is not None:
            shutil.copy(database, self.home.database)
        self.settings(TOLERANT)
        environ = {"PATH": os.environ["PATH"], "SECRET": SECRET}
        self.client = Client(self.home, Settings.load(self.home.settings_file), environ=environ)

    def settings(self, text: str) -> None:
        self.home.settings_file.write_text(text)

    def submit(self, *requests: SubmitRequest) -> tuple[JobId, ...]:
        return self.client.jobs.submit(requests)

    def start(self) -> int:
        pid = self.client.scheduler.start().pid
        assert pid is not None
        return pid

    def kill(self) -> None:
        """kill -9, and wait until its lock is free."""
        pid = self.client.scheduler.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: not self.client.scheduler.status().running, "the daemon to be gone")

    def until(self, holds: Callable[[], object], what: str, timeout_s: float = 120.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert time.monotonic() < deadline, (
                f"waited for {what}: {self.client.jobs.list()}\n{self.log()}"
            )
            time.sleep(0.01)

    def until_state(self, job_id: JobId, *names: str) -> Job:
        self.until(lambda: self.client.jobs.get(job_id).state.name in names, f"job {job_id} to be {names}")
        return self.client.jobs.get(job_id)

    def until_gone(self, pid: int) -> None:
        """Until the process has ended, reaped or not."""
        deadline = time.monotonic() + 120
        with contextlib.suppress(psutil.NoSuchProcess):
            while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                assert time.monotonic() < deadline, f"process {pid} is still there"
                time.sleep(0.02)

    def log(self) -> str:
        return self.home.scheduler_log.read_text() if self.home.scheduler_log.exists() else ""

    def close(self) -> None:
        try:
            jobs = self.client.jobs.list(JobQuery(limit=1000)) if self.home.database.exists() else ()
            running = [job.id for job in jobs if isinstance(job.state, Active)]
            if running:
                self.start()
                self.client.jobs.cancel(running)
                self.client.jobs.wait(running, timeout_s=60)
        finally:
            self.client.scheduler.stop()
            self.client.close()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrated once, for migrating costs half a second."""
    path = tmp_path_factory.mktemp("empty") / "cro.db"
    schema.connect(path).close()
    return path


@pytest.fixture
def installation(tmp_path: Path, empty_database: Path) -> Iterator[Installation]:
    installation = Installation(tmp_path / "home", empty_database)
    yield installation
    installation.close()


@pytest.fixture(scope="session", autouse=True)
def watched_long(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Installation]:
    """One that is watched from the first of these tests on, for what takes a scheduler many seconds."""
    installation = Installation(tmp_path_factory.mktemp("watched") / "home", empty_database)
    installation.start()
    with contextlib.closing(installation.client.scheduler.watch()):
        yield installation
    installation.close()


@pytest.fixture
def cores() -> float:
    return float(psutil.cpu_count() or 1)
