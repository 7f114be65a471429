"""A supervisor that is killed: its job is stopped at once and said to be lost; no other is touched."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from jobs.core.jobs import Failed, Grant, Job, JobId, JobSpec, Lost, Running, Starting
from jobs.core.ports import StateUnavailable
from jobs.daemon.attempts import Attempts
from jobs.engine.events import AttemptEnded, AttemptMissing, LaunchFailed, StartAttempt
from jobs.executors.launcher_client import LauncherClient
from jobs.executors.local import LocalExecutor
from jobs.installation.home import Home
from jobs.runtime import procfs
from jobs.store import captured_variables
from tests.daemon.conftest import TOLERANT, Installation, command
from tests.faults.processes import Processes

PATIENT = TOLERANT.replace("lost_after_s = 0.5", "lost_after_s = 600")
STOPPED = "its supervisor was killed; the job was stopped"
# Processes with and without our mark, in sessions of their own, one of them an orphan of its own making.
TREE = (
    "say() {{ echo $! >> {pids}; }}; echo $$ >> {pids}; setsid sleep 600 & say; "
    "env -i setsid sh -c 'cd /; sleep 600 & echo $! >> {pids}; exec sleep 600' & say; "
    "(setsid sleep 600 & say) ; echo ready >> {pids}; {then}"
)


class Tree:
    """A job with five processes, and what is left of them."""

    def __init__(self, installation: Installation, pids: Path, then: str = "exec sleep 600") -> None:
        self._installation = installation
        self._pids = pids
        script = TREE.format(pids=pids, then=then)
        (self.job_id,) = installation.submit(command("sh", "-c", script))
        installation.until(lambda: pids.exists() and len(self._words()) == 6, "the whole tree to be there")
        record = installation.home.attempt(self.job_id, 1) / "pid.json"
        installation.until(record.exists, "the supervisor to have written down who is who")
        self.supervisor = self._supervisor()

    def _words(self) -> list[str]:
        return self._pids.read_text().split()

    def _supervisor(self) -> int:
        state = self._installation.until_state(self.job_id, "running").state
        assert isinstance(state, Running)
        return state.pid

    def alive(self) -> list[int]:
        pids = [int(word) for word in self._words() if word != "ready"]
        return [pid for pid in pids if procfs.start_ticks(pid) is not None]


def lost(installation: Installation, tree: Tree) -> Lost:
    (job,) = installation.client.jobs.wait([tree.job_id], timeout_s=120)
    assert isinstance(job.state, Lost)
    return job.state


def test_the_launcher_stops_the_job_and_spares_the_others(
    installation: Installation, tmp_path: Path
) -> None:
    installation.settings(PATIENT)
    installation.start()
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    tree = Tree(installation, tmp_path / "pids")
    other = Tree(installation, tmp_path / "others", f"read _ < {gate}; exit 7")
    assert len(tree.alive()) == len(other.alive()) == 5
    began = time.monotonic()
    os.kill(tree.supervisor, signal.SIGKILL)
    assert lost(installation, tree).cause == STOPPED
    told_s = time.monotonic() - began
    installation.until(lambda: not tree.alive(), "the whole tree to be gone")
    print(
        f"killed supervisor: lost after {told_s:.3f} s, nothing left after {time.monotonic() - began:.3f} s"
    )
    assert len(other.alive()) == 5
    gate.write_text("go\n")
    (job,) = installation.client.jobs.wait([other.job_id], timeout_s=120)
    assert isinstance(job.state, Failed)
    assert job.state.exit_code == 7
    assert other.alive() == []


@pytest.mark.parametrize("daemon_too", [False, True], ids=["launcher", "launcher-and-daemon"])
def test_killed_together_with_who_would_have_stopped_the_job(
    installation: Installation, tmp_path: Path, daemon_too: bool
) -> None:
    """The scheduler, this one or the next, finds what carries the job's mark; nothing can find the rest."""
    installation.settings(PATIENT)
    installation.start()
    processes = Processes(installation.home.data)
    tree = Tree(installation, tmp_path / "pids")
    (launcher,) = processes.of_kind("launcher")
    if daemon_too:
        installation.kill()
    for pid in (launcher.pid, tree.supervisor):
        if procfs.start_ticks(pid) is not None:
            os.kill(pid, signal.SIGKILL)
    if daemon_too:
        installation.start()
    assert lost(installation, tree).cause == STOPPED
    installation.until(lambda: not processes.left_of_jobs(), "what carries the mark to be gone")
    for pid in tree.alive():
        os.kill(pid, signal.SIGKILL)


def test_killed_while_its_job_is_paused(installation: Installation, tmp_path: Path) -> None:
    installation.settings(PATIENT)
    installation.start()
    tree = Tree(installation, tmp_path / "pids")
    installation.client.jobs.hold([tree.job_id])
    installation.until_state(tree.job_id, "paused")
    os.kill(tree.supervisor, signal.SIGKILL)
    assert lost(installation, tree).cause == STOPPED
    installation.until(lambda: not tree.alive(), "the whole tree to be gone")


@pytest.mark.parametrize("begun", [True, False])
async def test_an_attempt_without_a_record_is_started_again_only_if_it_never_began(
    tmp_path: Path, begun: bool
) -> None:
    """A supervisor opens the log before it starts the job, and writes down who is who after it."""
    home = Home.find({"CRO_HOME": str(tmp_path)})
    home.make()
    executor = LocalExecutor(home.jobs)
    attempts = Attempts(home, executor, "test", time.time, lost_after_s=0.0)
    spec = JobSpec("name", ("true",), "/", "digest")
    job = Job(JobId(1), spec, Starting(0.0, 1, Grant()), 0.0, attempts=1)
    folder = home.attempt(job.id, 1)
    folder.mkdir(parents=True)
    if begun:
        (folder / "output.log").touch()
    (event,) = await attempts.news([job], everyone=True)
    assert isinstance(event, AttemptMissing if begun else LaunchFailed)
    await executor.close()


async def test_a_start_whose_answer_was_lost_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The launcher forks, and dies before it has said so; so does the next one."""
    home = Home.find({"CRO_HOME": str(tmp_path)})
    home.make()
    executor = LocalExecutor(home.jobs)
    attempts = Attempts(home, executor, "test", time.time, lost_after_s=0.0)
    digest = captured_variables.capture(home.captured_variables, {"PATH": os.environ["PATH"]})
    spec = JobSpec("name", ("sh", "-c", "exit 5"), "/", digest)
    job = Job(JobId(1), spec, Starting(0.0, 1, Grant()), 0.0, attempts=1)
    fork = LauncherClient.fork

    async def fork_and_lose(forker: LauncherClient, folder: str) -> tuple[int, int | None]:
        await fork(forker, folder)
        for _ in range(1000):
            if Path(folder, "exit.json").exists():
                break
            await asyncio.sleep(0.01)
        raise StateUnavailable("No process could be made for the job.", "the launcher has gone")

    monkeypatch.setattr(LauncherClient, "fork", fork_and_lose)
    attempts.listen(lambda: None)
    attempts.perform([StartAttempt(job)])
    await attempts.finish()
    (event,) = await attempts.news([job])
    assert isinstance(event, AttemptEnded)
    assert event.exit.exit_code == 5
    await executor.close()
