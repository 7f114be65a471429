"""A job's folder alone says which cards it was given, whoever made them."""

from __future__ import annotations

from pathlib import Path

from jobs.core.jobs import Grant, JobId, Needs, Starting
from jobs.core.machine import Device
from jobs.daemon.recovery import _job
from jobs.executors.granted_variables import grant_environment

CARD = Device("GPU-1f", 0, "AMD", 1, vendor="amd")


def test_what_a_job_was_granted_is_read_back_from_its_folder(tmp_path: Path) -> None:
    spec = {
        "name": "cro-abc-7-1",
        "argv": ["python", "train.py"],
        "cwd": "/",
        "environment_path": "/x.json",
        "extra_env": grant_environment(Needs(gpus=1), Grant((CARD.uuid,)), [CARD]),
        "mem_limit_bytes": None,
        "time_limit_s": None,
        "grace_s": 5,
    }
    job, _ = _job(JobId(7), 1, tmp_path, spec)
    assert isinstance(job.state, Starting) and job.state.grant == Grant((CARD.uuid,))
    assert job.spec.needs.gpus == 1
