"""What one decision costs before a long queue: choosing the head by classes, and `decide` on it.

`uv run python -m benchmarks.decisions`. CPU milliseconds of one thread. The queue is seeded: 20 users, 12
shapes, forecasts of 40 kinds, so a few thousand classes; 40 jobs run and hold most of the machine.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

from benchmarks.measure import machine
from jobs.core.jobs import GIB, Forecast, Grant, Job, JobId, JobSpec, Needs, Queued, Running, Usage
from jobs.core.machine import DeviceSample, Sample
from jobs.core.rules import SchedulerSettings
from jobs.core.world import World
from jobs.policy.decide import decide, estimate
from jobs.policy.order import Order
from jobs.policy.window import choose
from jobs.simulation.replay import calm_settings, machine_of

NOW = 1e7
TIMES = 15
RULES = calm_settings(SchedulerSettings(learned_order=True, evict=True))
SHAPES = [(1.0, 4, 0), (2.0, 8, 0), (4.0, 16, 0), (8.0, 32, 0), (4.0, 16, 1), (8.0, 32, 2), (16.0, 64, 4)]


def world(jobs: dict[JobId, Job], beyond: int) -> World:
    """64 cores, 256 GiB, 8 GPUs."""
    capacity = machine_of(64, 256, 8)
    live = {job_id: Usage(mem_bytes=2 * GIB) for job_id, job in jobs.items() if running_state(job)}
    sample = Sample(
        NOW,
        cpu_foreign=0.0,
        mem_available_bytes=capacity.mem_bytes - 2 * GIB * len(live),
        devices=tuple(DeviceSample(device.uuid, 0, 0, 0) for device in capacity.devices),
        jobs=live,
    )
    usage = {f"user{i}": 1000.0 * i for i in range(20)}
    return World(
        NOW, capacity, RULES, jobs, sample=sample, queued_outside_window=beyond, usage=usage, usage_at=NOW
    )


def running_state(job: Job) -> bool:
    return isinstance(job.state, Running)


def running() -> list[Job]:
    found = []
    for number in range(40):
        needs = Needs(1.0, 4 * GIB, int(number < 8))
        grant = Grant((f"GPU-{number}",) if number < 8 else ())
        state = Running(NOW - 1000.0, 1, grant, 1)
        spec = JobSpec("job", (), "/", "", needs, user=f"user{number % 20}", checkpoint=True)
        forecast = Forecast(5000.0 + 100 * number, 50.0, 3)
        found.append(Job(JobId(number + 1), spec, state, NOW - 2000.0, attempts=1, forecast=forecast))
    return found


def queue(length: int) -> list[Job]:
    draw, found = random.Random(1), list[Job]()
    for number in range(length):
        cpus, gib, gpus = draw.choice(SHAPES)
        run_s = 10.0 * 1.3 ** draw.randrange(40)
        spec = JobSpec(
            "job",
            (),
            "/",
            "",
            Needs(cpus, gib * GIB, gpus),
            user=f"user{draw.randrange(20)}",
            checkpoint=True,
        )
        at = NOW - draw.uniform(0, 90_000)
        found.append(
            Job(JobId(1000 + number), spec, Queued(at), at, forecast=Forecast(run_s, run_s / 10, 5))
        )
    return found


def cpu_ms(what: Callable[[], object]) -> tuple[float, float]:
    taken = []
    for _ in range(TIMES):
        began = time.thread_time()
        what()
        taken.append((time.thread_time() - began) * 1e3)
    return statistics.median(taken), max(taken)


def main() -> None:
    print(f"{machine()}\n\n| waiting | choosing the head, ms | deciding, ms (most) | estimating, ms |")
    print("| ---: | ---: | ---: | ---: |")
    for length in (1_000, 10_000, 100_000):
        waiting = queue(length)
        active = {job.id: job for job in running()}
        order = Order.of(world(active, length))
        head = choose(waiting, order, RULES.window)
        now = world(active | {job.id: job for job in head}, length - len(head))
        plan = decide(now)
        assert plan.starts or plan.evictions
        choosing = cpu_ms(lambda waiting=waiting, order=order: choose(waiting, order, RULES.window))  # type: ignore[misc]
        deciding = cpu_ms(lambda now=now: decide(now))  # type: ignore[misc]
        ahead = cpu_ms(lambda now=now, plan=plan: estimate(now, plan))  # type: ignore[misc]
        print(
            f"| {length:,} | {choosing[0]:.1f} | {deciding[0]:.1f} ({deciding[1]:.1f}) | {ahead[0]:.1f} |"
        )


if __name__ == "__main__":
    main()
