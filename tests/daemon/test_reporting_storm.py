"""Many runs that report at once while a front end follows them: no event is lost, nobody meets a lock."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from jobs.core.jobs import JobId, StateName
from jobs.core.requests import JobQuery
from jobs.records.events import EVENTS, read
from tests.daemon.conftest import Installation, command

MANY = 1_000
SAYS = f"""
import json, os
for step in range({MANY}):
    with open(os.environ["CRO_EVENTS"], "a") as file:
        file.write(json.dumps({{"step": step, "progress": step / {MANY}, "loss": 1 / (step + 1)}}) + "\\n")
"""


@pytest.mark.parametrize("runs", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_no_event_is_lost_and_nobody_meets_a_lock(installation: Installation, runs: int) -> None:
    request = command(sys.executable, "-I", "-S", "-c", SAYS)
    ids = installation.submit(*[request] * runs)
    failures: list[Exception] = []
    seen: list[int] = []
    done = threading.Event()

    def file_of(job_id: JobId) -> Path:
        return installation.home.attempt(job_id, 1) / EVENTS

    def follow() -> None:
        while not done.is_set():
            try:
                jobs = installation.client.jobs.list(JobQuery(limit=runs))
                seen.append(sum(read(file_of(job.id)).events for job in jobs[:10]))
            except Exception as error:
                failures.append(error)
                return

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        installation.start()
        ended = installation.client.jobs.wait(ids, timeout_s=280)
    finally:
        done.set()
        thread.join()
    assert {job.state.name for job in ended} == {StateName.SUCCEEDED}
    reports = [read(file_of(job_id)) for job_id in ids]
    assert [report.events for report in reports] == [MANY] * runs
    assert not any(report.flagged_count for report in reports)
    assert {dict(job.metrics)["loss"] for job in ended} == {1 / MANY}
    assert not failures and any(0 < events < 10 * MANY for events in seen)
    assert "locked" not in installation.log() and "Traceback" not in installation.log()
