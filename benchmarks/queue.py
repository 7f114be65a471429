"""1,000 jobs of `true`, and submit-to-start latency, beside the peers people would pick.

`uv run python -m benchmarks.queue` prints Markdown tables. Peers: `xargs -P2` (the floor: no queue, no
log, no exit code kept) and task-spooler with two slots (Debian package `task-spooler`).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

import psutil

from benchmarks.measure import Row, machine, running_api, scratch, table, timed, version, wait_for
from jobs.api import Api
from jobs.model import StateName
from jobs.views import NeedsRequest, SubmitRequest

MIB = 2**20


def xargs(jobs: int) -> None:
    numbers = "\n".join(str(i) for i in range(jobs))
    subprocess.run(["xargs", "-P2", "-n1", "true"], input=numbers, text=True, check=True)


def task_spooler(folder: str, jobs: int) -> None:
    tsp = shutil.which("tsp") or shutil.which("ts")
    if tsp is None:
        raise SystemExit("task-spooler is not installed: apt-get install task-spooler")
    environ = os.environ | {
        "TS_SOCKET": f"{folder}/socket",
        "TS_SLOTS": "2",
        "TS_MAXFINISHED": str(jobs + 1),
        "TMPDIR": folder,
    }
    try:
        for _ in range(jobs):
            subprocess.run([tsp, "true"], env=environ, stdout=subprocess.DEVNULL, check=True)
        deadline = time.monotonic() + 300
        while True:
            listing = subprocess.run([tsp], env=environ, capture_output=True, text=True, check=True).stdout
            if not any(f" {word} " in listing for word in ("queued", "running", "allocating")):
                return
            if time.monotonic() > deadline:
                raise TimeoutError("task-spooler did not finish")
            time.sleep(0.005)
    finally:
        subprocess.run([tsp, "-K"], env=environ, check=False)


def ours(api: Api, jobs: int) -> None:
    needs = NeedsRequest(cpus=1, mem_bytes=64 * MIB)
    ids = api.submit([SubmitRequest(argv=("true",), name="true", needs=needs)] * jobs)
    states = {job.state.name for job in api.wait(ids)}
    if states != {StateName.SUCCEEDED}:
        raise RuntimeError(f"not every job succeeded: {states}")


def throughput(folder: Path, jobs: int, rounds: int) -> str:
    rows: dict[str, list[float]] = {
        "xargs -P2": [],
        "cro-tui, two slots": [],
        "task-spooler, two slots": [],
    }
    for _ in range(rounds):
        rows["xargs -P2"].append(timed(lambda: xargs(jobs)))
        with running_api(folder) as api:
            rows["cro-tui, two slots"].append(timed(partial(ours, api, jobs)))
        rows["task-spooler, two slots"].append(
            timed(partial(task_spooler, tempfile.mkdtemp(dir=folder), jobs))
        )
    measured = [Row(name, tuple(seconds), jobs) for name, seconds in rows.items()]
    return table(f"{jobs:,} jobs of `true`, median of {rounds}", measured, "xargs -P2")


def cpu_split(folder: Path, jobs: int, rounds: int) -> str:
    """Whose CPU time it is, by the kernel's own accounts of each process and the children it waited for."""
    parts: dict[str, list[float]] = {
        "scheduler": [],
        "launcher": [],
        "supervisors and jobs": [],
        "client": [],
    }
    for _ in range(rounds):
        with running_api(folder) as api:
            ours(api, 2)  # so that the launcher is there
            daemon = psutil.Process(api.daemon_status().pid)
            (launcher,) = daemon.children()
            before = daemon.cpu_times(), launcher.cpu_times(), time.process_time()
            ours(api, jobs)
            wait_for(lambda: not launcher.children(), "the last supervisor's end")  # noqa: B023
            after = daemon.cpu_times(), launcher.cpu_times(), time.process_time()
        own = [
            now.user + now.system - was.user - was.system
            for now, was in zip(after[:2], before[:2], strict=True)
        ]
        waited = after[1].children_user + after[1].children_system
        waited -= before[1].children_user + before[1].children_system
        for name, seconds in zip(parts, (own[0], own[1], waited, after[2] - before[2]), strict=True):
            parts[name].append(seconds * 1000 / jobs)
    lines = ["| CPU, ms per job | median | min to max |", "| --- | ---: | ---: |"]
    for name, each in parts.items():
        lines.append(f"| {name} | {statistics.median(each):.2f} | {min(each):.2f} to {max(each):.2f} |")
    return "\n".join(lines)


def latency(folder: Path, rounds: int) -> str:
    """From the acknowledged submit to the moment at which the job's own process runs, idle queue."""
    submits: list[float] = []
    waits: list[float] = []
    ends: list[float] = []
    with running_api(folder) as api:
        for number in range(rounds + 3):
            stamp = folder / str(number)
            script = f"date +%s.%N > {stamp}"
            asked = time.time()
            (job_id,) = api.submit([SubmitRequest(argv=("sh", "-c", script), name="stamp")])
            acknowledged = time.time()
            api.wait([job_id])
            seen = time.time()
            ran_at = float(stamp.read_text())
            if number >= 3:  # the first ones warm caches
                submits.append(acknowledged - asked)
                waits.append(ran_at - acknowledged)
                ends.append(seen - ran_at)
            time.sleep(0.2)
    lines = ["**Idle queue**", "", "| | median ms | 95th percentile ms |", "| --- | ---: | ---: |"]
    for name, seconds in (
        ("one submit, on disk when it returns", submits),
        ("acknowledged submit to the job's process running", waits),
        ("the job's last line to the waiting client seeing its end", ends),
    ):
        high = statistics.quantiles(seconds, n=20)[-1]
        lines.append(f"| {name} | {statistics.median(seconds) * 1000:.1f} | {high * 1000:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"{machine()}; {version('xargs', '--version')}; {version('tsp', '-V')}\n")
    with scratch() as folder:
        print(throughput(folder, options.jobs, options.rounds) + "\n")
        print(cpu_split(folder, options.jobs, options.rounds) + "\n")
        print(latency(folder, options.rounds * 10))


if __name__ == "__main__":
    main()
