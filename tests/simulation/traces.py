"""Seeded traces like those of a shared machine: many short jobs, a few that are as large as the machine."""

from __future__ import annotations

import random

from jobs.core.jobs import GIB
from jobs.simulation.trace import TraceJob


def heavy_tailed(jobs: int, seed: int = 1) -> list[TraceJob]:
    """Six users with habits; a third of the jobs end within a minute, one in thirty takes every GPU."""
    draw, found, at = random.Random(seed), list[TraceJob](), 0.0
    for _ in range(jobs):
        at += draw.expovariate(1 / 300)
        user = draw.randrange(6)
        usual_s = 20.0 * 6.0 ** draw.choice([0, 0, user % 3, user % 4])
        run_s = draw.uniform(1, 30) if draw.random() < 0.3 else usual_s * draw.lognormvariate(0, 0.7)
        gpus = draw.choice([0, 0, 1, 1, 2]) if draw.random() > 1 / 30 else 4
        found.append(
            TraceJob(
                at,
                max(1.0, run_s * (8 if gpus == 4 else 1)),
                float(draw.choice([1, 2, 4])),
                draw.choice([2, 4, 8]) * GIB,
                gpus,
                draw.choice([0.5, 1.0]) if gpus == 1 else 1.0,
                draw.choice([3600.0, 86_400.0]),
                f"user{user}",
            )
        )
    return found
