"""A sweep's own figures: how many of its jobs have ended, what differs, which is the best. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from jobs.model import PRUNED, Cancelled, Job, JobId, StateName
from jobs.policy.dependencies import ENDED

LOOKED_AT = 2_000  # jobs of a sweep: to read more takes long


@dataclass(frozen=True, slots=True)
class Sweep:
    """`jobs` has the first `LOOKED_AT` of it, the best first where that can be told, then by id.

    `counts` is of all of them.

    `metric` is what they are judged by and `better` "max" or "min"; both are empty where the recipe does
    not say, or none has left that metric yet. An `optimized` one queues its jobs one by one: `first`
    is its controller, `size` how many it is to try. `varying` are the parameters whose values differ.
    """

    first: JobId
    size: int
    jobs: tuple[Job, ...] = ()
    counts: Mapping[StateName, int] = field(default_factory=dict)
    varying: tuple[str, ...] = ()
    metric: str = ""
    better: str = ""
    optimized: bool = False

    @property
    def ended(self) -> int:
        return sum(count for name, count in self.counts.items() if name in ENDED)

    @property
    def pruned(self) -> int:
        return sum(is_pruned(job) for job in self.jobs)

    @property
    def best(self) -> Job | None:
        return self.jobs[0] if self.metric and self.jobs else None


def members(sweep: tuple[int, int]) -> range:
    """The ids of its jobs: they were queued at once, so they follow one another."""
    first, size = sweep
    return range(first, first + size)


def sweep_of(
    sweep: tuple[int, int],
    jobs: Iterable[Job],
    counts: Mapping[StateName, int],
    metrics: Sequence[tuple[str, str]],
    *,
    optimized: bool = False,
) -> Sweep:
    """The sweep of these jobs; `metrics` are what their recipe says about better, the main one first."""
    ordered = sorted(jobs, key=lambda job: job.id)
    left = {name for job in ordered for name, _ in job.metrics}
    metric, better = next(((name, better) for name, better in metrics if name in left), ("", ""))
    if metric:
        sign = -1.0 if better == "max" else 1.0
        worst = float("inf")
        ordered.sort(key=lambda job: sign * value if (value := score(job, metric)) is not None else worst)
    return Sweep(
        JobId(sweep[0]),
        sweep[1],
        tuple(ordered),
        counts,
        varying(ordered),
        metric,
        better,
        optimized,
    )


def score(job: Job, metric: str) -> float | None:
    """A job's value of a metric; None where it left none, or did not succeed."""
    return dict(job.metrics).get(metric) if job.state.name is StateName.SUCCEEDED else None


def is_pruned(job: Job) -> bool:
    """Whether an optimisation stopped it because others did better."""
    return isinstance(job.state, Cancelled) and job.state.cause.startswith(PRUNED)


def varying(jobs: Sequence[Job]) -> tuple[str, ...]:
    """The parameters that are not the same in all of them, in the order of the recipe."""
    values: dict[str, set[object]] = {}
    for job in jobs:
        for name, value in job.spec.params:
            values.setdefault(name, set()).add((type(value), value))
    return tuple(name for name, found in values.items() if len(found) > 1)
