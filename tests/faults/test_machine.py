"""A machine that misbehaves: its clock, its pids, its disk, its limits, and a person with `rm -r`."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.core.jobs import Cancelled, Failed, Job, JobId, Lost, ReasonCode, Running, Succeeded, TimedOut
from jobs.core.requests import JobQuery, SubmitRequest
from jobs.runtime import procfs
from tests.daemon.conftest import TOLERANT, Installation, command
from tests.faults.processes import Processes
from tests.faults.shim import Shim

DAY_S = 86_400
JUMPS = pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S], ids=["forward", "back"])
NO_ROOM = "No space left on device"


def limited(time_limit_s: float, *argv: str) -> SubmitRequest:
    request = command(*argv)
    return replace(request, needs=replace(request.needs, time_limit_s=time_limit_s))


def running(installation: Installation, job_id: JobId) -> Running:
    state = installation.until_state(job_id, "running").state
    assert isinstance(state, Running)
    return state


def ended(installation: Installation, *ids: JobId) -> list[Job]:
    jobs = installation.client.jobs.wait(ids, timeout_s=60)
    return list(jobs)


# --- the clock --------------------------------------------------------------------------------------


@JUMPS
def test_the_clock_is_set_while_jobs_run_wait_and_time_out(
    installation: Installation, shim: Shim, tmp_path: Path, cores: float, jump_s: int
) -> None:
    installation.start()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    kept, short, behind = installation.submit(
        limited(600, "sh", "-c", f"read _ < {gate}; exit 5"),
        limited(1, "sleep", "600"),
        command("true", cpus=cores),
    )
    running(installation, kept)
    running(installation, short)
    shim.jump(jump_s)
    (later,) = installation.submit(command("sh", "-c", "exit 3", priority=90))
    stopped, done = ended(installation, short, later)
    assert isinstance(stopped.state, TimedOut)
    assert isinstance(done.state, Failed)
    assert done.state.exit_code == 3
    assert installation.client.jobs.get(kept).state.name == "running", "its limit is not of the wall clock"
    shown(installation, shim)
    gate.write_text("go\n")
    kept_job, behind_job = ended(installation, kept, behind)
    assert isinstance(kept_job.state, Failed)
    assert kept_job.state.exit_code == 5
    assert isinstance(behind_job.state, Succeeded)
    assert "Traceback" not in installation.log()
    shown(installation, shim)


def shown(installation: Installation, shim: Shim) -> None:
    """No duration is negative, neither in what is stored nor in what is printed."""
    for job in installation.client.jobs.list():
        started_at = getattr(job.state, "started_at", None)
        finished_at = getattr(job.state, "finished_at", None)
        if started_at is not None and finished_at is not None:
            assert finished_at >= started_at, job
    environ = {**os.environ, **shim.environ, "CRO_HOME": str(installation.home.data)}
    for words in (["ls", "--all"], *(["show", str(job.id)] for job in installation.client.jobs.list())):
        printed = subprocess.run(
            [sys.executable, "-m", "cro_tui", *words],
            env=environ,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert re.search(r"(?<![\w-])-\d", printed) is None, printed


@JUMPS
def test_a_start_is_tried_again_after_the_clock_was_set(
    installation: Installation, shim: Shim, jump_s: int
) -> None:
    installation.settings(TOLERANT.replace("start_retry_s = 0.5", "start_retry_s = 3"))
    installation.start()
    in_the_way = installation.home.jobs / "0"
    in_the_way.touch()
    (job_id,) = installation.submit(command("true"))
    installation.until(
        lambda: (
            ReasonCode.START_FAILED
            in {r.code for r in installation.client.forecasts.explain(job_id).reasons}
        ),
        "a start to fail",
    )
    shim.jump(jump_s)
    in_the_way.unlink()
    (job,) = ended(installation, job_id)
    assert isinstance(job.state, Succeeded)


def test_a_lost_job_has_no_negative_duration(installation: Installation, shim: Shim) -> None:
    installation.start()
    (job_id,) = installation.submit(command("sleep", "600"))
    supervisor = running(installation, job_id).pid
    shim.jump(-DAY_S)
    os.kill(supervisor, signal.SIGKILL)
    (job,) = ended(installation, job_id)
    assert isinstance(job.state, Lost)
    shown(installation, shim)


# --- pids -------------------------------------------------------------------------------------------


def test_a_process_that_got_a_recorded_pid_is_never_signalled(installation: Installation) -> None:
    """The supervisor is dead, and pid.json names somebody else's processes, as after a wrap of pids."""
    installation.start()
    (job_id,) = installation.submit(command("sleep", "600"))
    supervisor = running(installation, job_id).pid
    record = installation.home.attempt(job_id, 1) / "pid.json"
    installation.until(record.exists, "the supervisor to have written down who is who")
    installation.kill()
    os.kill(supervisor, signal.SIGKILL)
    installation.until_gone(supervisor)
    foreign = subprocess.Popen(
        ["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert foreign.stdout is not None
    child = int(foreign.stdout.readline())
    identity = {"pid": foreign.pid, "start_ticks": (procfs.start_ticks(foreign.pid) or 0) - 1}
    written = json.loads(record.read_text())
    record.write_text(json.dumps({**written, "supervisor": identity, "job": identity}))
    installation.client.jobs.cancel([job_id])
    installation.start()
    (job,) = ended(installation, job_id)
    assert isinstance(job.state, Lost)
    assert foreign.poll() is None
    assert procfs.start_ticks(child) is not None
    installation.until(lambda: not Processes(installation.home.data).left_of_jobs(), "the job to be gone")
    os.killpg(foreign.pid, signal.SIGKILL)
    foreign.wait()
    foreign.stdout.close()


# --- a person with rm -r ------------------------------------------------------------------------------


def test_a_job_folder_that_is_deleted_while_the_job_runs(
    installation: Installation, tmp_path: Path
) -> None:
    installation.start()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    (job_id,) = installation.submit(command("sh", "-c", f"read _ < {gate}; exit 5"))
    running(installation, job_id)
    shutil.rmtree(installation.home.attempt(job_id, 1))
    gate.write_text("go\n")
    (job,) = ended(installation, job_id)
    assert isinstance(job.state, Lost)
    assert "folder is gone" in job.state.cause
    assert not Processes(installation.home.data).left_of_jobs()


def test_all_job_folders_are_deleted_while_jobs_wait(installation: Installation) -> None:
    installation.start()
    (first,) = installation.submit(command("true"))
    ended(installation, first)
    (held,) = installation.submit(command("sh", "-c", "exit 4", start_held=True))
    shutil.rmtree(installation.home.jobs)
    installation.client.jobs.release([held])
    (job,) = ended(installation, held)
    assert isinstance(job.state, Failed)
    assert job.state.exit_code == 4


# --- limits -------------------------------------------------------------------------------------------


def test_a_scheduler_with_few_file_descriptors(installation: Installation) -> None:
    words = [sys.executable, "-m", "jobs.daemon", "--data", str(installation.home.data)]
    daemon = subprocess.Popen(
        ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh", *words], stderr=subprocess.DEVNULL
    )
    installation.until(lambda: "started, process" in installation.log(), "the scheduler to start")
    ids = installation.submit(
        *[command("sh", "-c", f"sleep 1; exit {number}", cpus=0.01) for number in range(100)]
    )
    jobs = ended(installation, *ids)
    assert [getattr(job.state, "exit_code", job.state) for job in jobs] == list(range(100))
    assert {job.attempts for job in jobs} == {1}
    daemon.terminate()
    assert daemon.wait(30) == 0


def test_a_thousand_cancels_at_once(installation: Installation) -> None:
    installation.start()
    installation.client.scheduler.drain(True)
    ids = installation.submit(*[command("true")] * 1000)
    began = time.monotonic()
    installation.client.jobs.cancel(ids)
    asked_s = time.monotonic() - began
    jobs = ended(installation, *ids)
    print(f"1,000 cancels: asked for in {asked_s:.3f} s, done in {time.monotonic() - began:.3f} s")
    assert all(isinstance(job.state, Cancelled) for job in jobs)
    installation.client.scheduler.drain(False)


# --- a full disk --------------------------------------------------------------------------------------


def test_a_full_disk_where_job_folders_are_made(installation: Installation, shim: Shim) -> None:
    installation.settings(TOLERANT.replace("start_retry_s = 0.5", "start_retry_s = 2"))
    installation.start()
    shim.fill(installation.home.jobs)
    (job_id,) = installation.submit(command("sh", "-c", "exit 6"))
    installation.until(
        lambda: any(
            NO_ROOM in reason.detail for reason in installation.client.forecasts.explain(job_id).reasons
        ),
        "the reason to name the full disk",
    )
    shim.empty()
    (job,) = ended(installation, job_id)
    assert isinstance(job.state, Failed)
    assert job.state.exit_code == 6


def test_a_disk_that_is_full_when_jobs_end(installation: Installation, shim: Shim, tmp_path: Path) -> None:
    """Their ends are written once there is room; until then they count as running, and nothing is lost."""
    installation.start()
    gate = tmp_path / "gate"
    scripts = [f"while [ ! -e {gate} ]; do sleep 0.02; done; exit {number}" for number in range(5)]
    ids = installation.submit(*[command("sh", "-c", script) for script in scripts])
    for job_id in ids:
        running(installation, job_id)
        record = installation.home.attempt(job_id, 1) / "pid.json"
        installation.until(record.exists, "the supervisor to have written down who is who")
    shim.fill(installation.home.jobs)
    gate.touch()
    processes = Processes(installation.home.data)
    installation.until(
        lambda: len(processes.left_of_jobs()) == len(processes.of_kind("supervisor")) == 5,
        "the jobs to end and their supervisors to be left",
    )
    assert {job.state.name for job in installation.client.jobs.list(JobQuery())} == {"running"}
    shim.empty()
    assert [getattr(job.state, "exit_code", job.state) for job in ended(installation, *ids)] == [*range(5)]


def test_a_disk_that_is_full_for_the_log(installation: Installation, shim: Shim, tmp_path: Path) -> None:
    """It is the job that writes its log, so it is the job that hears of it; its end is told as ever."""
    installation.start()
    gate = tmp_path / "gate"
    script = f"echo first; while [ ! -e {gate} ]; do /bin/sleep 0.02; done; echo second || exit 9"
    environ = {"PATH": os.environ["PATH"], **shim.environ}
    (job_id,) = installation.submit(command("sh", "-c", script, env=environ))
    running(installation, job_id)
    log = installation.home.attempt(job_id, 1) / "output.log"
    installation.until(lambda: log.exists() and log.read_text() == "first\n", "the first line")
    shim.fill(log)
    gate.touch()
    (job,) = ended(installation, job_id)
    assert isinstance(job.state, Failed)
    assert job.state.exit_code == 9
    assert log.read_text().startswith("first\n")
