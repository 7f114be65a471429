"""A sweep's figures: what differs, what has ended, and which is the best by what the recipe says."""

from __future__ import annotations

from collections import Counter

from jobs.core.jobs import (
    Failed,
    GroupRef,
    Job,
    JobId,
    JobSpec,
    ParamValue,
    Queued,
    State,
    StateName,
    Succeeded,
    Usage,
)
from jobs.core.sweeps import RunColumns, SweepSummary, columns_of, ranked, runs_of, sweep_of

DONE = Succeeded(0.0, 1.0, Usage())
FAILED = Failed(0.0, 1.0, 1, None, "", Usage())


def job(number: int, state: State, depth: int, **metrics: float) -> Job:
    params = (("depth", depth), ("data", "wine"))
    spec = JobSpec("s", ("s",), "/", "", params=params, group=GroupRef(JobId(4), 3))
    return Job(JobId(number), spec, state, 0.0, metrics=tuple(metrics.items()))


def swept(jobs: list[Job], metrics: tuple[tuple[str, str], ...]) -> SweepSummary:
    return sweep_of((4, 3), jobs, Counter(each.state.name for each in jobs), metrics)


def test_the_best_comes_first_by_the_first_metric_that_was_left() -> None:
    jobs = [job(4, DONE, 1, loss=3.0), job(5, FAILED, 2, loss=0.1), job(6, DONE, 3, loss=2.0)]
    found = swept(jobs, (("accuracy", "max"), ("loss", "min")))
    assert [each.id for each in found.jobs] == [6, 4, 5]
    assert (found.metric, found.better, found.ended, found.varying) == ("loss", "min", 3, ("depth",))
    assert found.best is not None and found.best.id == 6
    assert [each.id for each in swept(jobs, (("loss", "max"),)).jobs] == [4, 6, 5]


def test_without_a_word_about_better_there_is_no_best() -> None:
    jobs = [job(5, DONE, 1, loss=3.0), job(4, Queued(0.0), 1)]
    for metrics in ((), (("accuracy", "max"),)):
        found = swept(jobs, metrics)
        assert (found.best, found.metric, [each.id for each in found.jobs]) == (None, "", [4, 5])
        assert (found.ended, found.varying) == (1, ())


def test_runs_are_columns_in_which_gaps_are_none_and_ranked_by_what_judges_them() -> None:
    params: list[list[tuple[str, ParamValue]]] = [
        [("depth", 1), ("kind", "a")],
        [("depth", True)],
        [("depth", 1), ("late", 0.5)],
        [],
    ]
    metrics: list[list[tuple[str, float]]] = [
        [("loss", 2.0), ("accuracy", 0.5)],
        [],
        [("accuracy", 0.7), ("loss", 3.0)],
        [("accuracy", 0.7)],
    ]
    columns = RunColumns(
        [JobId(4), JobId(5), JobId(7), JobId(9)],
        [StateName.SUCCEEDED, StateName.CANCELLED, StateName.SUCCEEDED, StateName.SUCCEEDED],
        frozenset({JobId(5)}),
        columns_of(params),
        columns_of(metrics),
    )
    assert [dict(columns.run(at).params) for at in range(4)] == [dict(each) for each in params]
    assert [dict(columns.run(at).metrics) for at in range(4)] == [dict(each) for each in metrics]
    assert [columns.run(at).pruned for at in range(4)] == [False, True, False, False] and columns.ended
    runs = runs_of(JobId(4), "forest", 9, columns, [("error", "min"), ("accuracy", "max")])
    assert (runs.varying, runs.metrics) == (("depth",), ("accuracy", "loss")), "1 is not True"
    assert ranked(runs, "accuracy") == [2, 3, 0, 1]
    assert ranked(runs, "loss") == ranked(runs, "error") == [0, 1, 2, 3], (
        "by id: nobody says which is better"
    )
