"""What a job finds in its environment because of what it was granted."""

from __future__ import annotations

import pytest

from jobs.executors.environment import THREAD_LIMITS, grant_environment
from jobs.model import Grant, Needs


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
