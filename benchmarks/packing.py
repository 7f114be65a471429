"""How short a campaign can be at all: a bound on the makespan that knows what fits beside what.

The fluid bound (work over capacity) takes jobs for water: two jobs that want 60 % of the memory each cannot
run at once, and it does not know. This one is that of the configuration programme (Gilmore and Gomory,
1961): the least total time of sets of jobs that fit together, so that each shape gets its run time. New
sets are priced by a knapsack of three resources; what is returned is Farley's bound, valid at any moment,
and no less than that of a threshold on one resource (Fekete and Schepers, 2001). Sizes are rounded down,
jobs may stop and go on without cost: it stays a bound. Uses scipy, so it is for benchmarks alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from jobs.core.machine import Capacity
from jobs.simulation.metrics import bound_s
from jobs.simulation.trace import TraceJob, shares_of

GRID = 64  # sizes are rounded down to so many parts of the machine
_EXACT = 1e-9


def packing_bound_s(trace: Sequence[TraceJob], box: Capacity, within_s: float = 60.0) -> float:
    """Seconds that all jobs take at least when they come at once; at most `within_s` of searching."""
    return max(bound_s(trace, box), _threshold_s(trace, box), _configurations_s(trace, box, within_s))


def _threshold_s(trace: Sequence[TraceJob], box: Capacity) -> float:
    """Who takes more than 1 - t of a resource has it alone among those that take t or more."""
    best = 0.0
    for resource in range(3):
        sizes = [(list(shares_of(job, box))[resource], job.run_s) for job in trace]
        for t in {min(size, 1 - size) for size, _ in sizes}:
            best = max(
                best,
                sum(
                    run_s if size > 1 - t + _EXACT else run_s * size if size >= t - _EXACT else 0.0
                    for size, run_s in sizes
                ),
            )
    return best


def _configurations_s(trace: Sequence[TraceJob], box: Capacity, within_s: float) -> float:
    wanted: dict[tuple[float, ...], float] = {}
    for job in trace:
        shape = tuple(int(size * GRID + _EXACT) / GRID for size in shares_of(job, box))
        wanted[shape] = wanted.get(shape, 0.0) + job.run_s
    wanted = {shape: run_s for shape, run_s in wanted.items() if max(shape) > 0}
    sizes, run_s = np.array(list(wanted)), np.array(list(wanted.values()))
    most = np.floor(1 / sizes.max(axis=1) + _EXACT)
    sets = [np.diag(most)[at] for at in range(len(sizes))]
    fits = LinearConstraint(sizes.T, -np.inf, 1 + _EXACT)
    best, until = 0.0, time.monotonic() + within_s
    while time.monotonic() < until:
        least = linprog(np.ones(len(sets)), A_ub=-np.array(sets).T, b_ub=-run_s, method="highs")
        worth = -least.ineqlin.marginals
        found = milp(-worth, constraints=fits, integrality=np.ones(len(sizes)), bounds=Bounds(0, most))
        best = max(best, float(run_s @ worth) / max(-found.fun, 1.0))
        if -found.fun <= 1 + 1e-6 or least.fun <= 1.001 * best:
            break
        sets.append(np.round(found.x))
    return best
