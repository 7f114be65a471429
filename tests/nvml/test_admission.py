"""The real daemon on stand-in GPUs: who gets which device, who waits, and why."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from cro_tui.__main__ import main
from jobs.records.usage_trace import read
from tests.nvml.stand_in import Gpu, Instance, StandIn, instance_uuid_of, uuid_of

SETTINGS = """\
[jobs]
low_priority = false
[admission]
foreign_cpu_tolerance = 1.0
memory_full_close = 100
memory_some_close = 100
settle_s = 0.5
"""
SHOW = 'echo "$CUDA_VISIBLE_DEVICES $TF_FORCE_GPU_ALLOW_GROWTH"'


class Machine:
    """One installation that sees the stand-in's GPUs."""

    def __init__(self, home: Path, gpus: StandIn) -> None:
        self.gpus = gpus
        self._environ = {**os.environ, **gpus.environ, "CRO_HOME": str(home)}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cro_tui", *words],
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
        )

    def submit(self, *words: str, script: str = "sleep 60") -> int:
        done = self.run("submit", "--cpus", "0.1", "--mem", "64M", "-q", *words, "--", "sh", "-c", script)
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    def job(self, job_id: int) -> Any:
        """Asked in this process, for it is asked often."""
        with redirect_stdout(io.StringIO()) as told:
            assert main(("show", str(job_id), "--json")) == 0
        return json.loads(told.getvalue())

    def until(self, job_id: int, holds: Callable[[Any], object], what: str) -> Any:
        deadline = time.monotonic() + 120
        while not holds(job := self.job(job_id)):
            assert time.monotonic() < deadline, f"waited for {what}: {job}"
            time.sleep(0.05)
        return job

    def until_reason(self, job_id: int, code: str) -> Any:
        job = self.until(job_id, lambda job: code in {r["code"] for r in job["reasons"]}, code)
        return next(reason for reason in job["reasons"] if reason["code"] == code)


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    return StandIn(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def machine(tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setenv("CRO_HOME", str(tmp_path))
    (tmp_path / "settings.toml").write_text(SETTINGS)
    stand_in.set(Gpu(24_000), Gpu(16_000))
    machine = Machine(tmp_path, stand_in)
    yield machine
    machine.run("cancel", "--all")
    machine.run("daemon", "--stop")


def test_whole_gpus_go_to_one_job_each_by_uuid_and_the_third_waits(machine: Machine) -> None:
    script = f"{SHOW}; sleep 60"
    first, second = (machine.submit("--gpus", "1", script=script) for _ in range(2))
    for job_id in (first, second):
        machine.until(job_id, lambda job: job["state"] == "running", "the job to run")
    granted = [machine.job(job_id)["gpus_granted"] for job_id in (first, second)]
    assert sorted(granted) == [[uuid_of(0)], [uuid_of(1)]]
    machine.until(
        first,
        lambda _: granted[0][0] in machine.run("logs", str(first)).stdout,
        "the device in the job's environment",
    )
    third = machine.submit("--gpus", "1", script=SHOW)
    reason = machine.until_reason(third, "gpus")
    assert (reason["needed"], reason["free"]) == (1, 0)
    assert set(reason["jobs"]) == {first, second}
    machine.run("cancel", str(first))
    assert machine.run("wait", str(third)).returncode == 0
    assert machine.run("logs", str(third)).stdout.split()[0] == granted[0][0]


def test_jobs_that_declare_gpu_memory_share_a_device(machine: Machine) -> None:
    machine.gpus.set(Gpu(24_000))
    shares = [machine.submit("--gpus", "1", "--vram", "10G", script=f"{SHOW}; sleep 60") for _ in range(2)]
    for job_id in shares:
        machine.until(job_id, lambda job: job["state"] == "running", "the job to run")
        machine.until(
            job_id,
            lambda job: machine.run("logs", str(job["id"])).stdout.split() == [uuid_of(0), "true"],
            "its environment",
        )
    third = machine.submit("--gpus", "1", "--vram", "10G")
    reason = machine.until_reason(third, "gpu_memory")
    assert reason["needed"] == 10 * 2**30
    assert reason["free"] < 5 * 2**30


def test_a_foreign_process_on_the_gpu_keeps_a_job_waiting_until_it_leaves(machine: Machine) -> None:
    machine.gpus.set(Gpu(24_000, 20_000, processes=[(1, 20_000)]))
    job_id = machine.submit("--gpus", "1", "--vram", "10G", script="exit 0")
    reason = machine.until_reason(job_id, "foreign_gpu")
    assert reason["free"] < 5 * 2**30
    assert "other programs use GPU 0" in machine.run("why", str(job_id)).stdout
    machine.gpus.set(Gpu(24_000))
    assert machine.run("wait", str(job_id)).returncode == 0


HUNGRY = """\
# /// script
# [tool.cro]
# title = "Out of GPU memory at the first try"
# repeatable = true
# resources = { cpus = 0.1, mem = "64M", gpus = 1, vram = "4G", time = "1m" }
# ///
import os, sys
if os.environ["CRO_ATTEMPT"] == "1":
    sys.exit("torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 6.00 GiB")
"""


def test_what_ran_out_of_gpu_memory_is_tried_again_with_more(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir(exist_ok=True)
    (tmp_path / "recipes" / "hungry.py").write_text(HUNGRY)
    done = machine.run("submit", "-q", "hungry")
    assert done.returncode == 0, done.stderr
    assert machine.run("wait", done.stdout.strip()).returncode == 0
    shown = machine.run("show", done.stdout.strip()).stdout
    assert "ran out of GPU memory" in shown
    assert "again with 8.0 GiB, 1 of 3" in shown


def test_more_than_any_gpu_has_is_refused_with_the_numbers(machine: Machine) -> None:
    done = machine.run("submit", "--gpus", "1", "--vram", "40G", "--", "true")
    assert (done.returncode, done.stdout) == (2, "")
    assert "40.0 GiB" in done.stderr
    done = machine.run("submit", "--gpus", "3", "--", "true")
    assert done.returncode == 2
    assert "2 GPUs" in done.stderr


def test_mig_instances_are_given_to_jobs_and_their_card_is_not(machine: Machine) -> None:
    parts = (Instance(0, 10_000), Instance(1, 20_000))
    machine.gpus.set(Gpu(40_000, instances=parts))
    refused = machine.run("submit", "--gpus", "2", "--", "true")
    assert (refused.returncode, refused.stdout) == (2, ""), "no process can use two instances"
    big = machine.submit("--gpus", "1", "--vram", "15G", script=f"{SHOW}; sleep 60")
    whole = machine.submit("--gpus", "1", script=f"{SHOW}; sleep 60")
    third = machine.submit("--gpus", "1")
    for job_id, slot in ((big, 1), (whole, 0)):
        uuid = instance_uuid_of(0, slot)
        granted = machine.until(job_id, lambda job: job["state"] == "running", "it runs")["gpus_granted"]
        assert granted == [uuid]
        machine.until(
            job_id,
            lambda job: "".join(job["gpus_granted"]) in machine.run("logs", str(job["id"])).stdout,
            "CUDA_VISIBLE_DEVICES",
        )
    assert set(machine.until_reason(third, "gpus")["jobs"]) == {big, whole}
    said = machine.run("status").stdout
    assert "GPU0 " in said and "GPU0:MIG0  n/a" in said and "GPU0:MIG1  n/a" in said
    machine.gpus.set(Gpu(40_000, instances=(*parts, Instance(2, 10_000))))
    job = machine.until(third, lambda job: job["state"] == "running", "the new instance to be found")
    assert job["gpus_granted"] == [instance_uuid_of(0, 2)]


def test_the_gpu_memory_of_a_job_is_kept_with_its_trace(machine: Machine, tmp_path: Path) -> None:
    job_id = machine.submit("--gpus", "1", script="echo pid $$; sleep 60")
    machine.until(job_id, lambda _: "pid" in machine.run("logs", str(job_id)).stdout, "its pid")
    pid = int(machine.run("logs", str(job_id)).stdout.split()[1])
    machine.gpus.set(Gpu(24_000, 4000, 80, processes=[(pid, 4000)]), Gpu(16_000))
    path = next((tmp_path / "jobs").glob(f"*/{job_id}/1")) / "usage.jsonl"
    machine.until(
        job_id, lambda _: any((m.gpu_mem_bytes or 0) >> 20 == 4000 for m in read(path)), "its GPU memory"
    )
    machine.run("cancel", str(job_id))
    machine.run("wait", str(job_id))
    assert max(m.gpu_mem_bytes or 0 for m in read(path)) >> 20 == 4000, "it survives the job"
