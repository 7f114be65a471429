"""While the scheduler reads a long sweep it still does what else is asked of it."""

from __future__ import annotations

from jobs.views import SubmitRequest
from tests.daemon.conftest import SMALL, Installation, command

MANY = 20_000


def unread(installation: Installation) -> int:
    with installation.api._reading().snapshot() as view:
        (number,) = view._connection.execute(
            "SELECT count(*) FROM intents WHERE kind = 'submit'"
        ).fetchone()
    return int(number)


def test_a_cancel_and_an_urgent_job_pass_a_sweep_that_is_being_read(installation: Installation) -> None:
    installation.start()
    cores = installation.api.capacity().cpus
    (running,) = installation.submit(command("sleep", "600", cpus=cores))
    installation.until_state(running, "running")
    sweep = installation.submit(*[SubmitRequest(argv=("true",), needs=SMALL, hold=True)] * MANY)
    (urgent,) = installation.submit(command("true", priority=90))
    installation.api.cancel([running])
    installation.until_state(running, "cancelled")
    assert unread(installation) > 0
    installation.until_state(urgent, "succeeded")
    installation.until(lambda: not unread(installation), "the whole sweep", timeout_s=60)
    assert installation.api.job(sweep[-1]).state.name == "held"
