"""kill -9, restarts, and many at once: no job is lost and no exit code is forgotten."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jobs.client import Client
from jobs.core.jobs import Cancelled, Failed, Lost, Running, StateName, Succeeded
from jobs.core.ports import StateUnavailable
from jobs.core.requests import JobQuery
from jobs.installation.notify import Notifier
from jobs.installation.settings import Settings
from tests.daemon.conftest import TOLERANT, Installation, command


def test_kill_9_of_the_daemon_with_jobs_running_and_waiting(
    installation: Installation, cores: float
) -> None:
    installation.start()
    client = installation.client
    during = installation.submit(*[command("sh", "-c", f"sleep 0.{n}; exit {n}") for n in range(1, 6)])
    long = installation.submit(command("sh", "-c", "sleep 2; exit 9"))
    waiting = installation.submit(*[command("sh", "-c", f"exit {n}", cpus=cores) for n in range(3)])
    for job_id in (*during, *long):
        installation.until_state(job_id, "running", "failed")
    installation.kill()
    unread = installation.submit(command("sh", "-c", "exit 4"))
    installation.until(
        lambda: all((installation.home.attempt(i, 1) / "exit.json").exists() for i in during),
        "the jobs to end without a daemon",
    )
    installation.start()
    ids = (*during, *long, *waiting, *unread)
    codes = [getattr(job.state, "exit_code", None) for job in client.jobs.wait(ids, timeout_s=60)]
    assert codes == [1, 2, 3, 4, 5, 9, 0, 1, 2, 4]
    assert {job.attempts for job in client.jobs.list(JobQuery(limit=99))} == {1}, "nothing ran twice"


def test_kill_9_again_and_again_during_a_stream_of_jobs(installation: Installation, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    script = f"echo x >> {runs}/$CRO_JOB_ID; exit $((CRO_JOB_ID % 5))"
    installation.start()
    ids: tuple[int, ...] = ()
    for _ in range(4):
        ids += installation.submit(*[command("sh", "-c", script)] * 15)
        enough = len(ids) - 10
        installation.until(lambda n=enough: len(list(runs.iterdir())) >= n, "some to have run")  # type: ignore[misc]
        installation.kill()
        installation.start()
    jobs = installation.client.jobs.wait(ids, timeout_s=90)  # type: ignore[arg-type]
    for job in jobs:
        assert isinstance(job.state, Succeeded | Failed), job
        assert job.state.exit_code == job.id % 5
        assert (runs / str(job.id)).read_text() == "x\n", "each ran exactly once"
    assert len(jobs) == 60


def test_stopping_the_daemon_lets_jobs_go_on(installation: Installation, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    installation.start()
    (job_id,) = installation.submit(command("sh", "-c", f"cat {gate}; exit 6"))
    before = installation.until_state(job_id, "running").state
    assert isinstance(before, Running)
    assert installation.client.scheduler.stop()
    assert not installation.client.scheduler.stop()
    os.kill(before.pid, 0)
    installation.start()
    adopted = installation.until_state(job_id, "running").state
    assert isinstance(adopted, Running)
    assert adopted.pid == before.pid
    gate.write_text("go\n")
    (job,) = installation.client.jobs.wait([job_id], timeout_s=120)
    assert isinstance(job.state, Failed)
    assert job.state.exit_code == 6


def test_a_cancel_asked_for_while_no_daemon_runs_is_done_by_the_next(installation: Installation) -> None:
    installation.start()
    (job_id,) = installation.submit(command("sleep", "600"))
    installation.until_state(job_id, "running")
    installation.kill()
    installation.client.jobs.cancel([job_id])
    installation.start()
    assert isinstance(installation.client.jobs.wait([job_id], timeout_s=120)[0].state, Cancelled)


def test_a_supervisor_that_is_killed_makes_its_job_lost_and_leaves_nothing(
    installation: Installation, tmp_path: Path
) -> None:
    installation.start()
    pid_file = tmp_path / "pid"
    (job_id,) = installation.submit(command("sh", "-c", f"echo $$ > {pid_file}; exec sleep 600"))
    state = installation.until_state(job_id, "running").state
    assert isinstance(state, Running)
    installation.until(lambda: pid_file.exists() and pid_file.read_text().strip(), "the job's pid")
    os.kill(state.pid, signal.SIGKILL)
    (job,) = installation.client.jobs.wait([job_id], timeout_s=120)
    assert isinstance(job.state, Lost)
    installation.until_gone(int(pid_file.read_text()))


def test_two_daemons_at_once_become_one(installation: Installation) -> None:
    command_ = [sys.executable, "-m", "jobs.daemon", "--data", str(installation.home.data)]
    processes = [
        subprocess.Popen(command_, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(3)
    ]
    installation.until(lambda: sum(p.poll() is not None for p in processes) == 2, "two of three to leave")
    assert sorted(process.poll() or 0 for process in processes) == [0, 3, 3]
    (left,) = [process for process in processes if process.poll() is None]
    installation.until(lambda: installation.client.scheduler.status().pid == left.pid, "one to serve")
    (job_id,) = installation.submit(command("true"))
    assert isinstance(installation.client.jobs.wait([job_id], timeout_s=120)[0].state, Succeeded)
    left.terminate()
    for process in processes:
        process.communicate(timeout=20)
    assert left.returncode == 0


def test_four_front_ends_start_one_daemon(installation: Installation) -> None:
    pids: list[int] = []
    threads = [threading.Thread(target=lambda: pids.append(installation.start())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 4
    assert len(set(pids)) == 1
    assert installation.log().count("started, process") == 1


def test_a_daemon_that_cannot_start_says_why(installation: Installation) -> None:
    installation.settings("[nonsense]\n")
    with pytest.raises(StateUnavailable) as refused:
        installation.client.scheduler.start()
    assert "nonsense" in refused.value.detail
    installation.settings(TOLERANT)


def test_it_leaves_by_itself_when_nothing_is_left_to_do(installation: Installation) -> None:
    installation.settings(TOLERANT.replace("[daemon]", "[daemon]\nidle_exit_s = 0.5"))
    installation.start()
    watcher = installation.client.scheduler.watch()
    (job_id, _) = installation.submit(command("sleep", "1"), command("true", start_held=True))
    installation.client.jobs.wait([job_id], timeout_s=120)
    assert not watcher.wait(1.5) or installation.client.scheduler.status().running
    assert installation.client.scheduler.status().running, "somebody watches"
    watcher.close()
    installation.until(lambda: not installation.client.scheduler.status().running, "the daemon to leave")
    (last,) = installation.submit(command("true"))
    installation.start()
    assert isinstance(installation.client.jobs.wait([last], timeout_s=120)[0].state, Succeeded)


def test_it_leaves_when_its_folder_is_gone(installation: Installation) -> None:
    pid = installation.start()
    (job_id,) = installation.submit(command("true"))
    installation.client.jobs.wait([job_id], timeout_s=120)
    kept = installation.home.data.rename(installation.home.data.with_name("moved"))
    installation.until_gone(pid)
    kept.rename(installation.home.data)


@pytest.mark.slow
def test_a_database_that_is_locked_for_long_is_waited_out(installation: Installation) -> None:
    installation.start()
    (job_id,) = installation.submit(command("sh", "-c", "sleep 0.5; exit 5"))
    installation.until_state(job_id, "running")
    holder = sqlite3.connect(installation.home.database, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert installation.client.jobs.snapshot().note == ""
    installation.until(lambda: "a cycle failed" in installation.log(), "the daemon to give up once")
    holder.execute("ROLLBACK")
    holder.close()
    (job,) = installation.client.jobs.wait([job_id], timeout_s=120)
    assert isinstance(job.state, Failed)
    assert job.state.exit_code == 5


def test_a_lost_ring_is_found(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    installation.start()
    watcher = installation.client.scheduler.watch()
    monkeypatch.setattr(Notifier, "notify", lambda *_: False)
    (job_id,) = installation.submit(command("true"))
    monkeypatch.undo()
    assert isinstance(installation.client.jobs.wait([job_id], timeout_s=120)[0].state, Succeeded)
    watcher.close()


def test_vitals_are_published_while_somebody_watches(installation: Installation) -> None:
    pid = installation.start()
    watcher = installation.client.scheduler.watch()
    (job_id,) = installation.submit(command("sleep", "600"))
    installation.until_state(job_id, "running")
    installation.until(
        lambda: (s := installation.client.jobs.snapshot()).sample is not None and job_id in s.sample.jobs,
        "the job's live use",
    )
    assert json.loads(installation.home.latest_sample.read_text())["pid"] == pid
    snapshot = installation.client.jobs.snapshot()
    assert snapshot.daemon.pid == pid
    assert snapshot.jobs[0].usage.mem_bytes is not None
    watcher.close()


LOADED = """
import sys
from jobs.daemon import __main__ as daemon
from jobs.daemon import loop as daemon_loop
from jobs.daemon import attempts
from jobs.daemon import cycle
from jobs.store import writer as store
from jobs.executors import local
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_the_daemon_loads_no_screen_and_no_table_library() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    heavy = {
        "textual",
        "rich",
        "click",
        "pandas",
        "sqlite_utils",
        "tensorflow",
        "sklearn",
        "numpy",
        "recipes",
    }
    assert not heavy & set(done.stdout.split())


def test_hundreds_at_once(installation: Installation) -> None:
    ids = installation.submit(*[command("true", cpus=0.5)] * 300)
    installation.start()
    assert {job.state.name for job in installation.client.jobs.wait(ids, timeout_s=100)} == {
        StateName.SUCCEEDED
    }
    assert installation.client.jobs.snapshot().counts == {StateName.SUCCEEDED: 300}


def test_a_submit_while_the_scheduler_leaves_is_scheduled(installation: Installation) -> None:
    installation.settings(TOLERANT + "idle_exit_s = 0.3\n")
    with contextlib.closing(Client(installation.home, Settings())) as passer_by:  # it starts no scheduler
        for who in (installation.client, passer_by) * 2:
            installation.start()
            installation.until(installation.home.scheduler_socket.exists, "it to listen")
            installation.until(lambda: not installation.home.scheduler_socket.exists(), "it to leave")
            (job_id,) = who.jobs.submit([command("true")])
            if who is passer_by and not installation.client.scheduler.status().running:
                continue  # it had left before: whoever wants a scheduler starts one
            installation.until_state(job_id, "succeeded")
