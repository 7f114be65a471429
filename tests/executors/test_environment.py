"""What a job finds in its environment because of what it was granted."""

from __future__ import annotations

import pytest

from jobs.core.jobs import Grant, Needs
from jobs.core.machine import Device
from jobs.executors.granted_variables import THREAD_LIMITS, grant_environment


@pytest.mark.parametrize(("cpus", "threads"), [(0.5, "1"), (1.0, "1"), (2.9, "2"), (16.0, "16")])
def test_thread_limits_are_the_whole_cores_granted(cpus: float, threads: str) -> None:
    environ = grant_environment(Needs(cpus=cpus), Grant())
    assert {environ[name] for name in THREAD_LIMITS} == {threads}
    assert {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "CRO_CPUS"} <= set(environ)


def test_a_job_sees_its_own_devices_only() -> None:
    none = grant_environment(Needs(), Grant())
    assert none["CUDA_VISIBLE_DEVICES"] == ""
    assert "TF_FORCE_GPU_ALLOW_GROWTH" not in none
    two = grant_environment(Needs(gpus=2), Grant(("GPU-b", "GPU-a")))
    assert two["CUDA_VISIBLE_DEVICES"] == "GPU-b,GPU-a"
    assert two["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"


AMD = (
    Device("GPU-1f", 0, "AMD", 1, vendor="amd"),
    Device("AMD-0000:09:00.0", 1, "AMD", 1, vendor="amd", alias="1"),
)


def test_rocm_is_told_by_name_and_whatever_counts_above_it_counts_from_0() -> None:
    environ = grant_environment(Needs(gpus=2), Grant(("AMD-0000:09:00.0", "GPU-1f")), AMD)
    assert environ["ROCR_VISIBLE_DEVICES"] == "1,GPU-1f"
    assert environ["HIP_VISIBLE_DEVICES"] == environ["GPU_DEVICE_ORDINAL"] == "0,1"
    assert environ["CUDA_VISIBLE_DEVICES"] == ""
    assert environ["CRO_GPUS"] == "AMD-0000:09:00.0,GPU-1f"
    none = grant_environment(Needs(), Grant(), AMD)
    assert {none[name] for name in ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CRO_GPUS")} == {""}


def test_where_nvidia_has_the_jobs_amd_is_hidden_and_elsewhere_not_spoken_of() -> None:
    nvidia = Device("GPU-a", 0, "A100", 1)
    both = grant_environment(Needs(gpus=1), Grant(("GPU-a",)), (nvidia, *AMD))
    assert (both["CUDA_VISIBLE_DEVICES"], both["ROCR_VISIBLE_DEVICES"]) == ("GPU-a", "")
    alone = grant_environment(Needs(gpus=1), Grant(("GPU-a",)), (nvidia,))
    assert not {"ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"} & set(alone)
