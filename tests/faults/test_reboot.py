"""The machine is restarted while jobs run: each is queued again or marked, as it asked for.

A restart is what is left after one: no process of ours, files that stay, and a boot id that is another.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from pathlib import Path

import pytest

from jobs.core.jobs import Cancelled, JobId, Lost, Running, Succeeded
from jobs.core.ports import BadInput
from jobs.daemon.attempts import boot_id
from tests.daemon.conftest import TOLERANT, Installation, command

BEFORE = "00000000-0000-4000-8000-000000000000"
NEVER_LOOK_TWICE = TOLERANT.replace("lost_after_s = 0.5", "lost_after_s = 3600")
FIRST_SLEEPS = "if [ $CRO_ATTEMPT = 1 ]; then exec sleep 600; fi; echo again"


def running(installation: Installation, job_id: JobId) -> Path:
    """The attempt's folder, once its job runs."""
    installation.until_state(job_id, "running")
    folder = installation.home.attempt(job_id, 1)
    installation.until(lambda: "job" in pids(folder), "the job's pid")
    return folder


def pids(folder: Path) -> dict[str, object]:
    try:
        return dict(json.loads((folder / "pid.json").read_text()))
    except (OSError, ValueError):
        return {}


def power_off(installation: Installation, *folders: Path) -> None:
    """Kill everybody, the daemon first so that it sees nothing of it."""
    installation.kill()
    for folder in folders:
        for who in ("supervisor", "job"):
            pid = pids(folder)[who]["pid"]  # type: ignore[index]
            os.kill(pid, signal.SIGKILL)
            installation.until_gone(pid)
        assert not (folder / "exit.json").exists()


def begun_before(folder: Path) -> None:
    (folder / "pid.json").write_text(json.dumps(pids(folder) | {"boot_id": BEFORE}))


def known_boot(installation: Installation, boot: str | None = None) -> str:
    with sqlite3.connect(installation.home.database) as database:
        if boot is not None:
            database.execute("UPDATE meta SET value = ? WHERE key = 'boot_id'", (boot,))
        return str(database.execute("SELECT value FROM meta WHERE key = 'boot_id'").fetchone()[0])


def test_each_job_of_the_former_boot_goes_its_own_way_at_once(installation: Installation) -> None:
    installation.settings(NEVER_LOOK_TWICE)
    installation.start()
    again, marked, stopped = installation.submit(
        command("sh", "-c", FIRST_SLEEPS, on_reboot="requeue"),
        command("sleep", "600"),
        command("sh", "-c", "trap '' TERM; sleep 600 & wait; wait", on_reboot="requeue", grace_s=600),
    )
    folders = [running(installation, job_id) for job_id in (again, marked, stopped)]
    installation.client.jobs.cancel([stopped])
    installation.until(
        lambda: (
            isinstance(state := installation.client.jobs.get(stopped).state, Running)
            and state.cancel_requested_at
        ),
        "the stop to be taken in",
    )
    power_off(installation, *folders)
    for folder in folders:
        begun_before(folder)
    installation.start()
    ended = installation.client.jobs.wait([again, marked, stopped], timeout_s=60)
    assert [type(job.state) for job in ended] == [Succeeded, Lost, Cancelled]
    assert [job.attempts for job in ended] == [2, 1, 1]
    assert "restarted" in getattr(ended[1].state, "cause", "")
    story = [(entry.event, entry.detail) for entry in installation.client.jobs.history(again)]
    assert ("requeued", "the machine was restarted while it ran") in story
    assert installation.client.runs.log_path(again).read_text() == "again\n"


@pytest.mark.parametrize("left", ["nothing", "output.log"])
def test_a_start_that_the_restart_cut_short_is_made_again(installation: Installation, left: str) -> None:
    """Power went before pid.json was on the disk: only the store knows of the attempt."""
    installation.settings(NEVER_LOOK_TWICE)
    installation.start()
    (job_id,) = installation.submit(command("sh", "-c", FIRST_SLEEPS, on_reboot="requeue"))
    folder = running(installation, job_id)
    installation.until(lambda: known_boot(installation) == boot_id(), "the boot to be noted")
    power_off(installation, folder)
    for file in folder.iterdir():
        if file.is_file() and file.name != left:
            file.unlink()
    with sqlite3.connect(installation.home.database) as database:
        detail = json.loads(database.execute("SELECT detail FROM jobs").fetchone()[0])
        state = {"since_at": 1.0, "attempt": 1, "grant": []}
        database.execute(
            "UPDATE jobs SET state = 'starting', detail = ?", (json.dumps(detail | {"state": state}),)
        )
    known_boot(installation, BEFORE)
    installation.start()
    (job,) = installation.client.jobs.wait([job_id], timeout_s=60)
    assert isinstance(job.state, Succeeded)
    assert job.attempts == 2
    assert known_boot(installation) == boot_id()


def test_a_policy_that_does_not_exist_is_refused(installation: Installation) -> None:
    with pytest.raises(BadInput, match="requeue or fail"):
        installation.submit(command("true", on_reboot="maybe"))
    assert installation.client.jobs.list() == ()


def test_a_recipe_that_can_be_repeated_is_queued_again_unless_somebody_says_otherwise(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobs.core.requests import SubmitRequest

    folder = tmp_path / "recipes"
    folder.mkdir()
    head = '# /// script\n# [tool.cro]\n# title = "x"\n'
    (folder / "plain.py").write_text(f"{head}# ///\n")
    (folder / "repeats.py").write_text(f"{head}# repeatable = true\n# ///\n")
    (folder / "fails.py").write_text(f'{head}# repeatable = true\n# on_reboot = "fail"\n# ///\n')
    (folder / "again.py").write_text(f'{head}# on_reboot = "requeue"\n# ///\n')
    monkeypatch.chdir(tmp_path)
    names = ("plain", "repeats", "fails", "again")
    ids = installation.submit(
        *[SubmitRequest(recipe=name) for name in names],
        SubmitRequest(recipe="repeats", on_reboot="fail"),
        SubmitRequest(recipe="plain", on_reboot="requeue"),
    )
    said = [installation.client.jobs.get(job_id).spec.on_reboot.value for job_id in ids]
    assert said == ["fail", "requeue", "fail", "requeue", "fail", "requeue"]
    installation.client.jobs.cancel(ids)
