"""What a replay came to, in the field's figures. Pure.

Bounded slowdown (Feitelson): turnaround over run time, run times below `TAU_S` counted as that. Wait is all
the time that a job made no progress, restarts included. Jain's index is over users, of 1 / mean slowdown.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.core.machine import Capacity
from jobs.simulation.replay import ReplayResult
from jobs.simulation.trace import TraceJob, shares_of, work_s

TAU_S = 10.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds where named so; `lost_share` is of the box time that was used."""

    makespan_s: float
    wait_mean_s: float
    wait_p95_s: float
    wait_max_s: float
    slowdown_mean: float
    slowdown_p95: float
    large_slowdown_mean: float  # of the tenth of the jobs with the most area
    utilisation: float
    jain: float
    evictions: int
    lost_share: float
    decide_us: float


def figures(trace: Sequence[TraceJob], box: Capacity, outcome: ReplayResult) -> Figures:
    """Everything about one replay; raises AssertionError when a result is better than it can be."""
    waits = [
        max(0.0, r.finished_at - t.run_s - t.submit_s) for t, r in zip(trace, outcome.jobs, strict=True)
    ]
    slow = [max(1.0, (w + t.run_s) / max(t.run_s, TAU_S)) for t, w in zip(trace, waits, strict=True)]
    first_s, last_s = min(t.submit_s for t in trace), max(r.finished_at for r in outcome.jobs)
    span_s = last_s - first_s
    assert span_s >= bound_s(trace, box) * (1 - 1e-9), "faster than the machine can be"
    assert all(
        r.finished_at >= t.submit_s + t.run_s - 1e-3 for t, r in zip(trace, outcome.jobs, strict=True)
    ), "a job ran for less than it takes"
    areas = [t.run_s * max(shares_of(t, box)) for t in trace]
    large = sorted(range(len(trace)), key=lambda i: -areas[i])[: max(1, len(trace) // 10)]
    users = defaultdict(list)
    for traced, each in zip(trace, slow, strict=True):
        users[traced.user].append(each)
    happy = [len(each) / math.fsum(each) for _, each in sorted(users.items())]
    lost = math.fsum(r.lost_s * max(shares_of(t, box)) for t, r in zip(trace, outcome.jobs, strict=True))
    return Figures(
        span_s,
        math.fsum(waits) / len(waits),
        quantile(waits, 0.95),
        max(waits),
        math.fsum(slow) / len(slow),
        quantile(slow, 0.95),
        math.fsum(slow[i] for i in large) / len(large),
        work_s(trace, box) / span_s,
        math.fsum(happy) ** 2 / len(happy) / math.fsum(each**2 for each in happy),
        sum(r.evictions for r in outcome.jobs),
        lost / math.fsum(areas),
        1e6 * outcome.decide_cpu_s / max(outcome.decisions, 1),
    )


def bound_s(trace: Sequence[TraceJob], box: Capacity) -> float:
    """The makespan cannot be below the work of any resource, nor below one job's arrival and run."""
    first_s = min(t.submit_s for t in trace)
    return max(work_s(trace, box), max(t.submit_s + t.run_s for t in trace) - first_s)


def wait_bound_s(trace: Sequence[TraceJob], box: Capacity) -> float:
    """The mean wait cannot be below that of shortest-remaining-first on a resource as a fluid machine."""
    best = 0.0
    mean_run_s = math.fsum(t.run_s for t in trace) / len(trace)
    for resource in range(3):
        work = [t.run_s * list(shares_of(t, box))[resource] for t in trace]
        best = max(best, _fluid_s(trace, work) - mean_run_s)
    return best


def _fluid_s(trace: Sequence[TraceJob], work: Sequence[float]) -> float:
    heap: list[tuple[float, int]] = []
    now, total, following = 0.0, 0.0, 0
    while following < len(trace) or heap:
        if not heap:
            now = max(now, trace[following].submit_s)
        while following < len(trace) and trace[following].submit_s <= now:
            heapq.heappush(heap, (work[following], following))
            following += 1
        left, number = heapq.heappop(heap)
        arrives = trace[following].submit_s if following < len(trace) else math.inf
        if now + left <= arrives:
            now += left
            total += now - trace[number].submit_s
        else:
            heapq.heappush(heap, (left - (arrives - now), number))
            now = arrives
    return total / len(trace)


def quantile(values: Sequence[float], share: float) -> float:
    """Linear between the two nearest."""
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    low = math.floor(at)
    return ordered[low] + (at - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])
