"""A sweep's own figures: how many of its jobs have ended, what differs, which is the best. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from jobs.model import PRUNED, Cancelled, Job, JobId, ParamValue, StateName
from jobs.policy.dependencies import ENDED

LOOKED_AT = 2_000  # jobs of a sweep: to read more takes long
MOST_RUNS = 20_000  # in short


class Run(NamedTuple):
    """One job of a sweep, in short: a tuple, since thousands are made. `metrics` are empty until it has
    succeeded."""

    id: JobId
    state: StateName
    params: Mapping[str, ParamValue]
    metrics: Mapping[str, float]
    pruned: bool = False

    @property
    def ended(self) -> bool:
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of one group, at most `MOST_RUNS` of `size`, by id, and what can be drawn of them.

    `varying` are the parameters whose values differ; `metrics` those that any has left, what judges them
    first, and `better` says "max" or "min" of those.
    """

    lead: JobId
    name: str
    size: int
    runs: tuple[Run, ...]
    varying: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    better: Mapping[str, str] = field(default_factory=dict)


def runs_of(
    lead: JobId, name: str, size: int, runs: Sequence[Run], judged_by: Sequence[tuple[str, str]]
) -> Runs:
    left = dict.fromkeys(chain.from_iterable(run.metrics for run in runs))
    main = [metric for metric, _ in judged_by if metric in left]
    metrics = tuple(dict.fromkeys([*main, *left]))
    varied = varying(run.params for run in runs)
    return Runs(lead, name, size, tuple(runs), varied, metrics, dict(judged_by))


def ranked(runs: Iterable[Run], metric: str, better: str) -> list[Run]:
    """The best first, then those without that metric; without a word of better, by id."""
    if not better:
        return sorted(runs, key=lambda run: run.id)
    sign, worst = (-1.0 if better == "max" else 1.0), float("inf")
    return sorted(
        runs,
        key=lambda run: (sign * value if (value := run.metrics.get(metric)) is not None else worst, run.id),
    )


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
        varying(dict(job.spec.params) for job in ordered),
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


def varying(params: Iterable[Mapping[str, ParamValue]]) -> tuple[str, ...]:
    """The parameters that are not the same in all jobs, in the order of the recipe."""
    found = list(params)
    names = dict.fromkeys(chain.from_iterable(found))
    return tuple(name for name in names if _differ([given[name] for given in found if name in given]))


def _differ(values: Sequence[ParamValue]) -> bool:
    """Whether they are not all the same; 1 is not True, though equal to it."""
    return len(set(values)) > 1 or len(set(map(type, values))) > 1
