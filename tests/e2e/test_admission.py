"""It never starts what does not fit: real daemon, real jobs, real load."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import TOLERANT, Machine

MIB = 2**20
HOG = "import sys, time; block = bytearray({size}); print('held', flush=True); time.sleep(600)"


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = 120.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.1)
    return answer


def with_reason(machine: Machine, job_id: int, code: str) -> dict[str, Any] | None:
    job = machine.jobs()[job_id]
    return job if any(reason["code"] == code for reason in job["reasons"]) else None


def overlap(jobs: list[dict[str, Any]]) -> int:
    """The largest number of jobs that ran at the same moment."""
    edges = sorted(edge for job in jobs for edge in ((job["started_at"], 1), (job["finished_at"], -1)))
    running = most = 0
    for _, step in edges:
        running += step
        most = max(most, running)
    return most


def test_two_jobs_that_do_not_fit_together_never_overlap(machine: Machine) -> None:
    cores = psutil.cpu_count() or 1
    ids = [machine.submit("--cpus", str(cores), "--mem", "64M", "--", "sleep", "0.3") for _ in range(4)]
    machine.run("wait", *map(str, ids))
    jobs = [machine.jobs()[job_id] for job_id in ids]
    assert [job["state"] for job in jobs] == ["succeeded"] * 4
    assert overlap(jobs) == 1


def test_ten_that_fit_fill_the_machine(machine: Machine) -> None:
    share = (psutil.cpu_count() or 1) / 10
    ids = [machine.submit("--cpus", f"{share}", "--mem", "32M", "--", "sleep", "600") for _ in range(11)]
    running = wait_until(
        lambda: len(now := [j for j in machine.jobs().values() if j["state"] == "running"]) == 10 and now,
        "ten running jobs",
    )
    assert {job["id"] for job in running} == set(ids[:10])
    last = wait_until(
        lambda: (job := machine.jobs()[ids[10]])["reasons"] and job, "a reason for the eleventh"
    )
    assert last["state"] == "queued"
    (reason,) = (reason for reason in last["reasons"] if reason["code"] == "cpus")
    assert reason["needed"] == pytest.approx(share)
    assert reason["free"] == pytest.approx(0, abs=1e-6)


def test_a_foreign_process_that_eats_the_memory_keeps_the_next_job_waiting(machine: Machine) -> None:
    slack, hog_bytes = 800 * MIB, 2000 * MIB
    headroom = max(1024 * MIB, int(psutil.virtual_memory().total * 0.05))
    need = psutil.virtual_memory().available - headroom - slack
    hog = subprocess.Popen([sys.executable, "-c", HOG.format(size=hog_bytes)], stdout=subprocess.PIPE)
    try:
        assert hog.stdout is not None
        assert hog.stdout.readline().strip() == b"held"
        job_id = machine.submit("--mem", f"{need // MIB}M", "--", "true")
        waiting = wait_until(lambda: with_reason(machine, job_id, "foreign_memory"), "foreign_memory")
        assert waiting["state"] == "queued"
        assert "other programs" in machine.run("why", str(job_id)).stdout
    finally:
        hog.kill()
        hog.wait()
        assert hog.stdout is not None
        hog.stdout.close()
    assert machine.run("wait", str(job_id)).returncode == 0


def test_a_job_that_can_never_fit_is_refused_with_the_numbers(machine: Machine) -> None:
    done = machine.run("submit", "--cpus", "4096", "--", "true", check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "4096" in done.stderr
    assert str(psutil.cpu_count()) in done.stderr
    assert machine.jobs() == {}


def test_the_settings_of_the_tests_are_real_settings(machine: Machine) -> None:
    machine.settings(TOLERANT + "foreign_cpu_tolerence = 1\n")
    done = machine.run("ls", check=False)
    assert done.returncode == 2
    assert "foreign_cpu_tolerance" in done.stderr
    machine.settings(TOLERANT)
