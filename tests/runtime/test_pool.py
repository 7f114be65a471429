"""Supervisors that take one job after the other: a real launcher, its sockets, and real signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.runtime import job_folder, procfs

BOXED = Path(job_folder.__file__).parent
JOBS_EACH, MOST, SPARES = 200, 16, 1  # as in pool.py, which runs by path only


class Launcher:
    """The process, and the daemon's ends of its two sockets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        environment = folder / "environment.json"
        environment.write_text(json.dumps(dict(os.environ)))
        self._environment = str(environment)
        self.requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ends, their_ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for ours in (self.requests, self.ends):
            ours.settimeout(20)
        numbers = theirs.fileno(), their_ends.fileno()
        command = [sys.executable, "-I", "-S", str(BOXED / "launcher.py"), *map(str, numbers)]
        self.process = subprocess.Popen(command, pass_fds=numbers)
        theirs.close()
        their_ends.close()

    def start(self, *argv: str) -> tuple[Path, int]:
        """A job's folder, and the pid of its supervisor."""
        self._count += 1
        folder = self._folder / "jobs" / str(self._count) / "1"
        job_folder.make_folder(str(folder))
        spec: dict[str, Any] = {
            "name": f"cro-test-{self._count}-1",
            "argv": argv,
            "cwd": "/",
            "environment_path": self._environment,
            "extra_env": {},
            "mem_limit_bytes": None,
            "time_limit_s": None,
            "grace_s": 5.0,
            "asked_at": time.time(),
            "why_cold": "",
            "low_priority": True,
            "log_max_bytes": 0,
        }
        job_folder.write_json(str(folder / job_folder.SPEC), spec)
        self.requests.send(os.fsencode(folder))
        return folder, json.loads(self.requests.recv(4096))["pid"]

    def run(self, *argv: str) -> tuple[dict[str, Any], int]:
        """How the job ended, and the pid of its supervisor."""
        folder, pid = self.start(*argv)
        assert Path(os.fsdecode(self.ends.recv(4096))) == folder
        record = job_folder.read_json(str(folder / job_folder.EXIT))
        assert record is not None
        return record, pid

    def close(self) -> None:
        self.requests.close()
        self.ends.close()
        self.process.wait(20)


@pytest.fixture
def launcher(tmp_path: Path) -> Iterator[Launcher]:
    made = Launcher(tmp_path)
    yield made
    made.close()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def is_gone(pid: int) -> bool:
    return procfs.start_ticks(pid) is None


def waits(pid: int) -> bool:
    """Whether the supervisor has nothing to do: it stands in no job folder and reads."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return str(Path(f"/proc/{pid}/cwd").readlink()) == "/" and state == "S"
    except OSError:
        return False


def test_one_supervisor_takes_job_after_job_and_mixes_nothing_up(launcher: Launcher) -> None:
    ended = [launcher.run("sh", "-c", f"exit {code}") for code in (3, 0, 7)]
    assert [record["exit_code"] for record, _ in ended] == [3, 0, 7]
    busy, pid = launcher.run("sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done")
    until(lambda: waits(pid))
    idle, again = launcher.run("true")
    assert again == pid
    assert busy["usage"]["cpu_s"] > 5 * idle["usage"]["cpu_s"]
    assert idle["supervisor_cpu_s"] < 0.1


def test_a_signal_for_the_job_before_does_not_reach_the_next(launcher: Launcher) -> None:
    _, pid = launcher.run("true")
    until(lambda: waits(pid))
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGUSR1)
    record, again = launcher.run("sh", "-c", "exit 4")
    assert (again, record["cause"], record["exit_code"]) == (pid, "exited", 4)
    folder, again = launcher.start("sleep", "600")
    os.kill(again, signal.SIGTERM)
    launcher.ends.recv(4096)
    record = job_folder.read_json(str(folder / job_folder.EXIT)) or {}
    assert record["cause"] == "cancelled"


def test_one_that_is_killed_while_it_waits_is_replaced(launcher: Launcher) -> None:
    pids = set()
    for _ in range(5):
        record, pid = launcher.run("true")
        assert record["exit_code"] == 0
        os.kill(pid, signal.SIGKILL)
        pids.add(pid)
    assert len(pids) == 5


def test_after_many_jobs_it_leaves_and_nothing_piles_up(launcher: Launcher) -> None:
    pids = {launcher.run("true")[1] for _ in range(2 * JOBS_EACH + 2)}
    assert len(pids) >= 3
    until(lambda: len(procfs.descendants(launcher.process.pid)) == SPARES)


def test_more_than_can_be_kept_leave_after_their_jobs(launcher: Launcher) -> None:
    pids = [launcher.start("sleep", "600")[1] for _ in range(MOST + 4)]
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    for _ in pids:
        launcher.ends.recv(4096)
    until(lambda: sum(map(is_gone, pids)) >= 4)
    assert launcher.run("true")[0]["exit_code"] == 0
    until(lambda: len(procfs.descendants(launcher.process.pid)) == SPARES)


def test_without_the_launcher_they_end_their_jobs_and_leave(launcher: Launcher) -> None:
    folder, pid = launcher.start("sh", "-c", "sleep 600")
    _, other = launcher.run("true")
    launcher.process.kill()
    until(lambda: is_gone(other))
    assert not is_gone(pid)
    os.kill(pid, signal.SIGTERM)
    until(lambda: is_gone(pid))
    assert (job_folder.read_json(str(folder / job_folder.EXIT)) or {})["cause"] == "cancelled"


def test_when_nobody_can_be_told_of_the_end_it_ends_itself(launcher: Launcher) -> None:
    launcher.ends.close()
    _, pid = launcher.start("true")
    until(lambda: is_gone(pid))
