"""A scheduler of an earlier version is replaced before its tables are changed; its jobs run on."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.client import Client
from jobs.core import versions
from jobs.core.jobs import Running, Succeeded
from jobs.core.ports import StateUnavailable
from jobs.core.requests import NeedsRequest, SubmitRequest
from jobs.installation import daemon_lock
from jobs.installation.home import Home
from jobs.installation.settings import Settings
from jobs.store import schema
from jobs.store.schema import Outdated
from tests.daemon.conftest import SMALL, TOLERANT

ARCHIVE = Path(__file__).parent.parent / "data" / "engine-schema-3.tar.gz"
ROOT = Path(__file__).parents[2]
FRONT_END = """
home = Home.find()
with Client(home, Settings.load(home.settings_file)) as client:
    needs = NeedsRequest(cpus=0.1, mem_bytes=32 << 20)
    submit(client)([SubmitRequest(argv=("sleep", "600"), needs=needs)])
    print(start(client)().pid)
"""
NOW = """
from operator import attrgetter
from jobs.client import Client
from jobs.core.requests import NeedsRequest, SubmitRequest
from jobs.installation.home import Home
from jobs.installation.settings import Settings
submit, start = attrgetter("jobs.submit"), attrgetter("scheduler.start")
"""
THEN = """
from operator import attrgetter
from jobs.api import Api as Client
from jobs.settings import Home, Settings
from jobs.views import NeedsRequest, SubmitRequest
submit, start = attrgetter("submit"), attrgetter("ensure_daemon")
"""


def until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.02)


def run_old(engine: Path, home: Home, code: str) -> str:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(engine), "CRO_HOME": str(home.data)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=environ, cwd="/", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home.find({"CRO_HOME": str(tmp_path / "home")})
    found.make()
    found.settings_file.write_text(TOLERANT.replace("low_priority = false", ""))
    return found


@pytest.fixture
def client(home: Home) -> Iterator[Client]:
    client = Client(home, Settings.load(home.settings_file), environ={"PATH": os.environ["PATH"]})
    with client:
        yield client
        client.connection.readonly = False
        with contextlib.suppress(StateUnavailable):
            running = [job.id for job in client.jobs.list() if isinstance(job.state, Running)]
            client.jobs.cancel(running)
            client.jobs.wait(running, timeout_s=30)
        client.scheduler.stop()


@pytest.fixture(scope="session")
def engine_3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The engine of the last commit whose tables were of version 3, as it was."""
    folder = tmp_path_factory.mktemp("engine")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "schema-3"


@pytest.fixture(scope="session")
def engine_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This engine, called by an earlier version: the tables are the same."""
    folder = tmp_path_factory.mktemp("before")
    for package in ("jobs", "recipes"):
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "library")
        )
    path = folder / "jobs" / "__init__.py"
    path.write_text(path.read_text().replace(f'"{versions.PACKAGE}"', '"0.0.9"'))
    return folder


def running_under(engine: Path, home: Home, client: Client) -> int:
    """Have the old scheduler start one job; its pid."""
    names = NOW if (engine / "jobs" / "client").exists() else THEN
    pid = int(run_old(engine, home, names + FRONT_END))
    until(lambda: '"supervisor"' in _text(home.attempt(1, 1) / "pid.json"), "the job to run")
    return pid


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_who_reads_an_older_database_replaces_its_scheduler_and_its_job_runs_on(
    engine_3: Path, home: Home, client: Client
) -> None:
    pid = running_under(engine_3, home, client)
    (job,) = client.jobs.list()
    until(lambda: isinstance(client.jobs.get(job.id).state, Running), "the job to be known as running")
    status = client.scheduler.status()
    assert status.running and status.pid != pid
    assert (status.version.package, status.version.schema) == (versions.PACKAGE, versions.SCHEMA)
    assert [
        f"(an earlier version) was replaced by version {versions.PACKAGE}" in n
        for n in client.scheduler.notices()
    ] == [True]
    assert client.scheduler.notices() == (), "it is told once"
    (after,) = client.jobs.submit([SubmitRequest(argv=("true",), needs=SMALL)])
    assert isinstance(client.jobs.wait([after], timeout_s=60)[0].state, Succeeded)
    assert isinstance(client.jobs.get(job.id).state, Running), "jobs outlive their scheduler"


def test_a_submit_replaces_a_scheduler_that_would_pass_over_what_it_does_not_know(
    engine_before: Path, home: Home, client: Client
) -> None:
    pid = running_under(engine_before, home, client)
    assert client.jobs.list() and client.scheduler.status().pid == pid, "reading needs no other scheduler"
    (after,) = client.jobs.submit([SubmitRequest(argv=("true",), needs=SMALL)])
    client.scheduler.start()
    assert isinstance(client.jobs.wait([after], timeout_s=60)[0].state, Succeeded)
    assert client.scheduler.status().pid != pid
    assert "(version 0.0.9) was replaced" in "".join(client.scheduler.notices())


def test_who_may_change_nothing_leaves_an_older_database_and_its_scheduler_alone(
    engine_3: Path, home: Home, client: Client
) -> None:
    pid = running_under(engine_3, home, client)
    client.connection.readonly = True
    with pytest.raises(Outdated, match=r"earlier cro-tui \(version 3 .*\n?.*cro-tui ls"):
        client.jobs.list()
    assert daemon_lock.look(home.scheduler_lock).pid == pid


def test_the_scheduler_of_somebody_else_is_not_asked_to_leave(
    engine_3: Path, home: Home, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = running_under(engine_3, home, client)
    with monkeypatch.context() as other:
        other.setattr(os, "geteuid", lambda: os.getuid() + 4321)
        with pytest.raises(StateUnavailable, match="another version"):
            client.jobs.list()
        assert daemon_lock.look(home.scheduler_lock).pid == pid
    with pytest.raises(Outdated):
        schema.connect(home.database)


def test_two_front_ends_at_once_change_the_tables_once(engine_3: Path, home: Home, client: Client) -> None:
    running_under(engine_3, home, client)
    code = NOW + FRONT_END.replace("print", "client.jobs.list(); print")
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "CRO_HOME": str(home.data)}
    both = [
        subprocess.Popen([sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    pids = {process.communicate(timeout=60)[0].strip() for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(pids) == 1
    until(lambda: all(isinstance(job.state, Running) for job in client.jobs.list()), "three jobs to run")
    assert len(client.jobs.list()) == 3


def test_a_scheduler_whose_package_was_upgraded_under_it_still_starts_jobs(
    engine_before: Path, home: Home, client: Client
) -> None:
    pid = running_under(engine_before, home, client)
    away = engine_before / "jobs" / "runtime"
    away.rename(away.with_name("renamed"))
    try:
        for process in _launchers(home):
            os.kill(process, signal.SIGKILL)
        (after,) = client.jobs.submit(
            [SubmitRequest(argv=("true",), needs=NeedsRequest(cpus=0.1, mem_bytes=2**25))]
        )
        assert isinstance(client.jobs.wait([after], timeout_s=60)[0].state, Succeeded)
        assert daemon_lock.look(home.scheduler_lock).pid == pid
        assert len(list(home.run.glob("runtime-*"))) == 1
    finally:
        away.with_name("renamed").rename(away)


def _launchers(home: Home) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if any(word.endswith(b"/launcher.py") and os.fsencode(home.data) in word for word in words):
                found.append(int(folder.name))
    assert found
    return found
