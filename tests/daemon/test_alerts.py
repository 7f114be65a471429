"""An alert on a real machine: raised, told by the user's command, pausing the queue, and over."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from jobs.core.jobs import ReasonCode
from jobs.core.machine import AlertKind
from tests.daemon.conftest import TOLERANT, Installation, command

LOUD = TOLERANT.replace("[jobs]", '[jobs]\nlog_max = "1M"')
TELL = "import json, sys; open(sys.argv[1], 'a').write(json.dumps(sys.argv[2:]) + '\\n')"
FILLS_ITS_LOG = "import sys, time; sys.stdout.write('x' * 2_000_000); sys.stdout.flush(); time.sleep(600)"


def test_a_runaway_log_is_told_pauses_the_queue_and_is_over_with_its_job(
    installation: Installation, tmp_path: Path
) -> None:
    told = tmp_path / "it's told; $(date)"
    words = [sys.executable, "-c", TELL, str(told)]
    installation.settings(
        LOUD.replace("[admission]", "[admission]\npause_on_alert = true")
        + f"[alerts]\ncommand = {json.dumps(words)}\n"
    )
    installation.start()
    (loud,) = installation.submit(command(sys.executable, "-c", FILLS_ITS_LOG))
    installation.until(lambda: installation.client.jobs.snapshot().sample.alerts, "the alert")  # type: ignore[union-attr]
    sample = installation.client.jobs.snapshot().sample
    assert sample is not None
    (alert,) = [alert for alert in sample.alerts if alert.kind is AlertKind.LOG]
    assert alert.subject == f"#{loud}" and f"Job #{loud} has written 2 MiB" in alert.text
    (next_,) = installation.submit(command("true"))
    installation.until(
        lambda: (
            [reason.code for reason in installation.client.forecasts.explain(next_).reasons]
            == [ReasonCode.ALERT]
        ),
        "the queue to pause",
    )
    installation.client.jobs.cancel([loud])
    installation.until_state(next_, "succeeded")
    installation.until(lambda: told.exists() and told.read_text().count("\n") == 2, "both words")
    raised, cleared = map(json.loads, told.read_text().splitlines())
    assert raised[:2] == ["raised", "log"] and f"#{loud}" in raised[2]
    assert cleared[:2] == ["cleared", "log"]


def test_a_command_that_cannot_be_run_disturbs_nothing(installation: Installation) -> None:
    installation.settings(LOUD + '[alerts]\ncommand = ["/no/such/program"]\n')
    installation.start()
    (loud,) = installation.submit(command(sys.executable, "-c", FILLS_ITS_LOG))
    installation.until(lambda: "the command for alerts failed" in installation.log(), "the word in the log")
    assert installation.client.jobs.get(loud).state.name == "running"
    (next_,) = installation.submit(command("true"))
    installation.until_state(next_, "succeeded")
