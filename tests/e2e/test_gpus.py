"""GPUs end to end, on a stand-in driver: devices by UUID, sharing by memory, strangers respected."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.conftest import Machine
from tests.e2e.test_admission import wait_until, with_reason
from tests.nvml.stand_in import Gpu, StandIn, uuid_of

SEES = 'echo "$CUDA_VISIBLE_DEVICES $TF_FORCE_GPU_ALLOW_GROWTH"; sleep 600'


def log_of(machine: Machine, job_id: int) -> str:
    return machine.run("logs", str(job_id)).stdout.strip()


def test_shared_and_whole_devices(machine: Machine, tmp_path: Path) -> None:
    stand_in = StandIn(tmp_path)
    stand_in.set(Gpu(24_000), Gpu(24_000))
    machine.environ.update(stand_in.environ)

    def submit(*needs: str) -> int:
        return machine.submit("--mem", "64M", "--cpus", "0.1", *needs, "--", "sh", "-c", SEES)

    shared = [submit("--gpus", "1", "--vram", "10G") for _ in range(2)]
    wait_until(lambda: all(machine.jobs()[i]["state"] == "running" for i in shared), "two on one device")
    whole = submit("--gpus", "1")
    wait_until(lambda: machine.jobs()[whole]["state"] == "running", "the other device for one")
    wait_until(lambda: log_of(machine, whole), "its log")
    assert [log_of(machine, i) for i in shared] == [f"{uuid_of(0)} true"] * 2
    assert log_of(machine, whole) == f"{uuid_of(1)} true"

    third = submit("--gpus", "1", "--vram", "10G")
    wait_until(lambda: with_reason(machine, third, "gpu_memory"), "gpu_memory")
    without = submit()
    wait_until(lambda: machine.jobs()[without]["state"] == "running", "a job that needs no device")
    wait_until(lambda: machine.jobs()[third]["state"] == "queued", "the third still waits")
    machine.run("cancel", str(shared[0]))
    wait_until(lambda: machine.jobs()[third]["state"] == "running", "the third, once one has gone")

    done = machine.run("submit", "--gpus", "3", "--", "true", check=False)
    assert done.returncode == 2
    assert "3" in done.stderr


def test_memory_that_strangers_hold_is_not_given_away(machine: Machine, tmp_path: Path) -> None:
    stand_in = StandIn(tmp_path)
    stand_in.set(Gpu(24_000, used_mib=20_000, processes=[(1, 20_000)]))
    machine.environ.update(stand_in.environ)
    job_id = machine.submit("--mem", "64M", "--gpus", "1", "--vram", "10G", "--", "sleep", "600")
    waiting = wait_until(
        lambda: with_reason(machine, job_id, "foreign_gpu") or with_reason(machine, job_id, "gpu_memory"),
        "a reason that names the device's memory",
    )
    assert waiting["state"] == "queued"
    stand_in.set(Gpu(24_000))
    wait_until(lambda: machine.jobs()[job_id]["state"] == "running", "the job, once the stranger has gone")
