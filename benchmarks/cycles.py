"""How long one cycle of the scheduler takes: on an empty queue, behind 100,000 jobs, while a sweep is read.

`uv run python -m benchmarks.cycles`, `--quick` for 20,000. The scheduler has clocks around its parts
(`benchmarks.watched`); small jobs of high priority come and go all the time, so every cycle has work.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import SPREAD, machine, scratch, spread, wait_for
from benchmarks.scale import SETTINGS, TINY, counts, sweep, unseen
from benchmarks.watched import Span, watched_client
from jobs.client import Client
from jobs.core.jobs import StateName
from jobs.core.requests import NeedsRequest, SubmitRequest

PARTS = ("Daemon._work", "Daemon._hear", "Cycle.take_intents", "Cycle.decide", "Cycle.commit")
PAUSE_S = 0.02
SMALL = SubmitRequest(argv=("true",), needs=TINY, priority=100)


class Window:
    """From when to when one thing was measured, and how soon a submitted job had ended in it."""

    def __init__(self, client: Client, goes_on: Callable[[], bool]) -> None:
        self.began = time.monotonic()
        self.round_trips_s: list[float] = []
        while goes_on():
            asked = time.monotonic()
            client.jobs.wait(client.jobs.submit([SMALL]))
            self.round_trips_s.append(time.monotonic() - asked)
            time.sleep(PAUSE_S)
        self.ended = time.monotonic()


def count_down(jobs: int) -> Callable[[], bool]:
    left = iter(range(jobs))
    return lambda: next(left, None) is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queued", type=int)
    parser.add_argument("--jobs", type=int, help="small jobs in each window")
    parser.add_argument("--quick", action="store_true", help="20,000 queued, 50 small jobs")
    options = parser.parse_args()
    queued = options.queued or (20_000 if options.quick else 100_000)
    jobs = options.jobs or (50 if options.quick else 300)
    print(f"{machine()}\n")
    with scratch() as folder:
        file = folder / "spans"
        windows = measured(folder, file, queued, jobs)
        spans = Span.read(file)
    print(SPREAD)
    for name, window in windows.items():
        inside = [span for span in spans if window.began <= span.began < window.ended]
        for part in PARTS:
            seconds = [span.ended - span.began for span in inside if span.name == part]
            if seconds:
                label = "a whole cycle" if part == PARTS[0] else f"of it {part}"
                print(spread(f"{name}: {label}", seconds))
        print(spread(f"{name}: a small job, submit to its end seen", window.round_trips_s))
        cpu_s = sum(span.cpu_s for span in inside if span.name == PARTS[0])
        share = 100 * cpu_s / (window.ended - window.began)
        print(f"| {name}: CPU of all cycles, % of a core | | {share:.0f} | | | |")


def measured(folder: Path, file: Path, queued: int, jobs: int) -> dict[str, Window]:
    with watched_client(folder, file, SETTINGS) as client:
        client.jobs.wait(client.jobs.submit([SMALL] * 5))
        windows = {"empty queue": Window(client, count_down(jobs))}
        blocker = SubmitRequest(argv=("sleep", "3600"), needs=NeedsRequest(cpus=1), priority=90)
        blockers = client.jobs.submit([blocker] * (int(client.machine.capacity().cpus) - 1))
        half = client.jobs.submit(
            [SubmitRequest(argv=("sleep", "3600"), needs=NeedsRequest(cpus=0.5), priority=90)]
        )
        held = [*blockers, *half]  # less than a core is left, enough for the small ones
        wait_for(
            lambda: all(client.jobs.get(i).state.name is StateName.RUNNING for i in held),
            "the running jobs",
        )
        accepted = client.jobs.submit(sweep(queued))
        windows["while the sweep is read"] = Window(client, lambda: unseen(client))
        wait_for(lambda: counts(client).get(StateName.QUEUED, 0) >= queued, "intake", 120)
        windows[f"{len(accepted):,} queued"] = Window(client, count_down(jobs))
        client.jobs.cancel(held)
        return windows


if __name__ == "__main__":
    main()
