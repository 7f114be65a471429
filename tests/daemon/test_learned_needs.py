"""What runs used is reserved by the next ones; out of memory is tried again: real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.core.jobs import MIB, JobId, Running
from jobs.core.requests import NeedsRequest, SubmitRequest
from tests.daemon.conftest import Installation

RECIPE = """
# /// script
# requires-python = ">=3.11"
# [tool.cro]
# title = "Holds memory"
# framework = "none"
# kind = "train"
# resources = {{ cpus = 0.5, mem = "{declared}M", time = "1m" }}
# repeatable = true
# [tool.cro.params]
# hold = {{ default = {hold}, min = 1 }}
# ///
import argparse
import time

parser = argparse.ArgumentParser()
parser.add_argument("--hold", type=int, default={hold})
held = bytearray(b"x") * (parser.parse_args().hold << 20)
time.sleep(0.3)
print("held", flush=True)
"""


@pytest.fixture
def at_work(installation: Installation) -> Installation:
    installation.start()
    return installation


def holder(installation: Installation, *, declared: int, hold: int) -> SubmitRequest:
    folder = Path(installation.home.recipes)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "holder.py").write_text(RECIPE.format(declared=declared, hold=hold))
    return SubmitRequest(recipe="holder")


def story(installation: Installation, job_id: JobId) -> list[str]:
    return [entry.event for entry in installation.client.jobs.history(job_id)]


def test_after_some_runs_a_job_reserves_what_they_used(at_work: Installation) -> None:
    request = holder(at_work, declared=900, hold=100)
    first = at_work.submit(*[request] * 5)
    assert {job.state.name for job in at_work.client.jobs.wait(first, timeout_s=60)} == {"succeeded"}
    foreseen = at_work.client.forecasts.preview(request)
    assert foreseen.needs is not None
    assert foreseen.learned is not None
    assert foreseen.needs.mem_bytes == 900 * MIB
    assert 100 * MIB < foreseen.learned.mem_bytes < 300 * MIB
    assert foreseen.learned_runs == 5
    (job_id,) = at_work.submit(request)
    at_work.until(lambda: isinstance(at_work.client.jobs.get(job_id).state, Running), "the next run")
    job = at_work.client.jobs.get(job_id)
    assert job.needs.mem_bytes == foreseen.learned.mem_bytes
    assert job.mem_limit_bytes == 900 * MIB, "what was declared still limits it"
    named = SubmitRequest(recipe="holder", needs=NeedsRequest(mem_bytes=500 * MIB))
    (named_id,) = at_work.submit(named)
    (ended, _) = at_work.client.jobs.wait([named_id, job_id], timeout_s=60)
    assert ended.needs.mem_bytes == 500 * MIB


def test_what_ran_out_of_memory_is_tried_again_with_more(at_work: Installation) -> None:
    (job_id,) = at_work.submit(holder(at_work, declared=64, hold=150))
    (job,) = at_work.client.jobs.wait([job_id], timeout_s=90)
    assert job.state.name == "succeeded", at_work.client.jobs.history(job_id)
    assert job.memory_tries in (1, 2)
    assert job.attempts == 1 + job.memory_tries
    assert story(at_work, job_id).count("ran out of memory") == job.memory_tries
    assert at_work.client.runs.log_path(job_id).read_text() == "held\n"


def test_the_persons_own_limit_ends_it(at_work: Installation) -> None:
    request = holder(at_work, declared=900, hold=150)
    (job_id,) = at_work.submit(SubmitRequest(recipe=request.recipe, needs=NeedsRequest(mem_bytes=64 * MIB)))
    (job,) = at_work.client.jobs.wait([job_id], timeout_s=60)
    assert job.state.name == "out_of_memory"
    assert job.attempts == 1
