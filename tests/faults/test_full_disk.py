"""The disk is full for the store, or its folder cannot be written: nothing is half done."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.core.jobs import Failed, JobId, Running, Succeeded
from tests.daemon.conftest import Installation, command
from tests.faults.shim import Shim


def submit(installation: Installation, *words: str) -> subprocess.CompletedProcess[str]:
    """A person's own command, in a process that has the machine's faults."""
    environ = {**os.environ, "CRO_HOME": str(installation.home.data)}
    command_ = [
        sys.executable,
        "-m",
        "cro_tui",
        "submit",
        "-q",
        "--cpus",
        "0.1",
        "--mem",
        "32M",
        "--",
        *words,
    ]
    return subprocess.run(command_, env=environ, check=False, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_store_that_cannot_be_written_refuses_and_recovers(
    installation: Installation, shim: Shim, tmp_path: Path, fault: str
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    pid = installation.start()
    (running,) = installation.submit(command("sh", "-c", f"cat {gate}; exit 7"))
    before = installation.until_state(running, "running").state
    assert isinstance(before, Running)
    watcher = installation.client.scheduler.watch()
    write_ahead = installation.home.database.with_name("cro.db-wal")
    (shim.fill if fault == "full" else shim.forbid)(write_ahead)
    refused = submit(installation, "true")
    assert refused.returncode not in (0, -6, -11)
    assert refused.stdout == ""
    assert "Traceback" not in refused.stderr
    assert ("no room" if fault == "full" else "cannot be written") in refused.stderr
    assert [job.id for job in installation.client.jobs.list()] == [running]
    os.kill(before.pid, 0)
    gate.write_text("go\n")
    installation.until(
        (installation.home.attempt(running, 1) / "exit.json").exists,
        "the job to end all the same",
    )
    installation.until(lambda: "a cycle failed" in installation.log(), "the daemon to meet the fault")
    assert installation.client.jobs.get(running).state == before
    shim.empty()
    (job,) = installation.client.jobs.wait([running], timeout_s=60)
    assert isinstance(job.state, Failed)
    assert (job.state.exit_code, job.attempts) == (7, 1)
    taken = submit(installation, "true")
    assert taken.returncode == 0, taken.stderr
    assert int(taken.stdout) == running + 1, "the refused one took no id"
    assert isinstance(installation.client.jobs.wait([JobId(running + 1)], timeout_s=60)[0].state, Succeeded)
    assert installation.client.scheduler.status().pid == pid
    watcher.close()


def test_a_folder_that_cannot_be_written_at_all_is_said_in_a_sentence(
    installation: Installation, shim: Shim
) -> None:
    (first,) = installation.submit(command("true", start_held=True))
    shim.forbid(installation.home.data)
    refused = submit(installation, "true")
    assert refused.returncode != 0
    assert refused.stdout == ""
    assert "Traceback" not in refused.stderr
    assert "cannot be" in refused.stderr
    shim.empty()
    assert [job.id for job in installation.client.jobs.list()] == [first]
    assert submit(installation, "true").stdout == f"{first + 1}\n"
    installation.client.jobs.wait([JobId(first + 1)], timeout_s=60)
