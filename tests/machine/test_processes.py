"""The reader of processes, on real ones, and signals that hit the right one."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.machine.process_groups import GpuUse, Process
from jobs.machine.processes import ProcessTable, send

BURN = "import sys\nprint('go', flush=True)\nwhile True: pass"


def find(table: ProcessTable, pid: int, shown: tuple[int, ...] = ()) -> Process | None:
    found = [process for process in table.read(shown) if process.pid == pid]
    return found[0] if found else None


def until(look: Callable[[], object], what: str) -> object:
    deadline = time.monotonic() + 30
    while not (found := look()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


@pytest.fixture
def burning() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-uc", BURN, "an\x1b[31m argument"], stdout=-1, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "go\n"
    yield process
    process.kill()
    process.wait(30)
    process.stdout.close()


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[int]:
    """The parent of 3,000 processes."""
    program = tmp_path / "crowd"
    subprocess.run(["gcc", "-O1", "-o", program, Path(__file__).with_name("crowd.c")], check=True)
    parent = subprocess.Popen([program, "3000"], stdin=-1, stdout=-1)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    yield parent.pid
    parent.communicate()


def test_thousands_of_processes_are_read_with_few_descriptors_left_or_many(crowd: int) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    for most in (before[0], 512):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, before[1]))
        table = ProcessTable()
        try:
            for _ in range(2):
                children = [process for process in table.read() if process.parent == crowd]
                assert len(children) == 3000
            assert len(os.listdir("/proc/self/fd")) < most
            assert all(process.cpus == 0.0 and process.mem_bytes for process in children)
        finally:
            table.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_it_knows_itself() -> None:
    table = ProcessTable()
    first = find(table, os.getpid(), (os.getpid(),))
    assert first is not None
    assert first.parent == os.getppid()
    assert first.session == os.getsid(0)
    assert first.cpus is None, "a rate needs two looks"
    assert first.mem_bytes is not None and first.mem_bytes > 1 << 20
    assert first.started_at is not None and 0 <= time.time() - first.started_at < 100_000
    assert sys.argv[0].rpartition("/")[2] in first.command or "python" in first.command


def test_rates_come_with_the_second_look_and_commands_when_shown(burning: subprocess.Popen[str]) -> None:
    table = ProcessTable()
    assert find(table, burning.pid) is not None

    def busy() -> bool:
        found = find(table, burning.pid)
        return found is not None and (found.cpus or 0.0) > 0.2

    until(busy, "the load of a process that spins")
    hidden = find(table, burning.pid)
    assert hidden is not None and hidden.command == ""
    shown = find(table, burning.pid, (burning.pid,))
    assert shown is not None and "an\x1b[31m argument" in shown.command
    again = find(table, burning.pid, (burning.pid,))
    assert again is not None and again.write_per_s is not None


def test_one_that_sleeps_moves_nothing_and_is_known_all_the_same() -> None:
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        table = ProcessTable()
        looks = [find(table, sleeper.pid, (sleeper.pid,)) for _ in range(4)]
        sleeper.kill()
    last = looks[-1]
    assert last is not None
    assert (last.command, last.cpus, last.read_per_s, last.write_per_s) == ("sleep 60", 0.0, 0.0, 0.0)


def test_one_that_has_ended_is_gone_and_gpu_memory_of_a_stranger_is_kept(
    burning: subprocess.Popen[str],
) -> None:
    table = ProcessTable()
    gpu = {burning.pid: GpuUse(5, idle_bytes=4, idle_since_at=3.0), 2**22 + 7: GpuUse(9)}
    found = {process.pid: process for process in table.read(gpu=gpu)}
    assert (found[burning.pid].gpu_idle_bytes, found[burning.pid].gpu_idle_since_at) == (4, 3.0)
    assert found[burning.pid].gpu_mem_bytes == 5
    assert not found[2**22 + 7].seen
    recycled = [each for each in table.read(gpu={burning.pid: GpuUse(5, started=1)}) if each.gpu_mem_bytes]
    assert [each.seen for each in recycled] == [False], "another process has its number by now"
    burning.kill()
    burning.wait(30)
    assert find(table, burning.pid) is None


def test_a_signal_reaches_that_very_process_and_no_other(burning: subprocess.Popen[str]) -> None:
    process = find(ProcessTable(), burning.pid)
    assert process is not None
    assert send(burning.pid, process.started + 1, signal.SIGKILL) == f"pid {burning.pid} has ended."
    assert burning.poll() is None, "another process of that number is not hit"
    assert send(burning.pid, process.started, signal.SIGTERM) == ""
    assert burning.wait(30) == -signal.SIGTERM
    assert "has ended" in send(burning.pid, process.started, signal.SIGTERM)


def test_some_are_never_signalled() -> None:
    assert "pid 1" in send(1, 0, signal.SIGTERM)
    assert "this screen" in send(os.getpid(), 0, signal.SIGKILL)


def test_files_are_kept_open_while_there_is_something_to_read_and_let_go() -> None:
    def opened() -> int:
        return len(os.listdir("/proc/self/fd"))

    before, table = opened(), ProcessTable()
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        until(lambda: (found := find(table, sleeper.pid)) and found.name == "sleep", "the sleeper")
        first, second = find(table, sleeper.pid), find(table, sleeper.pid)
        assert second is not None and second == first and second.cpus == 0.0
        assert opened() > before
    finally:
        sleeper.kill()
        sleeper.wait()
    held = opened()
    assert find(table, sleeper.pid) is None
    assert opened() < held or held == before
    table.close()
    assert opened() == before
