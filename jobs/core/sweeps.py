"""A sweep's own figures: how many of its jobs have ended, what differs, which is the best. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

from jobs.core.jobs import ENDED, PRUNED, Cancelled, Job, JobId, ParamValue, StateName

LOOKED_AT = 2_000  # jobs of a sweep: to read more takes long
MOST_RUNS = 20_000  # in short


Pairs = Iterable[tuple[str, Any]]  # names and values, as jobs have their parameters and metrics


class SweepRun(NamedTuple):
    """One job of a sweep, in short. `metrics` are empty until it has succeeded."""

    id: JobId
    state: StateName
    params: Mapping[str, ParamValue]
    metrics: Mapping[str, float]
    pruned: bool = False


class RunColumns(NamedTuple):
    """Runs by id, as a column for each parameter and metric, None where one has none: of thousands of runs
    it is a few lists, where an object for each would take longer to make than to draw."""

    ids: Sequence[JobId] = ()
    states: Sequence[StateName] = ()
    pruned: frozenset[JobId] = frozenset()
    params: Mapping[str, Sequence[ParamValue | None]] = {}
    metrics: Mapping[str, Sequence[float | None]] = {}

    @property
    def ended(self) -> bool:
        return set(self.states) <= ENDED

    def run(self, place: int) -> SweepRun:
        job_id = self.ids[place]
        return SweepRun(
            job_id,
            self.states[place],
            {name: value for name, column in self.params.items() if (value := column[place]) is not None},
            {name: value for name, column in self.metrics.items() if (value := column[place]) is not None},
            job_id in self.pruned,
        )


def columns_of(rows: Sequence[Pairs]) -> dict[str, list[Any]]:
    """A column for each name. Raises TypeError, ValueError where a row is no pairs of names and values."""
    columns: dict[str, list[Any]] = {}
    for place, row in enumerate(rows):
        for name, value in row:
            if name not in columns:
                columns[name] = [None] * len(rows)
            columns[name][place] = value
    return columns


@dataclass(frozen=True, slots=True)
class GroupRuns:
    """The runs of one group, at most `MOST_RUNS` of `size`, by id, and what can be drawn of them.

    `varying` are the parameters whose values differ; `metrics` those that any has left, what judges them
    first, and `better` says "max" or "min" of those.
    """

    lead: JobId
    name: str
    size: int
    columns: RunColumns
    varying: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    better: Mapping[str, str] = field(default_factory=dict)


def runs_of(
    lead: JobId, name: str, size: int, columns: RunColumns, judged_by: Sequence[tuple[str, str]]
) -> GroupRuns:
    main = [metric for metric, _ in judged_by if metric in columns.metrics]
    metrics = tuple(dict.fromkeys([*main, *columns.metrics]))
    varied = tuple(
        name for name, column in columns.params.items() if _differ([v for v in column if v is not None])
    )
    return GroupRuns(lead, name, size, columns, varied, metrics, dict(judged_by))


def ranked(runs: GroupRuns, metric: str) -> list[int]:
    """Their places, the best first, then those without that metric; without a word of better, by id."""
    places, better = range(len(runs.columns.ids)), runs.better.get(metric, "")
    if not better or metric not in runs.columns.metrics:
        return list(places)
    sign, worst = (-1.0 if better == "max" else 1.0), float("inf")
    keys = [worst if value is None else sign * value for value in runs.columns.metrics[metric]]
    return sorted(places, key=keys.__getitem__)


@dataclass(frozen=True, slots=True)
class SweepSummary:
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
) -> SweepSummary:
    """The sweep of these jobs; `metrics` are what their recipe says about better, the main one first."""
    ordered = sorted(jobs, key=lambda job: job.id)
    left = {name for job in ordered for name, _ in job.metrics}
    metric, better = next(((name, better) for name, better in metrics if name in left), ("", ""))
    if metric:
        sign = -1.0 if better == "max" else 1.0
        worst = float("inf")
        ordered.sort(key=lambda job: sign * value if (value := score(job, metric)) is not None else worst)
    return SweepSummary(
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
