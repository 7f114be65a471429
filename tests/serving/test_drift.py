"""Drift of inputs by hand-made numbers, and by a run's own report of its columns."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jobs.programs.serving.drift import FEWEST_ROWS, WINDOW_ROWS, Recent, drift_sentence, spreads
from jobs.programs.serving.rows import Rows

TOLD = {
    "a": {"cuts": [0.0, 1.0, 2.0], "counts": [100, 200, 100, 0], "missing": 0},
    "town": {"words": {"old": 300, "new": 100, "": 0}, "others": 0},
}


def seen(recent: Recent, numbers: list[float | None], words: list[str | None]) -> None:
    """Row by row, as requests bring them."""
    for at, (number, word) in enumerate(zip(numbers, words, strict=True)):
        recent.saw(Rows(1, {"a": [number], "town": [word]}))
        if at % 100 == 99:
            recent.fold()


def test_rows_as_in_training_do_not_drift_and_few_say_nothing() -> None:
    recent = Recent(TOLD)
    numbers: list[float | None] = [0.0, 0.5, 1.0, 2.0] * 100
    words: list[str | None] = ["old", "old", "old", "new"] * 100
    seen(recent, numbers[: FEWEST_ROWS - 100], words[: FEWEST_ROWS - 100])
    assert recent.drifts() == [] and recent.rows == FEWEST_ROWS - 100
    seen(recent, numbers, words)
    drifts = recent.drifts()
    assert {each.column for each in drifts} == {"a", "town"}
    assert all(abs(each.psi) < 1e-3 for each in drifts) and not drift_sentence(drifts, recent.rows)


def test_psi_and_ks_are_what_their_definitions_say() -> None:
    recent = Recent(TOLD)
    seen(recent, [0.5] * 300 + [None] * 100, ["old"] * 200 + ["new"] * 100 + ["far"] * 50 + [None] * 50)
    found = {each.column: each for each in recent.drifts()}
    before, now = np.array([100, 200, 100, 0, 0]) + 0.5, np.array([0, 300, 0, 0, 100]) + 0.5
    before, now = before / before.sum(), now / now.sum()
    assert found["a"].psi == pytest.approx(((now - before) * np.log(now / before)).sum())
    assert found["a"].ks == pytest.approx(0.25)
    before, now = np.array([300, 100, 0, 0]) + 0.5, np.array([200, 100, 50, 50]) + 0.5
    before, now = before / before.sum(), now / now.sum()
    assert found["town"].psi == pytest.approx(((now - before) * np.log(now / before)).sum())
    assert found["town"].ks is None
    assert "inputs drift: a PSI" in drift_sentence(recent.drifts(), recent.rows)


def test_the_window_forgets_what_is_long_ago() -> None:
    recent = Recent(TOLD)
    for _ in range(40):
        recent.saw(Rows(256, {"a": [9.0] * 256, "town": ["far"] * 256}))
        recent.fold()
    assert recent.rows == WINDOW_ROWS and recent.drifts()[0].psi > 1
    for _ in range(40):
        recent.saw(Rows(256, {"a": [0.0, 0.5, 1.0, 2.0] * 64, "town": ["old", "old", "old", "new"] * 64}))
        recent.fold()
    assert all(abs(each.psi) < 1e-2 for each in recent.drifts())


@pytest.mark.parametrize(
    "told",
    [None, 3, {"a": 1}, {"a": {}}, {"a": {"cuts": [1, 0], "counts": [1, 1, 1]}}, {"a": {"cuts": ["x"]}},
     {"a": {"cuts": [1], "counts": [1, math.inf]}}, {"a": {"cuts": [1], "counts": [-1, 1]}},
     {"a": {"words": {"x": "y"}}}, {"a": {"cuts": [1], "counts": [0, 0]}}],
)  # fmt: skip
def test_a_report_that_cannot_be_used_is_left_out(told: object) -> None:
    assert spreads(told) == {}
    recent = Recent(told)
    recent.saw(Rows(1, {"a": [1.0]}))
    assert recent.drifts() == [] and recent.rows == 0
