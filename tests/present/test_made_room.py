"""What is said of a job that made room for others."""

from __future__ import annotations

from dataclasses import replace

from cro_tui.present import why_lines
from tests.policy.worlds import NOW, queued


def said(**changes: object) -> list[str]:
    return [str(line).strip() for line in why_lines(replace(queued(1), **changes), NOW)]  # type: ignore[arg-type]


def test_it_says_what_was_kept() -> None:
    first = said(evictions=1, attained_s=125.0)[0]
    assert first == "It saved and made room for shorter jobs; 00:02:05 of work are kept."


def test_it_says_that_nothing_was_saved() -> None:
    assert "without saving" in said(evictions=1, failed_saves=1)[0]


def test_of_others_nothing_is_said() -> None:
    assert said()[0] == "Not started because:"
