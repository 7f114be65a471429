"""Long lists of runs: opening one of 10,000, paging through it, and comparing a sweep of 10,000.

`uv run python -m benchmarks.runs`, `--runs N` for another number. Real rows in a database on disk, written
by the scheduler's own store; CPU milliseconds of this process, medians of 20.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import machine, scratch
from cro_tui.widgets.parallel import axes_of, drawn_of, line_of, picture
from jobs.client import Client
from jobs.core.jobs import Job, JobId, JobSpec, Queued, Succeeded, Usage
from jobs.core.requests import JobGroup, JobQuery
from jobs.core.sweeps import GroupRuns, ranked
from jobs.installation.home import Home
from jobs.installation.settings import Settings
from jobs.store.intents import Intents, NewGroup
from jobs.store.writer import Store

TIMES = 20
FOLDED = JobQuery(folded=True)
JUDGED_BY = (("accuracy", "max"), ("log_loss", "min"))


def specs(number: int, rng: random.Random) -> list[JobSpec]:
    """Runs of a recipe with parameters as a search would propose them."""
    made = []
    for at in range(number):
        params = (
            ("n_estimators", rng.randrange(10, 500)),
            ("max_depth", rng.randrange(2, 32)),
            ("rate", 10 ** rng.uniform(-4, 0)),
            ("data", "digits"),
        )
        flags = [word for name, value in params for word in (f"--{name}", str(value))]
        argv = ("/usr/bin/python", "/home/ana/recipes/forest.py", *flags)
        made.append(JobSpec(f"forest t{at}", argv, "/home/ana", "0" * 40, recipe="forest", params=params))
    return made


def fill(client: Client, number: int, *, sweep: bool, ended: bool, rng: random.Random) -> None:
    """Queue so many, take them in, and let them end, as the scheduler would write it down."""
    client.home.make()
    group = NewGroup("forest", number, JUDGED_BY) if sweep else None
    intents = Intents(client.home.database)
    intents.submit(specs(number, rng), time.time(), sweep=sweep, group=group)
    intents.close()
    store = Store(client.home.database)
    while found := store.intents(5_000):
        for intent in found:
            job = Job(JobId(intent.job_id or 0), intent.body, Queued(intent.at), intent.at)
            store.insert(job)
            if ended:
                state = Succeeded(time.time() - 60, time.time(), Usage(cpu_s=50.0, peak_mem_bytes=1 << 28))
                score = rng.random()
                store.save(
                    replace(
                        job, state=state, attempts=1, metrics=(("accuracy", score), ("log_loss", 1 - score))
                    )
                )
        store.drop_intents([intent.id for intent in found])
        store.commit()
    store.close()


def measured(name: str, aim: str, work: Callable[[], object], times: int = TIMES) -> str:
    cpu, wall = [], []
    for _ in range(times):
        before, began = time.process_time(), time.perf_counter()
        work()
        cpu.append((time.process_time() - before) * 1000)
        wall.append((time.perf_counter() - began) * 1000)
    spread = f"{min(cpu):.1f} to {max(cpu):.1f}"
    return f"| {name} | {aim} | {statistics.median(cpu):.1f} | {spread} | {statistics.median(wall):.1f} |"


def drawn(runs: GroupRuns, size: tuple[int, int]) -> int:
    """What the dialog does with the runs: ranks them and draws their lines."""
    metric = runs.metrics[0]
    order = ranked(runs, metric)
    axes, _ = axes_of(runs, metric, size[0])
    lines = [line_of(axes, runs, metric, place) for place in drawn_of(order, runs, metric)]
    return len(picture(axes, lines, lines[0], lines[-1], size, ascii_only=False))


def pages(client: Client) -> int:
    """The whole list, page by page, as the screen asks for it."""
    rows, seen = client.jobs.rows(replace(FOLDED, limit=500)), 0
    while rows:
        seen += len(rows)
        last = rows[-1]
        job = last.foremost if isinstance(last, JobGroup) else last
        end = (getattr(job.state, "finished_at", 0.0), job.id)
        rows = client.jobs.rows(replace(FOLDED, limit=500, before=end))
    return seen


def a_client(folder: Path, name: str) -> Client:
    home = Home.find({**os.environ, "CRO_HOME": str(folder / name)})
    return Client(home, Settings())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    number = parser.parse_args().runs
    rng = random.Random(7)
    lines = ["| | aim, ms | CPU ms | min to max | wall ms |", "| --- | ---: | ---: | ---: | ---: |"]
    print(f"{machine()}\n")
    with scratch() as folder:
        with a_client(folder, "alone") as client:
            fill(client, number, sweep=False, ended=True, rng=rng)
            lines.append(
                measured(
                    f"list of {number:,} ended runs, opened", "100", lambda: client.jobs.snapshot(FOLDED)
                )
            )
            middle = replace(FOLDED, limit=500, before=_end(client))
            lines.append(measured("a page of 500 further down", "-", lambda: client.jobs.rows(middle)))
            lines.append(measured("all of its pages, one after the other", "-", lambda: pages(client), 5))
            whole = JobQuery(limit=number)
            lines.append(measured("the same in one read", "-", lambda: client.jobs.list(whole), 5))
        with a_client(folder, "sweep") as client:
            fill(client, number, sweep=True, ended=True, rng=rng)
            lines.append(
                measured(
                    f"list with a sweep of {number:,}, opened", "100", lambda: client.jobs.snapshot(FOLDED)
                )
            )
            first = JobId(1)
            lines.append(
                measured(f"runs of a sweep of {number:,}, read", "-", lambda: client.groups.runs(first))
            )
            runs = client.groups.runs(first)
            lines.append(measured("and ranked and drawn, 116x24", "-", lambda: drawn(runs, (116, 24))))
            both = lambda: drawn(client.groups.runs(first), (116, 24))  # noqa: E731
            lines.append(measured("both: the comparison, opened", "100", both))
        with a_client(folder, "queued") as client:
            fill(client, 10 * number, sweep=True, ended=False, rng=rng)
            name = f"list with a sweep of {10 * number:,} queued, opened"
            lines.append(measured(name, "100", lambda: client.jobs.snapshot(FOLDED)))
            lines.append(measured("the same, unfolded", "-", lambda: client.jobs.snapshot(JobQuery())))
    print("\n".join(lines))


def _end(client: Client) -> tuple[float, int]:
    rows = client.jobs.rows(FOLDED)
    last = rows[-1]
    assert isinstance(last, Job) and isinstance(last.state, Succeeded)
    return last.state.finished_at, last.id


if __name__ == "__main__":
    main()
