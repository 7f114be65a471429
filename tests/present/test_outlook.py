"""The words for a place in the queue, what was learned, and when it starts."""

from __future__ import annotations

from dataclasses import replace

from cro_tui.present import learned_text, start_estimate_lines
from jobs.core.jobs import GIB, Job, JobId, JobSpec, Needs, Queued
from jobs.core.requests import StartEstimate

NOW = 1_700_000_000.0
JOB = Job(JobId(4), JobSpec("x", ("x",), "/", "", Needs(mem_bytes=12 * GIB)), Queued(NOW), NOW)
PLAIN = StartEstimate(2, 14, 720.0, 0.25, 1.0, 1.0, 1.0, runs=12)


def test_what_is_the_same_is_not_said() -> None:
    assert learned_text(Needs(), Needs(), 7) == ""
    assert start_estimate_lines(JOB, PLAIN, NOW) == (
        "Place 2 of 14, by 12m left x 25% of the machine (by 12 runs).",
    )


def test_each_factor_that_tells_is_named() -> None:
    outlook = replace(PLAIN, use=1.8, age=1.1, priority=0.5, runs=0)
    (line,) = start_estimate_lines(JOB, outlook, NOW)
    assert "x 1.8 for what you used of late / 1.1 for its wait x 0.5 for its priority" in line
    assert "a guess" in line


def test_what_was_learned_has_both_numbers_and_the_runs() -> None:
    learned = Needs(cpus=2.0, mem_bytes=10 * GIB)
    (line, _) = start_estimate_lines(JOB, replace(PLAIN, learned=learned, learned_runs=7), NOW)
    assert line == "Reserves MEM asked 12.0G, learned 10.0G; CPU asked 1, learned 2 (7 runs)."


def test_a_start_is_an_interval_with_its_record_and_what_a_step_of_priority_changes() -> None:
    outlook = replace(
        PLAIN,
        starts_at=NOW + 900,
        soonest_at=NOW + 600,
        latest_at=NOW + 2_400,
        sooner_at=NOW + 300,
        error=0.15,
        scored=31,
    )
    _, start, sooner = start_estimate_lines(JOB, outlook, NOW)
    assert "(~15m), likely " in start
    assert "the last 31 estimates were off by 15% of the wait" in start
    assert sooner.startswith("With a priority of 51, it starts about ")
    assert "(~5m)" in sooner
    same = replace(outlook, sooner_at=NOW + 900)
    assert start_estimate_lines(JOB, same, NOW)[-1] == "With a priority of 51, nothing changes."
