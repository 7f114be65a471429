"""How well the scheduler orders: traces replayed around the product's own `decide`, beside what others do.

`uv run python -m benchmarks.scheduling --traces FOLDER` (CSV and SWF files); `--quick` for 1,000 jobs of
each, `--campaign`, `--coverage`, `--shaken` for the other tables, `--only` for some of the policies.
Deterministic. Others are written here on the product's own rooms and reservations, so that only the order
and the estimates differ; strict FIFO is a task-spooler, FIFO per group a pueue, multifactor a Slurm.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from benchmarks.measure import machine
from benchmarks.packing import packing_bound_s
from jobs.core.jobs import Job, Queued
from jobs.core.machine import Capacity
from jobs.core.rules import SchedulerSettings
from jobs.core.world import Plan, Start, World
from jobs.policy.backfill import new_allocation, start_pass
from jobs.policy.free_resources import free_resources
from jobs.policy.order import Order
from jobs.simulation.metrics import Figures, bound_s, figures
from jobs.simulation.replay import Knowledge, Setting, calm_settings, machine_of, replay
from jobs.simulation.trace import TraceJob, on_box, read_csv, read_swf

BOXES = {"A": (64, 256, 8), "B": (16, 64, 2)}
LOADS = (0.7, 0.9)
SHAKES = 6
WEEK_S = 7 * 86_400.0


# --- what others do ------------------------------------------------------------------------------------


def waiting(world: World) -> list[Job]:
    """In the order in which they came."""
    found = [job for job in world.jobs.values() if isinstance(job.state, Queued)]
    return sorted(found, key=lambda job: job.id)


def lanes(world: World, split: Callable[[Job], bool]) -> Plan:
    """First come first served, one lane for each side of the split; nobody passes anybody in a lane."""
    room, starts = free_resources(world), list[Start]()
    for side in (True, False):
        for job in waiting(world):
            if split(job) is not side:
                continue
            grant = room.place(job.spec.needs)
            if grant is None:
                break
            room.take(new_allocation(job.id, job.spec.needs, grant, None, world.now))
            starts.append(Start(job.id, grant))
    return Plan(tuple(starts))


def strict_fifo(world: World) -> Plan:
    return lanes(world, lambda job: True)


def fifo_per_group(world: World) -> Plan:
    return lanes(world, lambda job: job.spec.needs.gpus > 0)


def first_fit(world: World) -> Plan:
    return ordered(world, waiting(world), 0)


def easy(world: World) -> Plan:
    return ordered(world, waiting(world), 1)


def shortest_first(world: World) -> Plan:
    return ordered(world, sorted(waiting(world), key=run_s), 1)


def smallest_first(world: World) -> Plan:
    order = Order.of(world)
    return ordered(
        world, sorted(waiting(world), key=lambda job: run_s(job) * order.share(job.spec.needs)), 1
    )


def multifactor(world: World) -> Plan:
    """Age, fair share and small size with weights 1 : 2 : 0.5; age counts up to a week."""
    order = Order.of(world)
    active = [used for used in world.usage.values() if used > 1.0]
    mean = max(1.0, math.fsum(sorted(world.usage.values())) / max(1, len(active)))

    def worth(job: Job) -> float:
        age = min(1.0, (world.now - job.submitted_at) / WEEK_S)
        fair = math.pow(2.0, -world.usage.get(job.spec.user, 0.0) / mean)
        return age + 2 * fair + 0.5 * (1 - order.share(job.spec.needs))

    return ordered(world, sorted(waiting(world), key=lambda job: -worth(job)), 1)


def ordered(world: World, jobs: Sequence[Job], reserved: int) -> Plan:
    result = start_pass(free_resources(world), jobs, world.now, reserved)
    return Plan(tuple(Start(job.id, grant) for job, grant in result.starts))


def run_s(job: Job) -> float:
    if job.forecast is not None:
        return job.forecast.run_s
    return job.spec.needs.time_limit_s or 600.0


OURS = calm_settings(SchedulerSettings(learned_order=True, evict=True))
PLAIN = calm_settings(SchedulerSettings(learned_order=False, evict=False))


def other(
    plan: Callable[[World], Plan], knowledge: Knowledge = Knowledge.LIMITS, *, whole: bool = True
) -> Setting:
    return Setting(PLAIN, knowledge, plan=plan, whole_queue=whole)


POLICIES = {
    "FIFO (task-spooler)": other(strict_fifo),
    "FIFO per group (pueue)": other(fifo_per_group),
    "first-fit, no reservation": other(first_fit),
    "EASY, user limits": other(easy),
    "Slurm-like multifactor + EASY": other(multifactor),
    "EASY, learned": other(easy, Knowledge.LEARNED),
    "SAF + EASY, learned": other(smallest_first, Knowledge.LEARNED),
    "**cro-tui**": Setting(OURS),
    "EASY, true run times": other(easy, Knowledge.TRUTH),
    "SJF + EASY, true run times": other(shortest_first, Knowledge.TRUTH),
    "SAF + EASY, true run times": other(smallest_first, Knowledge.TRUTH),
    "SAF + eviction, true run times": Setting(
        replace(OURS, fair_weight=0.0, ageing_s=1e12, overdue_times=0.0), Knowledge.TRUTH
    ),
}
YARDSTICK, SAFE, MINE = "EASY, user limits", "SAF + EASY, learned", "**cro-tui**"


# --- what is replayed ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scenario:
    """Some jobs of a trace on a box; `load` None: all come at once. `shake`: the seed of a small change."""

    file: Path
    window: str  # "last" or "first"
    size: str
    load: float | None
    jobs: int
    shake: int = 0

    @property
    def name(self) -> str:
        load = "campaign" if self.load is None else f"{self.size} {self.load:g}"
        return f"{self.file.stem} {self.window} {load}" + (f" shaken {self.shake}" if self.shake else "")

    def load_trace(self) -> tuple[Capacity, tuple[TraceJob, ...]]:
        text, capacity = self.file.read_text(), machine_of(*BOXES[self.size])
        trace = read_swf(text) if self.file.suffix == ".swf" else read_csv(text)
        if self.window == "first":
            trace = on_box(trace, capacity, 1.0, last=len(trace))
            trace = tuple(sorted(trace, key=lambda job: job.submit_s))[: self.jobs]
        trace = on_box(trace, capacity, self.load, last=self.jobs)
        if self.shake:
            draw = random.Random(self.shake)
            trace = tuple(
                sorted(
                    (replace(job, submit_s=job.submit_s + draw.uniform(0, 600)) for job in trace),
                    key=lambda job: job.submit_s,
                )
            )
        return capacity, trace


@dataclass(frozen=True)
class Row:
    scenario: Scenario
    policy: str
    coverage: float
    figures: Figures
    bound_s: float


def measured(job: tuple[Scenario, str, float]) -> Row:
    scenario, policy, coverage = job
    capacity, trace = scenario.load_trace()
    setting = replace(POLICIES[policy], coverage=coverage)
    found = figures(trace, capacity, replay(trace, capacity, setting))
    least_s = bound_s(trace, capacity) if scenario.load is not None else packing_bound_s(trace, capacity)
    return Row(scenario, policy, coverage, found, least_s)


def rows(work: Sequence[tuple[Scenario, str, float]], workers: int) -> Iterator[Row]:
    if workers <= 1:
        yield from map(measured, work)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(measured, work)


# --- tables --------------------------------------------------------------------------------------------

HEAD = (
    "| policy | slowdown | its p95 | wait, min | p95, h | worst, h | makespan / bound | busy | Jain "
    "| largest tenth | evictions | lost | us |\n| --- |" + " ---: |" * 12
)


def line(row: Row) -> str:
    f = row.figures
    name = row.policy + ("" if row.coverage >= 1 else f", {row.coverage:.0%} can save")
    return (
        f"| {name} | {f.slowdown_mean:.4g} | {f.slowdown_p95:.4g} | {f.wait_mean_s / 60:.0f} "
        f"| {f.wait_p95_s / 3600:.1f} | {f.wait_max_s / 3600:.0f} | {f.makespan_s / row.bound_s:.3f} "
        f"| {f.utilisation:.0%} | {f.jain:.2f} | {f.large_slowdown_mean:.3g} | {f.evictions} "
        f"| {f.lost_share:.2%} | {f.decide_us:.0f} |"
    )


def table(work: Sequence[tuple[Scenario, str, float]], workers: int) -> list[Row]:
    """Print each scenario as its rows come in."""
    found: list[Row] = []
    for row in rows(work, workers):
        if not found or found[-1].scenario != row.scenario:
            print(f"\n{row.scenario.name}, {row.scenario.jobs} jobs\n\n{HEAD}")
        print(line(row), flush=True)
        found.append(row)
    return found


def mean_ratio(found: Sequence[Row], policy: str, coverage: float, against: str) -> tuple[float, float]:
    """The geometric mean of the slowdown to another policy's, and the worst ratio of the worst waits."""
    base = {row.scenario: row.figures for row in found if row.policy == against and row.coverage >= 1}
    pairs = [
        (row.figures, base[row.scenario])
        for row in found
        if row.policy == policy and row.coverage == coverage and row.scenario in base
    ]
    logs = [math.log(mine.slowdown_mean / theirs.slowdown_mean) for mine, theirs in pairs]
    worst = [mine.wait_max_s / max(theirs.wait_max_s, 1.0) for mine, theirs in pairs]
    return math.exp(math.fsum(logs) / len(logs)), max(worst)


def summary(found: Sequence[Row]) -> None:
    print(f"\n| policy | slowdown to {YARDSTICK} | worst wait to it, at most |\n| --- | ---: | ---: |")
    for policy, coverage in dict.fromkeys((row.policy, row.coverage) for row in found):
        ratio, worst = mean_ratio(found, policy, coverage, YARDSTICK)
        name = policy + ("" if coverage >= 1 else f", {coverage:.0%} can save")
        print(f"| {name} | {ratio:.4f} | {worst:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--traces", type=Path, help="a folder of .csv and .swf files")
    parser.add_argument("--quick", action="store_true", help="1,000 jobs of each, box A, load 0.7")
    parser.add_argument("--campaign", action="store_true", help="1,500 jobs at once")
    parser.add_argument("--coverage", action="store_true", help="100, 50 and 0 %% of the jobs can save")
    parser.add_argument("--shaken", action="store_true", help="six runs with small changes of the arrivals")
    parser.add_argument("--only", default="", help="names of policies to show, with commas")
    parser.add_argument("--first", action="store_true", help="the first jobs of each trace, not the last")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    print(machine())
    if options.traces is None:
        parser.error("name a folder with --traces")
    files = sorted(file for file in options.traces.iterdir() if file.suffix in {".csv", ".swf"})
    window, jobs = ("first" if options.first else "last"), 1000 if options.quick else 4000
    grid = list(product(BOXES, LOADS))
    if options.campaign:
        scenarios = [Scenario(file, window, size, None, 1500) for file in files for size in BOXES]
    elif options.quick:
        scenarios = [Scenario(file, window, "A", 0.7, jobs) for file in files]
    else:
        scenarios = [Scenario(file, window, size, load, jobs) for file in files for size, load in grid]
    if options.shaken:
        scenarios = [replace(each, shake=seed) for each in scenarios for seed in range(1, SHAKES + 1)]
    names = [name for name in POLICIES if not options.only or name in options.only.split(",")]
    if options.coverage or options.shaken:
        names = [YARDSTICK, SAFE, MINE]
    work = [(scenario, name, 1.0) for scenario in scenarios for name in names]
    if options.coverage:
        work = [
            (scenario, name, coverage)
            for scenario, name, _ in work
            for coverage in ((1.0, 0.5, 0.0) if name == MINE else (1.0,))
        ]
    found = table(work, options.workers)
    if YARDSTICK in names:
        summary(found)


if __name__ == "__main__":
    main()
