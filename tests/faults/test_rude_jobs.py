"""Jobs that behave badly: their true end is told, nothing of them is left, and nobody else is touched."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.core.jobs import GIB, Cancelled, Failed, JobId, Lost, Paused, Running, State, Succeeded
from jobs.core.requests import NeedsRequest, SubmitRequest
from tests.daemon.conftest import Installation, command
from tests.faults.processes import Processes

REPOSITORY = Path(__file__).resolve().parents[2]
# It forgets all that ties it to its job: session, parent, folder, streams, environment.
DAEMON = """
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir("/")
        os.closerange(0, 64)
        os.execve("/bin/sleep", ["a-daemon-of-a-job", "600"], {})
    os._exit(0)
os.wait()
sys.exit(4)
"""
CHILDREN = 200
CROWD = f"""
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for number in range({CHILDREN}):
    if os.fork() == 0:
        if number % 2:
            os.setsid()
        time.sleep(600)
        os._exit(0)
print("all born", flush=True)
time.sleep(600)
"""


class Rude:
    """One bad job at a time, beside a well-behaved one that must not notice."""

    def __init__(self, installation: Installation, gate: Path) -> None:
        self.installation = installation
        self._gate = gate
        os.mkfifo(gate)
        installation.start()
        (self._good,) = installation.submit(command("sh", "-c", f"sleep 600 & read _ < {gate}; exit 11"))
        self._good_pid = self._running(self._good).pid

    def _running(self, job_id: JobId) -> Running:
        state = self.installation.until_state(job_id, "running").state
        assert isinstance(state, Running)
        return state

    def start(self, *argv: str, grace_s: float | None = None) -> JobId:
        needs = NeedsRequest(cpus=0.1, mem_bytes=GIB)
        request = SubmitRequest(argv=argv, needs=needs, grace_s=grace_s)
        (job_id,) = self.installation.submit(request)
        return job_id

    def until_logged(self, job_id: JobId, text: str) -> None:
        path = self.installation.client.runs.log_path(job_id, 1)
        self.installation.until(lambda: path.exists() and text in path.read_text(), f"{text!r} in the log")

    def end(self, job_id: JobId) -> State:
        """How it ended."""
        (job,) = self.installation.client.jobs.wait([job_id], timeout_s=60)
        assert job.attempts == 1
        return job.state

    def code(self, *argv: str) -> int | None:
        state = self.end(self.start(*argv))
        assert isinstance(state, Succeeded | Failed), state
        return state.exit_code

    def cancel(self, job_id: JobId) -> Cancelled:
        self.installation.client.jobs.cancel([job_id])
        state = self.end(job_id)
        assert isinstance(state, Cancelled)
        return state

    def good_to_the_end(self) -> None:
        """The other job has all its processes, and ends as it wants."""
        processes = Processes(self.installation.home.data)
        self.installation.until(
            lambda: len(processes.left_of_jobs()) <= 3, "nothing but a supervisor, its shell and its child"
        )
        assert len(processes.left_of_jobs()) == 3
        assert self._running(self._good).pid == self._good_pid
        self._gate.write_text("go\n")
        state = self.end(self._good)
        assert isinstance(state, Failed)
        assert state.exit_code == 11
        self.installation.until(lambda: not processes.left_of_jobs(), "nothing to be left")


@pytest.fixture
def rude(installation: Installation, tmp_path: Path) -> Iterator[Rude]:
    rude = Rude(installation, tmp_path / "gate")
    yield rude
    rude.good_to_the_end()


def named(name: str) -> list[str]:
    found = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in found.splitlines() if name in line and "ps -eo" not in line]


def test_a_daemon_of_its_own_does_not_outlive_the_job(rude: Rude) -> None:
    assert rude.code(sys.executable, "-c", DAEMON) == 4
    assert named("a-daemon-of-a-job") == []


def test_sigterm_is_ignored(rude: Rude) -> None:
    job_id = rude.start(
        "sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 600 & wait; done", grace_s=0.2
    )
    rude.until_logged(job_id, "deaf")
    assert rude.cancel(job_id).signal == signal.SIGKILL


def test_binary_and_control_characters_in_the_log(rude: Rude) -> None:
    script = r"head -c 300000 /dev/urandom; printf '\033]0;owned\007\033[2J\000\377\n'; exit 3"
    job_id = rude.start("sh", "-c", script)
    state = rude.end(job_id)
    assert isinstance(state, Failed)
    assert state.exit_code == 3
    log = rude.installation.client.runs.log_path(job_id)
    assert log.stat().st_size > 300_000
    environ = {**os.environ, "CRO_HOME": str(rude.installation.home.data)}
    shown, piped = (
        subprocess.run(
            [sys.executable, "-m", "cro_tui", *words], env=environ, capture_output=True, check=True
        ).stdout
        for words in (["show", str(job_id)], ["logs", str(job_id)])
    )
    assert not set(shown.decode("utf-8")) & {"\033", "\0"}
    assert piped == log.read_bytes(), "who pipes it gets what was printed"


def test_it_closes_its_streams(rude: Rude) -> None:
    assert rude.code("sh", "-c", "exec >&- 2>&- <&-; sleep 0.1; exit 3") == 3


@pytest.mark.parametrize("number", [9, 15])
def test_it_kills_its_own_process_group(rude: Rude, number: int) -> None:
    state = rude.end(rude.start("sh", "-c", f"sleep 600 & kill -{number} 0; sleep 600"))
    assert isinstance(state, Failed)
    assert state.signal == number


def test_it_kills_its_supervisor(rude: Rude) -> None:
    state = rude.end(rude.start("sh", "-c", "setsid sleep 600 & kill -9 $PPID; sleep 600"))
    assert isinstance(state, Lost)
    assert state.cause == "its supervisor was killed; the job was stopped"


def test_two_hundred_children_that_are_deaf(rude: Rude) -> None:
    job_id = rude.start(sys.executable, "-c", CROWD, grace_s=0.2)
    rude.until_logged(job_id, "all born")
    assert rude.cancel(job_id).signal == signal.SIGKILL


def test_children_that_are_born_faster_than_they_are_killed(rude: Rude) -> None:
    script = (
        "trap '' TERM; run() { while :; do (trap '' TERM; sleep 0.05; sleep 600) & sleep 0.01; done; }; "
    )
    job_id = rude.start("sh", "-c", f"{script} run & run & echo going; wait", grace_s=0.2)
    rude.until_logged(job_id, "going")
    assert rude.cancel(job_id).signal == signal.SIGKILL


def test_its_working_folder_is_deleted_under_it(rude: Rude, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    assert rude.code("sh", "-c", f"cd {folder} && rmdir {folder} && exit 2") == 2


def test_it_deletes_its_own_job_folder(rude: Rude) -> None:
    state = rude.end(rude.start("sh", "-c", 'rm -rf "$(dirname "$CRO_OUTPUT_DIR")"; exit 2'))
    assert isinstance(state, Lost)
    assert "folder is gone" in state.cause


def test_it_stops_itself_and_can_still_be_cancelled(rude: Rude) -> None:
    job_id = rude.start("sh", "-c", "echo stopping; kill -STOP $$; exit 5", grace_s=5.0)
    rude.until_logged(job_id, "stopping")
    assert rude.cancel(job_id).signal == signal.SIGTERM


def test_paused_while_it_forks(rude: Rude) -> None:
    job_id = rude.start("sh", "-c", "echo going; while :; do sleep 0.01 & sleep 0.005; done", grace_s=0.2)
    rude.until_logged(job_id, "going")
    rude.installation.until_state(job_id, "running")
    rude.installation.client.jobs.hold([job_id])
    assert isinstance(rude.installation.until_state(job_id, "paused").state, Paused)
    rude.cancel(job_id)


def test_a_job_does_not_become_the_home_of_the_scheduler(rude: Rude, tmp_path: Path) -> None:
    """What a job starts ends with it: a scheduler would take every other job with it."""
    installation = rude.installation
    go, done = tmp_path / "go", tmp_path / "done"
    queue = shlex.join([sys.executable, "-m", "cro_tui", "submit", "-q", "--mem", "32M", "--", "true"])
    script = f"while [ ! -e {go} ]; do sleep 0.02; done; cd {REPOSITORY}; {queue} && touch {done}; exit 6"
    environ = {"PATH": os.environ["PATH"], "CRO_HOME": str(installation.home.data)}
    request = SubmitRequest(argv=("sh", "-c", script), needs=NeedsRequest(cpus=0.1), env=environ)
    (job_id,) = installation.submit(request)
    installation.until_state(job_id, "running")
    installation.kill()
    go.touch()
    exit_file = installation.home.attempt(job_id, 1) / "exit.json"
    installation.until(exit_file.exists, "the job to end")
    assert done.exists(), "what it queued is kept"
    installation.start()
    state = rude.end(job_id)
    assert isinstance(state, Failed)
    assert state.exit_code == 6
    assert isinstance(rude.end(JobId(job_id + 1)), Succeeded)
