"""Jobs and the person at the keyboard: who goes first for CPU, disk and memory, read from the kernel."""

from __future__ import annotations

import ctypes
import os
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.runtime import niceness
from tests.executors.conftest import Bench

IOPRIO_GET = {"x86_64": 252, "aarch64": 31}.get(os.uname().machine)
CHILDREN = "sleep 600 & setsid sleep 600 & wait"


def io_class(pid: int) -> int:
    assert IOPRIO_GET is not None
    value: int = ctypes.CDLL(None, use_errno=True).syscall(IOPRIO_GET, niceness.WHO_PROCESS, pid)
    return value >> 13


def oom_score(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


async def tree_of(bench: Bench, name: str) -> list[int]:
    tree: list[int] = []

    def is_whole() -> bool:
        tree[:] = bench.left_running(name)  # one that is just running another program is not seen
        return len(tree) == 3

    await bench.until_true(is_whole)
    return tree


async def stop(bench: Bench, name: str) -> None:
    await bench.executor.cancel(name, 1)
    await bench.end(name)


async def test_the_whole_tree_goes_first_when_memory_runs_out_and_its_supervisor_does_not(
    bench: Bench,
) -> None:
    name = await bench.start(bench.launch(1, "sh", "-c", CHILDREN))
    tree = await tree_of(bench, name)
    assert [oom_score(pid) for pid in tree] == [niceness.OOM_SCORE] * 3
    supervisor = (await bench.status(name)).pid
    assert supervisor is not None
    assert oom_score(supervisor) == oom_score(os.getpid()) < niceness.OOM_SCORE
    await stop(bench, name)


@pytest.mark.skipif(IOPRIO_GET is None, reason="this test does not know how to ask here")
async def test_the_whole_tree_has_the_disk_when_nobody_else_wants_it(bench: Bench) -> None:
    name = await bench.start(bench.launch(1, "sh", "-c", CHILDREN))
    assert [io_class(pid) for pid in await tree_of(bench, name)] == [3] * 3
    await stop(bench, name)


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="the kernel does not group sessions")
async def test_its_session_has_the_cpu_after_all_others(bench: Bench) -> None:
    name = await bench.start(bench.launch(1, "sleep", "600"))
    wanted = f"nice {niceness.NICE_OF_SESSION.decode()}"
    await bench.until_true(
        lambda: any(
            Path(f"/proc/{pid}/autogroup").read_text().rstrip().endswith(wanted)
            for pid in bench.left_running(name)
        )
    )
    await stop(bench, name)


async def test_a_person_can_have_their_jobs_not_stand_back(bench: Bench) -> None:
    name = await bench.start(replace(bench.launch(1, "sh", "-c", CHILDREN), low_priority=False))
    for pid in await tree_of(bench, name):
        assert oom_score(pid) == oom_score(os.getpid())
        if IOPRIO_GET is not None:
            assert io_class(pid) == io_class(os.getpid())
    await stop(bench, name)


def test_a_process_that_has_gone_is_no_fault() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    assert niceness.lower_priority(pid)


def test_who_stands_further_back_already_stays_there() -> None:
    pid = os.fork()
    if pid == 0:
        Path("/proc/self/oom_score_adj").write_text("900")
        with niceness.LowPriority(True):
            within = oom_score(os.getpid())
        os._exit(0 if within == oom_score(os.getpid()) == 900 else 1)
    assert os.waitpid(pid, 0)[1] == 0


def test_who_makes_the_process_comes_back() -> None:
    before = oom_score(os.getpid())
    with niceness.LowPriority(True):
        assert oom_score(os.getpid()) == niceness.OOM_SCORE
    assert oom_score(os.getpid()) == before
