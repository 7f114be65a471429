"""What MLflow's own client sees of real runs, on a store that nobody had made before."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobs.client import Client
from jobs.core.jobs import Job, JobId, JobSpec, Queued, StateName
from jobs.core.requests import NeedsRequest, SubmitRequest
from jobs.daemon.mlflow_sync import LOG, MlflowSync
from jobs.installation.home import Home
from jobs.installation.settings import Settings
from jobs.records import mlflow_prepared

SETTINGS = """
[jobs]
low_priority = false
[admission]
foreign_cpu_tolerance = 1.0
memory_full_close = 100
memory_some_close = 100
cpu_some_close = 100
[tracking]
mlflow = true
"""
HEADER = """\
# /// script
# [tool.cro]
# title = "Named"
# resources = { cpus = 0.1, mem = "700M" }
# [tool.cro.params]
# rate = { default = 0.5 }
# ///
import json, os, sys
"""
CALLS = HEADER + (
    "import mlflow\nfor step in range(5):\n    mlflow.log_metric('loss', 1 / (step + 1), step=step)\n"
)
REPORTS = HEADER + (
    "with open(os.environ['CRO_EVENTS'], 'a') as file:\n"
    "    for step in range(3):\n"
    "        print(json.dumps({'step': step, 'accuracy': step / 2}), file=file)\n"
    "    print(json.dumps({'model': 'model.joblib', 'flavor': 'sklearn'}), file=file)\n"
    "open(os.environ['CRO_OUTPUT_DIR'] + '/model.joblib', 'wb').write(b'1')\n"
)
# Answers each line with all that MLflow's client finds now.
CLIENT = """
import json, sys, warnings
warnings.simplefilter("ignore")
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1], sys.argv[1])
for _ in sys.stdin:
    experiment = client.get_experiment_by_name("cro-tui").experiment_id
    found = client.search_runs([experiment], "tags.`cro.job` != '0'")
    runs = {
        run.data.tags["cro.job"]: {
            "status": run.info.status,
            "params": run.data.params,
            "tags": run.data.tags,
            "data": [each.dataset.name for each in run.inputs.dataset_inputs],
            "metrics": {
                name: [(each.step, each.value) for each in client.get_metric_history(run.info.run_id, name)]
                for name in run.data.metrics
            },
        }
        for run in found
    }
    models = {
        model.name: {
            "aliases": {alias: int(version) for alias, version in model.aliases.items()},
            "versions": [
                (int(each.version), each.source, bool(each.run_id))
                for each in client.search_model_versions(f"name = '{model.name}'")
            ],
        }
        for model in client.search_registered_models()
    }
    print(json.dumps({"runs": runs, "count": len(found), "models": models}), flush=True)
"""


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    home = Home.find({"CRO_HOME": str(tmp_path / "home")})
    home.make()
    home.settings_file.write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "calls.py").write_text(CALLS)
    (tmp_path / "recipes" / "reports.py").write_text(REPORTS)
    client = Client(home, Settings.load(home.settings_file))
    yield client
    client.scheduler.stop()
    client.close()


class MlflowReader:
    """MLflow's own client in a process of its own, on the store as it is when it is asked."""

    def __init__(self, client: Client) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, mlflow_prepared.uri(client.home.mlflow)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        )

    def finds(self) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.1)


def kill_the_mirror(client: Client) -> None:
    """Whatever it is at; and no scheduler is left that would start another."""
    children = psutil.Process(client.scheduler.status().pid).children()
    mirrors = [each for each in children if "jobs.programs.mlflow_mirror" in each.cmdline()]
    client.scheduler.stop()
    for each in mirrors:
        each.kill()
        each.wait(30)


def tell_the_rest(client: Client) -> None:
    subprocess.run(
        [sys.executable, "-P", "-m", "jobs.programs.mlflow_mirror", client.home.data, "--once"], check=True
    )


def run_all(client: Client, *requests: SubmitRequest, timeout_s: float = 240) -> tuple[JobId, ...]:
    ids = client.jobs.submit(requests)
    client.scheduler.start()
    for job in client.jobs.wait(ids, timeout_s):
        assert job.state.name is StateName.SUCCEEDED, client.runs.log_path(job.id).read_text()
    return ids


def test_runs_models_and_aliases_are_there_as_mlflow_reads_them(client: Client, tmp_path: Path) -> None:
    plain = SubmitRequest(argv=("true",), needs=NeedsRequest(cpus=0.1, mem_bytes=2**25))
    call, report = SubmitRequest(recipe="calls"), SubmitRequest(recipe="reports", params={"rate": 0.25})
    assert not client.home.mlflow.exists()
    *calls, reports, silent = run_all(client, call, call, report, plain)
    card, _ = client.models.register(reports, "named")
    client.models.promote("named", "champion")
    remembered = client.home.mlflow / "told"
    until(lambda: remembered.exists() and len(remembered.read_text().split()) == 4, "every job to be told")
    reader = MlflowReader(client)
    until(lambda: reader.finds()["models"].get("named", {}).get("aliases"), "the alias to be told")
    found = reader.finds()
    assert set(found["runs"]) == {*map(str, calls), str(reports)} and found["count"] == 3
    for job_id in calls:
        called = found["runs"][str(job_id)]
        assert called["metrics"]["loss"] == [[step, 1 / (step + 1)] for step in range(5)]
        assert called["status"] == "FINISHED"
    reported = found["runs"][str(reports)]
    assert reported["status"] == "FINISHED"
    assert reported["metrics"]["accuracy"] == [[0, 0.0], [1, 0.5], [2, 1.0]]
    assert reported["params"] == {"rate": "0.25"}
    assert reported["tags"]["cro.recipe"] == "reports" and float(reported["tags"]["cro.cpu_s"]) > 0
    assert str(tmp_path / "recipes" / "reports.py")[-200:] in reported["data"][0]
    (version,) = found["models"]["named"]["versions"]
    assert version == [1, (client.home.models / "content" / card.digest).as_uri(), True]
    assert found["models"]["named"]["aliases"] == {"champion": 1}
    kill_the_mirror(client)
    remembered.unlink()  # as if killed before anything was remembered
    tell_the_rest(client)
    assert reader.finds() == found
    assert str(silent) not in found["runs"]
    reader.close()


def test_a_recipe_starts_at_once_and_says_why_where_mlflow_cannot_be_told(client: Client) -> None:
    client.home.mlflow.mkdir()
    (client.home.mlflow / mlflow_prepared.DATABASE).write_bytes(b"this is no database" * 500)
    first, later = (run_all(client, SubmitRequest(recipe="reports"))[0] for _ in range(2))
    for job_id in (first, later):
        (how,) = [entry.detail for entry in client.jobs.history(job_id) if entry.event == "running"]
        assert "without MLflow: " in how, "it did not wait until it gave up"
        assert "mlflow.db cannot be used (file is not a database)" in how
    assert "Move the folder" in (client.home.mlflow / LOG).read_text()


def test_a_recipe_is_told_that_mlflow_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    job = Job(JobId(1), JobSpec("a", ("true",), "/", "0" * 40, recipe="a"), Queued(0.0), 0.0)
    home = Home(tmp_path, tmp_path / "settings.toml")
    assert asyncio.run(MlflowSync(home, on=True).variables(job)) == (
        {},
        "without MLflow: MLflow is not installed here. Install cro-tui with its extra: cro-tui[mlflow].",
    )
    assert asyncio.run(MlflowSync(home, on=False).variables(job)) == ({}, "")


def test_a_mirror_that_was_killed_is_not_excused_by_what_an_earlier_one_told(tmp_path: Path) -> None:
    job = Job(JobId(1), JobSpec("a", ("true",), "/", "0" * 40, recipe="a"), Queued(0.0), 0.0)
    home = Home(tmp_path, tmp_path / "settings.toml")
    home.mlflow.mkdir()
    (home.mlflow / LOG).write_text("200 runs are told\n")
    mirrors = MlflowSync(home, on=True)
    mirrors.tick(ended=False)
    assert mirrors._process is not None
    mirrors._process.kill()
    mirrors._process.wait()
    told = asyncio.run(mirrors.variables(job))
    assert told == ({}, "without MLflow: the mirror ended by signal 9")


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_fifty_recipes_at_once_on_a_fresh_store_lose_nothing(client: Client) -> None:
    ids = run_all(client, *[SubmitRequest(recipe="calls") for _ in range(50)], timeout_s=1_000)
    kill_the_mirror(client)
    tell_the_rest(client)
    reader = MlflowReader(client)
    found = reader.finds()["runs"]
    reader.close()
    assert set(found) == set(map(str, ids))
    assert all(len(run["metrics"]["loss"]) == 5 for run in found.values())
