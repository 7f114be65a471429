"""1,000 jobs of `true` beside the peers people would pick, and whose CPU time ours cost.

`uv run python -m benchmarks.queue` prints Markdown tables; `--quick` a rough form. Peers: `xargs -P2` (the
floor: no queue, no log, no exit code kept), task-spooler and nq (Debian packages), and the worker pools of
`benchmarks.peers` and joblib's loky. What is not there is left out, and said.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import joblib
import psutil
from joblib.externals.loky import ProcessPoolExecutor

from benchmarks import peers
from benchmarks.measure import (
    Row,
    machine,
    packaged,
    running_client,
    scratch,
    table,
    timed,
    version,
    wait_for,
)
from jobs.client import Client
from jobs.core.jobs import StateName
from jobs.core.requests import NeedsRequest, SubmitRequest

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


def nq(folder: str, jobs: int) -> None:
    """Two queues, as each of them runs one job at a time. It keeps a log and exit code of each."""
    queues = [tempfile.mkdtemp(dir=folder) for _ in range(2)]
    for number in range(jobs):
        environ = os.environ | {"NQDIR": queues[number % 2]}
        subprocess.run(["nq", "-q", "true"], env=environ, stdout=subprocess.DEVNULL, check=True)
    for queue in queues:
        subprocess.run(["nq", "-w"], env=os.environ | {"NQDIR": queue}, check=True)


def ours(client: Client, jobs: int) -> None:
    needs = NeedsRequest(cpus=1, mem_bytes=64 * MIB)
    ids = client.jobs.submit([SubmitRequest(argv=("true",), name="true", needs=needs)] * jobs)
    states = {job.state.name for job in client.jobs.wait(ids)}
    if states != {StateName.SUCCEEDED}:
        raise RuntimeError(f"not every job succeeded: {states}")


def run_true(_: int) -> int:
    return subprocess.run(["true"], check=True).returncode


def loky(jobs: int, rounds: int) -> list[float]:
    """Two workers that are warm before the clock starts."""
    with ProcessPoolExecutor(2) as pool:
        assert list(pool.map(run_true, range(8))) == [0] * 8
        return [timed(lambda: list(pool.map(run_true, range(jobs)))) for _ in range(rounds)]


def throughput(folder: Path, jobs: int, rounds: int, names: Sequence[str]) -> str:
    """Every round runs each of ours and of the commands; the pools have their rounds after them."""
    xargs_row = f"xargs -P2 {version('xargs', '--version').rsplit(' ', 1)[-1]}"
    rows: dict[str, list[float]] = {xargs_row: [], "cro-tui, two slots": []}
    tsp_row, nq_row = f"task-spooler {packaged('task-spooler')}", f"nq {packaged('nq')}, two queues"
    skipped = []
    for row, commands in ((tsp_row, ("tsp", "ts")), (nq_row, ("nq",))):
        if any(map(shutil.which, commands)):
            rows[row] = []
        else:
            skipped.append(f"{row.split()[0]}: not installed")
    for _ in range(rounds):
        rows[xargs_row].append(timed(lambda: xargs(jobs)))
        with running_client(folder) as client:
            rows["cro-tui, two slots"].append(timed(partial(ours, client, jobs)))
        for row, work in ((tsp_row, task_spooler), (nq_row, nq)):
            if row in rows:
                rows[row].append(timed(partial(work, tempfile.mkdtemp(dir=folder), jobs)))
    rows[f"loky of joblib {joblib.__version__}, two workers"] = loky(jobs, rounds)
    for name in names:
        found = peers.measure(name, "true", jobs, rounds)
        if found.seconds:
            rows[f"{name} {found.version}, two workers"] = list(found.seconds)
        else:
            skipped.append(f"{name}: {found.why_not}")
    measured = [Row(name, tuple(seconds), jobs) for name, seconds in rows.items()]
    title = f"{jobs:,} jobs of `true`, median of {rounds}"
    return "\n\n".join([table(title, measured, xargs_row), *(f"Left out: {why}." for why in skipped)])


def waited_for(process: psutil.Process) -> float:
    """CPU seconds of its children that have ended, and of theirs."""
    times = process.cpu_times()
    return float(times.children_user + times.children_system)


def cpu_split(folder: Path, jobs: int, rounds: int) -> str:
    """Whose CPU time it is, by the kernel's own accounts of each process and the children it waited for."""
    parts: dict[str, list[float]] = {
        "scheduler": [],
        "launcher": [],
        "supervisors and jobs": [],
        "client": [],
    }
    for _ in range(rounds):
        with running_client(folder) as client:
            ours(client, 2)  # so that the launcher is there
            daemon = psutil.Process(client.scheduler.status().pid)
            (launcher,) = daemon.children()
            waited_before = waited_for(launcher)
            before = daemon.cpu_times(), launcher.cpu_times(), time.process_time()
            ours(client, jobs)
            after = daemon.cpu_times(), launcher.cpu_times(), time.process_time()
            wait_for(lambda: len(launcher.children()) == 1, "the spare supervisors' end")  # noqa: B023
            waited = waited_for(launcher) - waited_before
        own = [
            now.user + now.system - was.user - was.system
            for now, was in zip(after[:2], before[:2], strict=True)
        ]
        for name, seconds in zip(parts, (own[0], own[1], waited, after[2] - before[2]), strict=True):
            parts[name].append(seconds * 1000 / jobs)
    lines = ["| CPU, ms per job | median | min to max |", "| --- | ---: | ---: |"]
    for name, each in parts.items():
        lines.append(f"| {name} | {statistics.median(each):.2f} | {min(each):.2f} to {max(each):.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--peers", default=",".join(peers.POOLS), help="pools to compare with (or none)")
    parser.add_argument("--quick", action="store_true", help="200 jobs, two rounds")
    options = parser.parse_args()
    jobs, rounds = (options.jobs or 200, 2) if options.quick else (options.jobs or 1000, 5)
    rounds = options.rounds or rounds
    print(f"{machine()}\n")
    with scratch() as folder:
        print(throughput(folder, jobs, rounds, [name for name in options.peers.split(",") if name]) + "\n")
        print(cpu_split(folder, jobs, rounds))


if __name__ == "__main__":
    main()
