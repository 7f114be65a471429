"""An optimisation by a real controller: it keeps few trials waiting, prunes, and outlives kills."""

from __future__ import annotations

import importlib.util
import os
import signal
from pathlib import Path

import psutil
import pytest

from jobs.core.jobs import JobId
from jobs.core.ports import BadInput
from jobs.core.requests import JobQuery, NeedsRequest, SubmitRequest
from jobs.core.sweeps import is_pruned, score
from tests.daemon.conftest import Installation

# Job 2 waits for a file. Job 5 reports worse than the others and would never end.
RECIPE = """\
# /// script
# requires-python = ">=3.11"
# [tool.cro]
# title = "Climbs"
# metrics = { height = "max", loss = "min" }
# [tool.cro.params]
# x = { default = 0.5, min = 0, max = 1 }
# n = { default = 3, min = 1, max = 9 }
# kind = { type = "choice", choices = ["a", "b"], default = "a" }
# gate.type = "path"
# gate.must_exist = false
# ///
import json, os, time
params, me = json.loads(os.environ["CRO_PARAMS"]), os.environ["CRO_JOB_ID"]
def say(**event):
    with open(os.environ["CRO_EVENTS"], "a") as file:
        file.write(json.dumps(event) + "\\n")
say(step=1, height=-1 if me == "5" else 1 + params["x"])
assert os.environ["SECRET"] and "CRO_RESUME" in os.environ
while me == "5" or me == "2" and not os.path.exists(params["gate"]):
    time.sleep(0.02)
say(step=2, height=1 + params["x"])
"""
PARAMS = {"x": ("0..1",), "n": ("1..9:log",), "kind": ("a", "b")}


@pytest.fixture
def climbs(installation: Installation, cores: float) -> SubmitRequest:
    """Trials that run one at a time."""
    (installation.home.recipes / "climbs.py").write_text(RECIPE)
    needs = NeedsRequest(cpus=cores, mem_bytes=64 * 2**20)
    return SubmitRequest(recipe="climbs", needs=needs, cwd=str(installation.home.data))


def _gate(installation: Installation) -> Path:
    return installation.home.data / "gate"


def _begun(installation: Installation, request: SubmitRequest) -> JobId:
    """An optimisation of six trials, of which the first runs and two wait."""
    controller = installation.client.jobs.optimize(request, PARAMS | {"gate": ("gate",)}, "height", 6)
    installation.start()
    installation.until(lambda: len(installation.client.groups.trials(controller)) == 3, "the first trials")
    installation.until_state(JobId(2), "running")
    return controller


def _log(installation: Installation, controller: JobId) -> str:
    return installation.client.runs.log_path(controller).read_text()


def _asking(data: Path) -> int:
    """The process that asks Optuna: the one whose parent is a controller as well."""
    found = {
        process.pid: process.ppid()
        for process in psutil.process_iter(["cmdline"])
        if "jobs.programs.optimizer" in (words := process.info["cmdline"] or ()) and str(data) in words
    }
    (child,) = (pid for pid, parent in found.items() if parent in found)
    return child


def test_it_prunes_and_goes_on_after_kills_without_a_trial_lost_or_doubled(
    installation: Installation, climbs: SubmitRequest
) -> None:
    client = installation.client
    controller = _begun(installation, climbs)
    os.kill(_asking(installation.home.data), signal.SIGKILL)
    installation.kill()
    installation.until(lambda: "3 trials are there already" in _log(installation, controller), "another")
    assert [job.state.name for job in client.groups.trials(controller)] == ["running", "queued", "queued"]
    installation.start()
    _gate(installation).touch()
    done = installation.until_state(controller, "succeeded", "failed", "lost")
    assert done.state.name == "succeeded", _log(installation, controller)

    sweep = client.groups.summary(JobId(4))
    assert (sweep.first, sweep.size, sweep.ended, sweep.pruned) == (controller, 6, 6, 1)
    assert [job.id for job in client.groups.trials(controller)] == [2, 3, 4, 5, 6, 7]
    (worse,) = (job for job in sweep.jobs if is_pruned(job))
    assert worse.id == 5 and worse.state.name == "cancelled"
    heights = [height for job in sweep.jobs if (height := score(job, "height")) is not None]
    assert len(heights) == 5 and heights == sorted(heights, reverse=True) and len(set(heights)) == 5
    assert dict(done.metrics)["height"] == heights[0]
    for job in sweep.jobs:
        params = dict(job.spec.params)
        assert 0 <= params["x"] <= 1 and params["n"] in range(1, 10) and params["kind"] in ("a", "b")  # type: ignore[operator]


def test_a_cancelled_controller_takes_its_trials_along_and_a_retry_goes_on(
    installation: Installation, climbs: SubmitRequest
) -> None:
    client = installation.client
    controller = _begun(installation, climbs)
    assert set(
        client.groups.ids(JobId(3), frozenset(client.jobs.get(JobId(i)).state.name for i in (1, 3)))
    ) >= {1, 3}
    client.jobs.cancel([controller])
    for job_id in (1, 2, 3, 4):
        installation.until_state(JobId(job_id), "cancelled")
    assert not any(is_pruned(job) for job in client.groups.trials(controller))
    (again,) = client.jobs.retry([controller])
    installation.until_state(again, "succeeded")
    sweep = client.groups.summary(again)
    assert (sweep.first, sweep.ended, len(sweep.jobs)) == (controller, 6, 6)
    assert [job.id for job in client.groups.trials(controller)] == [2, 3, 4, 6, 7, 8]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"x": ("0.9..0.1",)}, "smaller number comes first"),
        ({"x": ("0..2",)}, "from 0 to 1"),
        ({"x": ("0..1:log",)}, "must begin above 0"),
        ({"n": ("1..2.5",)}, "a whole number"),
        ({"n": ("1..9:lin",)}, "LOW..HIGH:log"),
        ({"kind": ("a", "c")}, "one of a, b"),
        ({"y": ("1..2",)}, "has no parameter"),
        ({"x": ("0.5",)}, "no parameter has several"),
    ],
)
def test_a_wrong_space_is_one_sentence_and_queues_nothing(
    installation: Installation, climbs: SubmitRequest, params: dict[str, tuple[str, ...]], said: str
) -> None:
    wished: dict[str, tuple[str, ...]] = {"gate": ("gate",)}
    with pytest.raises(BadInput, match=said):
        installation.client.jobs.optimize(climbs, wished | params, "height", 6)
    assert installation.client.jobs.list(JobQuery()) == ()


def test_without_optuna_or_a_known_metric_nothing_is_queued(
    installation: Installation, climbs: SubmitRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match="height, loss"):
        installation.client.jobs.optimize(climbs, PARAMS | {"gate": ("gate",)}, "depth", 6)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"pip install 'cro-tui\[optimize\]'"):
        installation.client.jobs.optimize(climbs, PARAMS | {"gate": ("gate",)}, "height", 6)
    assert installation.client.jobs.list(JobQuery()) == ()
