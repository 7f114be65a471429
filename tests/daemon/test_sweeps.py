"""While the scheduler reads a long sweep it still does what else is asked of it."""

from __future__ import annotations

import contextlib
import sqlite3

from jobs.core.requests import SubmitRequest
from tests.daemon.conftest import SMALL, Installation, command

MANY = 20_000


def unread(installation: Installation) -> int:
    with contextlib.closing(sqlite3.connect(installation.home.database)) as database:
        (number,) = database.execute("SELECT count(*) FROM intents WHERE kind = 'submit'").fetchone()
    return int(number)


def test_a_cancel_and_an_urgent_job_pass_a_sweep_that_is_being_read(installation: Installation) -> None:
    installation.start()
    cores = installation.client.machine.capacity().cpus
    (running,) = installation.submit(command("sleep", "600", cpus=cores))
    installation.until_state(running, "running")
    sweep = installation.submit(*[SubmitRequest(argv=("true",), needs=SMALL, start_held=True)] * MANY)
    (urgent,) = installation.submit(command("true", priority=90))
    installation.client.jobs.cancel([running])
    installation.until_state(running, "cancelled")
    assert unread(installation) > 0
    installation.until_state(urgent, "succeeded")
    installation.until(lambda: not unread(installation), "the whole sweep", timeout_s=60)
    assert installation.client.jobs.get(sweep[-1]).state.name == "held"


def test_everything_is_read_at_once_whatever_the_turns_it_is_taken_in(installation: Installation) -> None:
    """Urgent jobs stand at the head of the very batch in which they are the oldest, too."""
    urgent = SubmitRequest(argv=("true",), needs=SMALL, start_held=True, priority=90)
    usual = SubmitRequest(argv=("true",), needs=SMALL, start_held=True)
    installation.submit(*[urgent] * 300, *[usual] * 3_000)
    installation.start()
    installation.until(lambda: not unread(installation), "all of it", timeout_s=9)
