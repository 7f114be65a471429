"""Jobs that save and stop to make room: what they keep, what they lose, and who breaks the promise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.core.jobs import Cancelled, Dependency, Held, JobId, Queued, Running, StateName, Succeeded
from jobs.core.ports import Exit, ExitCause
from jobs.core.world import Eviction, Plan, World
from jobs.engine import step as engine
from jobs.engine.attempts import SAVED
from jobs.engine.events import (
    AttemptEnded,
    BecameReady,
    CancelRequested,
    CheckpointResult,
    Decide,
    HoldRequested,
    LaunchAccepted,
    ReleaseRequested,
    Resumed,
    StopAttempt,
)
from jobs.engine.step import unfinished
from jobs.policy.order import waited_s
from tests.engine.shell import Shell, ended, exited, plain

ONE, TWO = JobId(1), JobId(2)
STOP = StopAttempt(ONE, 1, 7.0)


@pytest.fixture
def evicting(monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Job 1 began at 1,000.5 and was asked at 1,500 to make room for job 2."""
    shell = Shell()
    shell.submit(1, plain(grace_s=7.0, checkpoint=True))
    shell.decide()
    shell.tell(LaunchAccepted(1_001.0, ONE, 1, 77, 1_000.5))
    shell.tell(HoldRequested(1_400.0, shell.submit(2)))  # out of the way of the next decision
    shell.saved[TWO] = replace(shell.saved[TWO], state=Queued(1_400.0))
    shell.world = replace(shell.world, jobs={**shell.world.jobs, TWO: shell.saved[TWO]})

    def plan(world: World) -> Plan:
        return Plan(evictions=(Eviction(ONE, (TWO,)),))

    monkeypatch.setattr(engine, "decide", plan)
    effects = shell.tell(Decide(1_500.0, estimate=False))
    assert STOP in effects
    monkeypatch.undo()
    return shell


def end(shell: Shell, exit_: Exit) -> object:
    shell.tell(AttemptEnded(exit_.finished_at, ONE, 1, replace(exit_, started_at=1_000.5)))
    return shell.saved[ONE].state


def test_it_holds_its_place_until_it_has_stopped_and_the_other_is_promised_it(evicting: Shell) -> None:
    state = evicting.saved[ONE].state
    assert isinstance(state, Running)
    assert (state.evict_requested_at, state.evict_for) == (1_500.0, (TWO,))
    assert evicting.world.promised == (TWO,)
    assert unfinished(evicting.world)[-1] == STOP
    assert isinstance(end(evicting, exited(SAVED, at=1_504.0)), Queued)
    assert evicting.world.promised == (TWO,)  # the next decision still has to keep it
    evicting.decide()
    assert not evicting.world.promised


def test_what_it_did_is_kept_and_the_time_of_saving_is_lost(evicting: Shell) -> None:
    end(evicting, exited(SAVED, at=1_504.0))
    job = evicting.saved[ONE]
    assert (job.attained_s, job.lost_s, job.evictions, job.attempts) == (499.5, 4.0, 1, 1)
    assert evicting.words(1)[-2:] == ["asked to save and stop", "saved and stopped"]
    assert job.spec.checkpoint


def test_what_it_took_to_save_and_to_be_at_work_again_is_told_and_is_no_progress(evicting: Shell) -> None:
    asked = evicting.tell(
        AttemptEnded(1_504.0, ONE, 1, replace(exited(SAVED, at=1_504.0), started_at=1_000.5))
    )
    assert CheckpointResult(evicting.saved[ONE].spec, True, 4.0) in asked
    assert not [effect for effect in asked if isinstance(effect, Resumed)], "it began at the beginning"
    done_s = evicting.saved[ONE].attained_s
    evicting.tell(HoldRequested(1_505.0, evicting.saved[TWO]))
    evicting.decide()
    evicting.tell(LaunchAccepted(1_506.0, ONE, 2, 78, 1_506.0))
    again = replace(exited(SAVED, at=1_606.0), started_at=1_506.0, first_report_s=12.0)
    told = evicting.tell(AttemptEnded(1_606.0, ONE, 2, again))
    assert Resumed(evicting.saved[ONE].spec, 12.0) in told
    assert evicting.saved[ONE].attained_s == done_s + 88.0


def test_one_that_reports_seldom_says_nothing_of_what_its_restart_took(evicting: Shell) -> None:
    end(evicting, exited(SAVED, at=1_504.0))
    evicting.tell(HoldRequested(1_505.0, evicting.saved[TWO]))
    evicting.decide()
    evicting.tell(LaunchAccepted(1_506.0, ONE, 2, 78, 1_506.0))
    rare = replace(exited(0, at=9_000.0), started_at=1_506.0, first_report_s=3_600.0)
    told = evicting.tell(AttemptEnded(9_000.0, ONE, 2, rare))
    assert not [effect for effect in told if isinstance(effect, Resumed)]


@pytest.mark.parametrize(
    "exit_", [exited(1, at=1_502.0), exited(signal=15, at=1_502.0), ended(ExitCause.CANCELLED, at=1_507.0)]
)
def test_one_that_does_not_keep_its_word_waits_again_and_is_never_asked_again(
    evicting: Shell, exit_: Exit
) -> None:
    assert isinstance(end(evicting, exit_), Queued)
    job = evicting.saved[ONE]
    assert not job.can_save
    assert job.attained_s == 0.0
    assert job.lost_s == exit_.finished_at - 1_000.5
    assert "is not asked again" in evicting.story[-1].detail


@pytest.mark.parametrize("exit_", [exited(0, at=1_501.0), ended(ExitCause.CANCELLED, code=0, at=1_501.0)])
def test_one_that_was_done_anyway_has_succeeded(evicting: Shell, exit_: Exit) -> None:
    assert isinstance(end(evicting, exit_), Succeeded)


def test_a_cancel_goes_before_and_a_hold_after(evicting: Shell) -> None:
    evicting.tell(HoldRequested(1_501.0, evicting.saved[ONE]))
    assert evicting.state(1) is StateName.RUNNING
    assert isinstance(end(evicting, exited(SAVED, at=1_504.0)), Held)


def test_a_cancelled_one_does_not_come_back(evicting: Shell) -> None:
    assert evicting.tell(CancelRequested(1_501.0, evicting.saved[ONE])) == [STOP]
    assert isinstance(end(evicting, ended(ExitCause.CANCELLED, code=SAVED, at=1_504.0)), Cancelled)


def test_one_that_saves_and_stops_by_itself_is_held() -> None:
    shell = Shell()
    shell.submit(1, plain(checkpoint=True))
    shell.decide()
    shell.tell(LaunchAccepted(1_001.0, ONE, 1, 77, 1_000.5))
    state = end(shell, exited(SAVED, at=1_100.5))
    assert isinstance(state, Held)
    assert (shell.saved[ONE].attained_s, shell.saved[ONE].evictions) == (100.0, 0)


def test_exit_code_75_of_a_job_that_promised_nothing_is_a_failure() -> None:
    shell = Shell()
    shell.submit(1)
    shell.decide()
    shell.tell(LaunchAccepted(1_001.0, ONE, 1, 77, 1_000.5))
    end(shell, exited(SAVED))
    assert shell.state(1) is StateName.FAILED


def test_time_in_which_it_was_not_to_run_is_no_waiting() -> None:
    shell = Shell()
    first = shell.submit(1, plain())
    second = shell.submit(2, plain(after=(Dependency(ONE),)))
    shell.tell(HoldRequested(2_000.0, first))
    shell.tell(ReleaseRequested(2_500.0, shell.saved[ONE], {}))
    assert shell.saved[ONE].idle_s == 500.0
    shell.tell(BecameReady(3_000.0, second, {ONE: StateName.SUCCEEDED}))
    assert waited_s(shell.saved[TWO], 3_010.0) == 10.0


def test_a_look_at_the_front_alone_does_not_reckon_what_is_at_hand() -> None:
    shell = Shell()
    shell.submit(1, plain())
    shell.decide(estimate=False)
    assert shell.world.backlog_s == 0.0
    shell.submit(2, plain())
    shell.decide()
    assert shell.world.backlog_s > 0.0
