"""What is said of a job that made room for others."""

from __future__ import annotations

from dataclasses import replace

from cro_tui.present import why_lines
from jobs.core.jobs import GIB, Succeeded, Usage
from tests.policy.worlds import NOW, queued


def said(**changes: object) -> list[str]:
    return [str(line).strip() for line in why_lines(replace(queued(1), **changes), NOW)]  # type: ignore[arg-type]


def test_it_says_what_was_kept() -> None:
    first = said(evictions=1, attained_s=125.0)[0]
    assert first == "It saved and made room for others; 00:02:05 of work are kept."


def test_it_says_that_nothing_was_saved() -> None:
    assert "without saving" in said(evictions=1, failed_saves=1)[0]


def test_of_others_nothing_is_said() -> None:
    assert said()[0] == "Not started because:"


def test_of_an_ended_job_it_says_what_befell_it_on_the_way() -> None:
    ended = Succeeded(NOW, NOW + 60, Usage())
    lines = said(
        state=ended, evictions=2, attained_s=300.0, lost_s=40.0, memory_tries=1, grown_mem_bytes=4 * GIB
    )
    assert "It made room for others 2 times: 00:05:00 of work kept, 00:00:40 lost." in lines
    assert "It ran out of memory before and was tried again with 4.0G." in lines
