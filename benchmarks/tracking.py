"""What tracking adds to a job: 10 parameters and 100 metrics by our lines and by MLflow's own calls, and a
job of one second without reports, with them, and with them mirrored to MLflow. Our lines are written by the
shipped recipes' own `report`.

`uv run python -m benchmarks.tracking [--rounds 15]`. MLflow runs in a process of its own, on a store that
is there already; its import is measured apart. Jobs are recipes of a real scheduler, one at a time. They do
not stand back here, so that others' load meets them as it meets any program.
"""

from __future__ import annotations

import argparse
import inspect
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from benchmarks.measure import machine, running_client, scratch
from jobs.client import Client
from jobs.core.jobs import JobId, Succeeded
from jobs.core.requests import NeedsRequest, SubmitRequest
from recipes.library.kit.job import report

REPORT = f"OPENED, OWNER = {{}}, os.getpid()\n\n{inspect.getsource(report)}"
OURS = f"""
import os
os.environ["CRO_EVENTS"] = sys.argv[1]
{REPORT}
def lines():
    report(params=PARAMS)
    for step in range(100):
        report(step=step, loss=1 / (step + 1))

WAYS = {{"lines, as recipes report": lines}}
"""
THEIRS = """
import os
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
cpu, wall = time.process_time(), time.perf_counter()
import mlflow
IMPORT_S = time.process_time() - cpu, time.perf_counter() - wall
from mlflow.entities import Metric, Param
mlflow.set_tracking_uri("sqlite:///" + sys.argv[1])
mlflow.set_experiment("bench")
client = mlflow.MlflowClient()

def each():
    with mlflow.start_run():
        for name, value in PARAMS.items():
            mlflow.log_param(name, value)
        for step in range(100):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)

def tens():
    with mlflow.start_run():
        mlflow.log_params(PARAMS)
        for start in range(0, 100, 10):
            mlflow.log_metrics({f"loss{n}": 1 / (start + n + 1) for n in range(10)}, step=start)

def batch():
    with mlflow.start_run() as run:
        metrics = [Metric("loss", 1 / (step + 1), 0, step) for step in range(100)]
        client.log_batch(run.info.run_id, metrics, [Param(*each) for each in PARAMS.items()])

WAYS = {
    "mlflow, log_metric x 100": each,
    "mlflow, 10 x log_metrics of 10": tens,
    "mlflow, one log_batch": batch,
}
"""
MEASURED = """
import json, sys, time
PARAMS = {f"p{n}": str(n) for n in range(10)}
IMPORT_S = 0.0, 0.0
#WAYS
found = {"mlflow, its import": IMPORT_S}
for name, way in WAYS.items():
    way()
    rounds = []
    for _ in range(int(sys.argv[2])):
        cpu, wall = time.process_time(), time.perf_counter()
        way()
        rounds.append((time.process_time() - cpu, time.perf_counter() - wall))
    found[name] = [sorted(column)[len(rounds) // 2] for column in zip(*rounds)]
print(json.dumps(found))
"""
JOB = f"""\
# /// script
# [tool.cro]
# title = "A second"
# resources = {{ cpus = 0.1, mem = "64M" }}
# ///
import json, os, sys, time

{REPORT}
if REPORTS:
    report(params={{f"p{{n}}": str(n) for n in range(10)}})
for step in range(100):
    time.sleep(0.01)
    if REPORTS:
        report(step=step, loss=1 / (step + 1))
"""
CALM = """
[admission]
foreign_cpu_tolerance = 1.0
memory_full_close = 100
memory_some_close = 100
cpu_some_close = 100
[jobs]
low_priority = false
"""


def calls(script: str, file: Path, rounds: int) -> Mapping[str, tuple[float, float]]:
    """CPU and wall seconds of each way, medians."""
    words = [sys.executable, "-W", "ignore", "-c", MEASURED.replace("#WAYS", script)]
    words += [str(file), str(rounds)]
    done = subprocess.run(words, capture_output=True, check=True, text=True)
    return {name: (cpu, wall) for name, (cpu, wall) in json.loads(done.stdout.splitlines()[-1]).items()}


def prepared(client: Client) -> Client:
    for name, reports in (("silent", False), ("says", True)):
        text = JOB.replace("REPORTS", str(reports))
        (client.home.recipes / f"{name}.py").write_text(text)
    return client


def second(client: Client, recipe: str) -> tuple[float, float]:
    """CPU and wall seconds of one such job, as the scheduler has them."""
    (job_id,) = client.jobs.submit([SubmitRequest(recipe=recipe, needs=NeedsRequest(cpus=0.1))])
    return _took(client, job_id)


def _took(client: Client, job_id: JobId) -> tuple[float, float]:
    (job,) = client.jobs.wait([job_id], timeout_s=120)
    assert isinstance(job.state, Succeeded), client.runs.log_path(job_id).read_text()
    return job.state.usage.cpu_s or 0.0, job.state.finished_at - job.state.started_at


def jobs(folder: Path, rounds: int) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    with ExitStack() as stack:
        plain = prepared(stack.enter_context(running_client(folder, CALM)))
        mirrored = prepared(
            stack.enter_context(running_client(folder, CALM + "[tracking]\nmlflow = true\n"))
        )
        second(mirrored, "says")  # its store is being made
        cases = {
            "says nothing": (plain, "silent"),
            "reports": (plain, "says"),
            "reports, and is mirrored to MLflow": (mirrored, "says"),
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
        for _ in range(rounds):  # in turn, so that others' load meets all alike
            for name, (client, recipe) in cases.items():
                found[name].append(second(client, recipe))
        yield from found.items()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(machine())
    with scratch() as folder:
        found = {**calls(OURS, folder / "events.jsonl", rounds)}
        found.pop("mlflow, its import")
        found |= calls(THEIRS, folder / "mlflow.db", rounds)
        base_cpu, base_wall = found["lines, as recipes report"]
        print(
            f"\n| 10 parameters and 100 metrics, medians of {rounds} | CPU ms | ratio | wall ms | ratio |"
        )
        print("| --- | ---: | ---: | ---: | ---: |")
        for name, (cpu, wall) in found.items():
            print(f"| {name} | {cpu * 1e3:.2f} | {cpu / base_cpu:.0f} | ", end="")
            print(f"{wall * 1e3:.2f} | {wall / base_wall:.0f} |")
        print(f"\n| a job of one second, medians of {rounds} | CPU ms | wall ms | ms more of wall |")
        print("| --- | ---: | ---: | ---: |")
        silent_s = 0.0
        for name, took in jobs(folder, rounds):
            cpu, wall = (statistics.median(column) for column in zip(*took, strict=True))
            silent_s = silent_s or wall
            print(f"| {name} | {cpu * 1e3:.1f} | {wall * 1e3:.1f} | {(wall - silent_s) * 1e3:.1f} |")


if __name__ == "__main__":
    main()
