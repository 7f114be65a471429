"""A very long queue: a sweep submitted, one more job behind it, a scheduler killed over it, an idle one.

`uv run python -m benchmarks.scale`, `--quick` for one round. Every figure is of the real
scheduler on a state folder on disk.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks.measure import machine, running_client, scratch, timed, wait_for
from jobs.client import Client
from jobs.core.jobs import StateName
from jobs.core.requests import NeedsRequest, SubmitRequest

QUEUED = 100_000
RUNNING = 100
SETTINGS = """[admission]
foreign_cpu_tolerance = 1.0
mem_headroom_fraction = 0.0
memory_some_close = 100
memory_full_close = 100
cpu_some_close = 100
"""
TINY = NeedsRequest(cpus=0.005, mem_bytes=2**20)


def sweep(jobs: int) -> list[SubmitRequest]:
    """As many different commands that need a whole core each."""
    return [SubmitRequest(argv=("true", str(number)), needs=NeedsRequest(cpus=1)) for number in range(jobs)]


def shown(name: str, aim: str, seconds: Sequence[float]) -> str:
    ordered = sorted(each * 1000 for each in seconds)
    return f"| {name} | {aim} | {statistics.median(ordered):.1f} | {ordered[0]:.1f} to {ordered[-1]:.1f} |"


def one_submit(client: Client) -> float:
    return timed(lambda: client.jobs.submit([SubmitRequest(argv=("true",), start_held=True)]))


def commands(client: Client, times: int) -> tuple[list[float], list[float]]:
    """Wall and CPU seconds of `cro-tui submit -- true`, a process each."""
    environ = {**os.environ, "CRO_HOME": str(client.home.data)}
    program = str(Path(sys.executable).parent / "cro-tui")
    wall, cpu = [], []
    for _ in range(times):
        before = os.times()
        wall.append(
            timed(
                lambda: subprocess.run(
                    [program, "submit", "--hold", "--", "true"],
                    env=environ,
                    check=True,
                    capture_output=True,
                )
            )
        )
        after = os.times()
        cpu.append(
            after.children_user + after.children_system - before.children_user - before.children_system
        )
    return wall, cpu


def killed(client: Client) -> float:
    """Seconds from the start of a new scheduler, after kill -9, to the first job that it starts."""
    pid = client.scheduler.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not client.scheduler.status().running, "the lock to be free")
    began = time.perf_counter()
    (job_id,) = client.jobs.submit([SubmitRequest(argv=("sleep", "600"), needs=TINY, priority=100)])
    client.scheduler.start()
    while client.jobs.get(job_id).state.name not in (StateName.RUNNING, StateName.STARTING):
        time.sleep(0.002)
    took_s = time.perf_counter() - began
    client.jobs.cancel([job_id])
    return took_s


def idle(client: Client, over_s: float) -> str:
    """Memory, CPU and wake-ups of a scheduler that has nothing to do."""
    process = psutil.Process(client.scheduler.status().pid)
    before, switches = process.cpu_times(), process.num_ctx_switches().voluntary
    time.sleep(over_s)
    after = process.cpu_times()
    cpu = 100 * (after.user + after.system - before.user - before.system) / over_s
    wakes = (process.num_ctx_switches().voluntary - switches) / over_s
    held = process.memory_full_info()
    return (
        f"Idle scheduler: {held.rss / 2**20:.0f} MiB resident ({held.uss / 2**20:.0f} its own), "
        f"{cpu:.2f} % of a core, {wakes:.1f} wake-ups a second"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--quick", action="store_true", help="one round, a short look at the idle scheduler"
    )
    options = parser.parse_args()
    rounds, idle_s = (1, 5.0) if options.quick else (options.rounds, 30.0)
    print(f"{machine()}\n")
    lines = ["| | aim, ms | median ms | min to max |", "| --- | ---: | ---: | ---: |"]
    whole, seen, restarts = [], [], []
    with scratch() as folder:
        with running_client(folder, SETTINGS) as client:
            print(idle(client, idle_s) + "\n")
            one_submit(client)
            lines.append(shown("one submit, empty queue", "2", [one_submit(client) for _ in range(50)]))
            wall, cpu = commands(client, 15)
            lines.append(shown("`cro-tui submit`, a process", "80", wall))
            lines.append(shown("its CPU time", "-", cpu))
            lines.append(shown("a picture for the screen, empty queue", "-", pictures(client)))
        for number in range(rounds):
            with running_client(folder, SETTINGS) as client:
                cores = int(client.machine.capacity().cpus)
                blockers = [SubmitRequest(argv=("sleep", "600"), needs=NeedsRequest(cpus=1), priority=90)]
                client.jobs.submit(blockers * (cores - 1))
                tiny = SubmitRequest(argv=("sleep", "600"), needs=TINY, priority=90)
                held = client.jobs.submit([tiny] * RUNNING)
                wait_for(
                    lambda ids=held: all(client.jobs.get(i).state.name is StateName.RUNNING for i in ids),  # type: ignore[misc]
                    "the running jobs",
                )
                requests = sweep(QUEUED)
                began = time.perf_counter()
                whole.append(timed(lambda r=requests: client.jobs.submit(r)))  # type: ignore[misc]
                wait_for(
                    lambda: counts(client).get(StateName.QUEUED, 0) >= QUEUED and not unseen(client),
                    "intake",
                    120,
                )
                seen.append(time.perf_counter() - began)
                if number == 0:
                    behind = [one_submit(client) for _ in range(50)]
                    full = pictures(client)
                    newest = client.jobs.submit([SubmitRequest(argv=("true",), start_held=True)])[0]
                    one = [timed(lambda: client.jobs.get(newest)) for _ in range(20)]  # noqa: B023
                restarts.append(killed(client))
                client.scheduler.stop()
                for process in psutil.process_iter(["cmdline"]):
                    if process.info["cmdline"] == ["sleep", "600"]:
                        process.kill()
    lines.append(shown(f"one submit, {QUEUED:,} queued", "2", behind))
    lines.append(shown(f"a picture for the screen, {QUEUED:,} queued", "150", full))
    lines.append(shown(f"one job's record, {QUEUED:,} queued", "-", one))
    lines.append(shown(f"a sweep of {QUEUED:,} jobs, accepted", "2000", whole))
    lines.append(shown("and read by the scheduler", "-", seen))
    lines.append(
        shown(f"kill -9 over {RUNNING} running, {QUEUED:,} queued: to the next start", "1000", restarts)
    )
    print("\n".join(lines))


def pictures(client: Client) -> list[float]:
    return [timed(client.jobs.snapshot) for _ in range(20)]


def counts(client: Client) -> dict[StateName, int]:
    return dict(client.jobs.snapshot().counts)


def unseen(client: Client) -> bool:
    """Whether submits wait to be read."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(client.home.database)) as connection:
        row = connection.execute("SELECT jobs FROM tallies WHERE state = 'not_seen'").fetchone()
    return bool(row and row[0])


if __name__ == "__main__":
    main()
