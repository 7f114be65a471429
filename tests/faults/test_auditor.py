"""The auditor has teeth: each thing that can go wrong is found, and a true story has no complaint."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from jobs.core.jobs import (
    Cancelled,
    Dependency,
    DependencyKind,
    Failed,
    Job,
    JobId,
    JobSpec,
    Lost,
    Queued,
    State,
    Succeeded,
    Usage,
)
from tests.faults.auditor import Ledger, audit

DONE = Succeeded(1.0, 2.0, Usage())
NEVER_RAN = Cancelled(None, 2.0, None, None, Usage())
FIRST = "begin 1 1 0\nend 1 1 0\n"
SECOND = "begin 2 1 0\nend 2 1 7\n"
TRUE = FIRST + SECOND


def failed(code: int | None) -> Failed:
    return Failed(1.0, 2.0, code, None, "", Usage())


def job(number: int, state: State, after: int | None = None) -> Job:
    needs = () if after is None else (Dependency(JobId(after), DependencyKind.OK),)
    return Job(JobId(number), JobSpec("a", ("true",), "/", "d", after=needs), state, 0.0)


def bad(
    *jobs: Job,
    ledger: str = TRUE,
    cancelled: Collection[int] = (),
    robbed: Collection[int] = (),
    left: Collection[str] = (),
) -> set[str]:
    codes = {1: 0, 2: 7}
    figures = audit(
        jobs, Ledger.read(ledger), codes=codes, cancelled=cancelled, robbed=robbed, left=list(left)
    )
    return set(figures.bad())


def test_a_true_story() -> None:
    assert bad(job(1, DONE), job(2, failed(7))) == set()
    lost = Lost(1.0, 2.0, "its supervisor was killed; the job was stopped", Usage())
    assert bad(job(1, DONE), job(2, lost), robbed={2}) == set()
    assert bad(job(1, DONE), job(2, NEVER_RAN), ledger=FIRST, cancelled={2}) == set()


@pytest.mark.parametrize(
    ("state", "figure"),
    [
        (DONE, "wrong_exit_codes"),
        (failed(8), "wrong_exit_codes"),
        (failed(None), "unknown_fates"),
        (Queued(0.0), "unknown_fates"),
        (Lost(1.0, 2.0, "its supervisor was killed", Usage()), "unknown_fates"),
        (NEVER_RAN, "unknown_fates"),
    ],
)
def test_a_false_end(state: State, figure: str) -> None:
    assert figure in bad(job(1, DONE), job(2, state))


def test_the_rest() -> None:
    good = job(1, DONE), job(2, failed(7))
    assert bad(good[0]) == {"missing_submits"}
    assert bad(*good, left=["a process"]) == {"left_behind"}
    assert bad(*good, ledger=TRUE + "begin 2 2 0\nend 2 2 7\n") == {"run_twice"}
    assert bad(*good, ledger=TRUE.replace("end 1 1 0", "end 1 1 3")) == {"wrong_exit_codes"}
    assert bad(job(1, DONE), job(2, NEVER_RAN), ledger=FIRST) == {"false_cancels"}
    assert bad(good[0], job(2, failed(7), after=1), ledger=SECOND + FIRST) == {"out_of_order"}
    assert bad(job(1, failed(7)), job(2, DONE, after=1), ledger=TRUE) >= {"wrong_exit_codes"}
