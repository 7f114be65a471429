"""A long job saves and stops for a short one and goes on afterwards: a whole installation at work."""

from __future__ import annotations

import sqlite3

import pytest

from jobs.core.jobs import JobId, Succeeded
from jobs.store.history_rows import histories
from tests.daemon.conftest import TOLERANT, Installation, command

QUICK = TOLERANT.replace(
    "[admission]", "[admission]\ntrial_s = 0.3\nevict_every_s = 0.1\nrestart_cost_s = 0.01"
)
LONG = """
trap 'mkdir -p "$CRO_CHECKPOINT_DIR"; echo 7 > "$CRO_CHECKPOINT_DIR/step"; exit 75' TERM
if [ -n "$CRO_RESUME" ]; then
    sleep 0.2
    echo '{"note": "goes on"}' >> "$CRO_EVENTS"
    echo "goes on after $(cat "$CRO_RESUME/step")"; exit 0
fi
echo begun
while :; do sleep 0.05; done
"""
DEAF = "trap '' TERM; echo begun; while :; do sleep 0.05; done"


@pytest.fixture
def begun(installation: Installation) -> Installation:
    installation.settings(QUICK)
    installation.start()
    return installation


def story(installation: Installation, job_id: JobId) -> list[str]:
    return [entry.event for entry in installation.client.jobs.history(job_id)]


def begin(installation: Installation, script: str, **more: object) -> JobId:
    cpus = installation.client.machine.capacity().cpus
    (job_id,) = installation.submit(command("sh", "-c", script, cpus=cpus, checkpoint=True, **more))
    installation.until_state(job_id, "running")
    path = installation.client.runs.log_path(job_id)
    installation.until(lambda: path.exists() and "begun" in path.read_text(), "its first line")
    return job_id


def test_it_goes_on_from_its_checkpoint_after_the_short_job(begun: Installation) -> None:
    long = begin(begun, LONG)
    (short,) = begun.submit(command("echo", "short", cpus=begun.client.machine.capacity().cpus))
    ended = begun.client.jobs.wait([long, short], timeout_s=60)
    assert [job.state.name for job in ended] == ["succeeded", "succeeded"], begun.client.jobs.history(long)
    job = ended[0]
    assert (job.attempts, job.evictions) == (2, 1)
    assert job.attained_s > 0
    assert begun.client.runs.log_path(long).read_text() == "goes on after 7\n"
    assert story(begun, long) == [
        *("submitted", "starting", "running", "asked to save and stop", "saved and stopped"),
        *("starting", "running", "succeeded"),
    ]
    with sqlite3.connect(begun.home.database) as connection:
        (past,) = histories(connection, ["program sh"]).values()
    connection.close()
    assert past.save_s is not None
    assert past.restart_s is not None
    assert 0 < past.save_s < 30
    assert 0.15 < past.restart_s < 30  # the time of a file is some milliseconds behind


def test_one_that_does_not_save_is_told_and_never_asked_again(begun: Installation) -> None:
    long = begin(begun, DEAF, grace_s=0.3)
    (short,) = begun.submit(command("echo", "short", cpus=begun.client.machine.capacity().cpus))
    begun.client.jobs.wait([short], timeout_s=60)
    job = begun.until_state(long, "running")
    assert not job.can_save
    assert job.lost_s > 0
    assert "stopped without saving" in story(begun, long)
    begun.client.jobs.cancel([long])
    begun.until_state(long, "cancelled")


def test_a_scheduler_killed_meanwhile_asks_again(begun: Installation) -> None:
    long = begin(begun, LONG)
    begun.kill()
    (short,) = begun.submit(command("echo", "short", cpus=begun.client.machine.capacity().cpus))
    begun.start()
    begun.until(lambda: "asked to save and stop" in story(begun, long), "the order to save")
    begun.kill()
    begun.start()
    ended = begun.client.jobs.wait([long, short], timeout_s=60)
    assert all(isinstance(job.state, Succeeded) for job in ended)
