"""AMD GPUs end to end: a real scheduler on a kernel's files that a test lays out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.amd.kernel import MIB, Kernel
from tests.e2e.conftest import TOLERANT, Machine
from tests.e2e.test_admission import wait_until, with_reason

SCHEDULER = """
import sys
from pathlib import Path
from jobs.machine import amd
amd.PATHS = amd.Paths(*map(Path, sys.argv[1:4]))
from jobs.daemon.__main__ import main
sys.exit(main(["--data", sys.argv[4]]))
"""
SEES = (
    'echo "$$ $ROCR_VISIBLE_DEVICES $HIP_VISIBLE_DEVICES $GPU_DEVICE_ORDINAL '
    '[$CUDA_VISIBLE_DEVICES] $CRO_GPUS"; sleep 600'
)


@pytest.fixture
def kernel(machine: Machine, tmp_path: Path) -> Iterator[Kernel]:
    machine.settings(TOLERANT + "cpu_some_close = 100\n")  # the other tests' load is not the subject
    kernel = Kernel(tmp_path / "kernel")
    kernel.card(3, node=1)
    kernel.card(9, node=2, number=1)
    paths = [str(path) for path in (kernel.paths.sys, kernel.paths.proc, kernel.paths.dev)]
    scheduler = subprocess.Popen(
        [sys.executable, "-c", SCHEDULER, *paths, str(machine.home)],
        env={**os.environ, **machine.environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: "Radeon Test" in machine.run("status").stdout, "the scheduler's first sample")
    yield kernel
    machine.run("cancel", "--all", check=False)
    machine.run("daemon", "--stop", check=False)
    scheduler.wait(30)


def test_jobs_share_a_card_by_memory_and_leave_strangers_theirs(machine: Machine, kernel: Kernel) -> None:
    machine.environ["HIP_VISIBLE_DEVICES"] = "5"  # of the person who submits

    def submit(*needs: str) -> int:
        return machine.submit("--mem", "64M", "--cpus", "0.1", *needs, "--", "sh", "-c", SEES)

    def log_of(job_id: int) -> list[str]:
        found: list[str] = []

        def printed() -> bool:
            found[:] = machine.run("logs", str(job_id)).stdout.split()
            return bool(found)

        wait_until(printed, "its log")
        return found

    first, second = "GPU-000000000000abc3", "GPU-000000000000abc9"
    kernel.computes(1, 9, 20_000)  # a stranger
    shared = [submit("--gpus", "1", "--vram", "10G") for _ in range(2)]
    wait_until(lambda: all(machine.jobs()[i]["state"] == "running" for i in shared), "two on one card")
    logs = [log_of(job_id) for job_id in shared]
    assert [words[1:] for words in logs] == [[first, "0", "0", "[]", first]] * 2

    wait_until(lambda: "others use 19.5G" in machine.run("status").stdout, "the stranger to be seen")
    whole = submit("--gpus", "1")
    third = submit("--gpus", "1", "--vram", "10G")
    wait_until(lambda: with_reason(machine, whole, "foreign_gpu"), "the stranger as the reason")
    wait_until(
        lambda: with_reason(machine, third, "gpu_memory") or with_reason(machine, third, "foreign_gpu"),
        "the memory as the reason",
    )
    kernel.computes(int(logs[0][0]), 3, 9000)
    wait_until(
        lambda: machine.jobs()[shared[0]]["usage"]["gpu_mem_bytes"] == 9000 * MIB,
        "what it holds of the card",
    )
    said = machine.run("status").stdout
    assert "26M of 24.0G used" in said and "others use 19.5G" in said and "(Radeon Test)" in said

    machine.run("cancel", str(third))
    kernel.ends(1)
    wait_until(lambda: machine.jobs()[whole]["state"] == "running", "the other card, once it is free")
    assert log_of(whole)[1:] == [second, "0", "0", "[]", second]
