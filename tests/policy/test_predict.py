"""Forecasts from earlier runs: what one run says, what twelve say, and what nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.core.jobs import Forecast, JobSpec, Needs
from jobs.policy.runtime_model import UNKNOWN_RUN_S, Moments, forecast, program, runtime_keys


def spec(*argv: str, user: str = "ann", recipe: str | None = None, limit_s: float | None = None) -> JobSpec:
    return JobSpec(
        "job",
        argv or ("python", "train.py"),
        "/",
        "",
        Needs(time_limit_s=limit_s),
        recipe=recipe,
        user=user,
    )


def after(runs: Sequence[tuple[JobSpec, float]], asked: JobSpec) -> Forecast:
    history: dict[str, Moments] = {}
    for each, run_s in runs:
        for key in runtime_keys(each):
            history[key] = history.get(key, Moments()).with_run(run_s)
    return forecast(asked, history.get)


def test_of_what_nobody_has_run_the_limit_says_a_little() -> None:
    assert after([], spec()).run_s == pytest.approx(UNKNOWN_RUN_S)
    assert after([], spec(limit_s=400.0)).run_s == pytest.approx(100.0)
    assert after([], spec()).runs == 0


def test_a_few_runs_of_the_same_say_nearly_all() -> None:
    same = [(spec(), 30.0)] * 5
    found = after(same, spec())
    assert found.run_s == pytest.approx(30.0, rel=0.2)
    assert found.runs == 5
    assert found.shortest_s < found.run_s


def test_the_very_arguments_count_more_than_the_program_and_that_more_than_the_user() -> None:
    short, long = spec("python", "train.py", "--epochs", "1"), spec("python", "train.py", "--epochs", "99")
    other = spec("python", "evaluate.py")
    runs = [(short, 10.0)] * 6 + [(long, 1000.0)] * 6
    assert after(runs, short).run_s < 20
    assert after(runs, long).run_s > 500
    assert after(runs, short).run_s < after(runs, other).run_s < after(runs, long).run_s
    assert after(runs, other).runs == 0


def test_a_limit_bounds_it() -> None:
    assert after([(spec(), 5000.0)] * 12, spec(limit_s=60.0)).run_s == 60.0


def test_a_program_is_its_recipe_or_the_command_with_its_script() -> None:
    assert program(spec(recipe="forest")) == "recipe forest"
    assert program(spec("/usr/bin/python3", "/home/ann/train.py", "--lr", "1")) == "python3 train.py"
    assert program(spec("make", "all")) == "make"
    assert program(replace(spec(), argv=())) is None


@given(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=40))
def test_it_lies_within_what_was_seen_and_guessed(runs: list[float]) -> None:
    found = after([(spec(), run_s) for run_s in runs], spec())
    assert min(*runs, UNKNOWN_RUN_S, 1.0) <= found.run_s <= max(*runs, UNKNOWN_RUN_S) * 1.001
    assert 0 < found.shortest_s <= found.run_s
