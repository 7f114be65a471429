"""Expected run times from earlier runs."""

from __future__ import annotations

from jobs.policy.predict import expected_run_s


def test_the_median_of_the_last_five_runs_counts() -> None:
    assert expected_run_s([1000.0, 1000.0, 1000.0, 3.0, 1.0, 2.0, 5.0, 4.0]) == 3.0
    assert expected_run_s([10.0, 20.0]) == 15.0


def test_without_a_run_nothing_is_expected() -> None:
    assert expected_run_s([]) is None
