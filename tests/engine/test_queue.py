"""The queue: submit, hold, release, priority, dependencies, and the head that the world holds."""

from __future__ import annotations

from dataclasses import replace

from jobs.core.jobs import (
    GIB,
    Cancelled,
    Dependency,
    DependencyKind,
    Failed,
    Job,
    JobId,
    JobSpec,
    Needs,
    Queued,
    ReasonCode,
    StateName,
    Usage,
)
from jobs.core.machine import Capacity, Pressure
from jobs.core.rules import SchedulerSettings
from jobs.engine.events import (
    AttemptEnded,
    CancelRequested,
    CapacityChanged,
    Decide,
    DrainChanged,
    Effect,
    HeadLoaded,
    HoldRequested,
    LaunchAccepted,
    PauseAttempt,
    PriorityChanged,
    ReleaseRequested,
    ResumeAttempt,
    RulesChanged,
    Sampled,
    StartAttempt,
    Submitted,
)
from jobs.engine.step import wants_head
from tests.engine.shell import Shell, calm, exited, plain
from tests.policy.worlds import FIRST_COME

OK, ANY = DependencyKind.OK, DependencyKind.ANY


def after(*jobs: int, kind: DependencyKind = OK) -> JobSpec:
    return plain(after=tuple(Dependency(JobId(job_id), kind) for job_id in jobs))


def begun(effects: list[Effect]) -> list[int]:
    return [effect.job.id for effect in effects if isinstance(effect, StartAttempt)]


def run(shell: Shell, job_id: int, code: int = 0) -> None:
    """Launch and end a job that is starting."""
    attempt = shell.saved[JobId(job_id)].attempts
    shell.tell(LaunchAccepted(shell.at, JobId(job_id), attempt, 7, shell.at))
    shell.tell(AttemptEnded(shell.at, JobId(job_id), attempt, exited(code, at=shell.at)))


def test_a_job_submitted_twice_is_one_job() -> None:
    shell = Shell()
    job = shell.submit(1)
    shell.load_head()
    shell.tell(Submitted(shell.at, job))
    assert shell.words(1) == ["submitted"]


def test_a_held_job_starts_only_when_released() -> None:
    shell = Shell()
    shell.submit(1, hold=True)
    assert shell.decide() == []
    shell.tell(ReleaseRequested(shell.at, shell.saved[JobId(1)]))
    assert begun(shell.decide()) == [1]
    assert shell.words(1) == ["submitted", "released", "starting"]


def test_a_queued_job_can_be_held_and_a_running_one_paused_and_both_released() -> None:
    shell = Shell(Capacity(1.0, 8 * GIB))
    shell.submit(1)
    shell.submit(2)
    assert begun(shell.decide()) == [1]
    shell.tell(HoldRequested(shell.at, shell.saved[JobId(2)]))
    assert shell.state(2) is StateName.HELD
    shell.tell(LaunchAccepted(shell.at, JobId(1), 1, 7, shell.at))
    assert shell.tell(HoldRequested(shell.at, shell.saved[JobId(1)])) == [PauseAttempt(JobId(1), 1)]
    assert shell.tell(HoldRequested(shell.at, shell.saved[JobId(1)])) == []
    assert shell.tell(ReleaseRequested(shell.at, shell.saved[JobId(1)])) == [ResumeAttempt(JobId(1), 1)]
    assert shell.state(1) is StateName.RUNNING
    assert shell.words(1)[-2:] == ["paused", "resumed"]


def test_a_hold_that_comes_while_it_starts_changes_nothing() -> None:
    shell = Shell()
    shell.submit(1)
    shell.decide()
    assert shell.tell(HoldRequested(shell.at, shell.saved[JobId(1)])) == []
    assert shell.state(1) is StateName.STARTING


def test_waiting_jobs_are_cancelled_at_once() -> None:
    shell = Shell(Capacity(1.0, 8 * GIB))
    for job_id in (1, 2):
        shell.submit(job_id)
    shell.submit(3, hold=True)
    shell.decide()
    for job_id in (2, 3):
        shell.tell(CancelRequested(shell.at, shell.saved[JobId(job_id)]))
        state = shell.saved[JobId(job_id)].state
        assert isinstance(state, Cancelled)
        assert (state.started_at, state.cause) == (None, "cancelled by you")


def test_an_outdated_view_of_an_active_job_changes_nothing() -> None:
    shell = Shell()
    shell.submit(1)
    shell.decide()
    shell.tell(LaunchAccepted(shell.at, JobId(1), 1, 7, shell.at))
    outdated = shell.saved[JobId(1)]
    shell.tell(AttemptEnded(shell.at, JobId(1), 1, exited()))
    for event in (
        CancelRequested(shell.at, outdated),
        HoldRequested(shell.at, outdated),
        ReleaseRequested(shell.at, outdated),
        PriorityChanged(shell.at, outdated, 1),
    ):
        assert shell.tell(event) == []
    assert shell.state(1) is StateName.SUCCEEDED


def test_priority_changes_who_goes_first() -> None:
    shell = Shell(Capacity(1.0, 8 * GIB))
    shell.submit(1)
    shell.submit(2)
    shell.load_head()
    shell.tell(PriorityChanged(shell.at, shell.saved[JobId(2)], 90))
    assert begun(shell.decide()) == [2]
    assert shell.saved[JobId(2)].spec.priority == 90


# --- dependencies ----------------------------------------------------------------------------------------


def test_a_dependent_starts_when_what_it_waits_for_has_succeeded() -> None:
    shell = Shell()
    shell.submit(1)
    shell.submit(2, after(1))
    assert begun(shell.decide()) == [1]
    run(shell, 1)
    assert begun(shell.decide()) == [2]


def test_a_chain_falls_when_its_first_link_fails_and_says_why() -> None:
    shell = Shell()
    shell.submit(5)
    shell.submit(6, after(5))
    shell.submit(7, after(6))
    shell.submit(8, after(6, kind=ANY))
    shell.decide()
    run(shell, 5, code=2)
    first, second = shell.saved[JobId(6)].state, shell.saved[JobId(7)].state
    assert isinstance(first, Cancelled)
    assert isinstance(second, Cancelled)
    assert first.cause == "#5 failed; this job needed it to succeed"
    assert second.cause == "#6 was cancelled; this job needed it to succeed"
    assert begun(shell.decide()) == [8]


def test_a_job_that_waits_for_any_end_starts_after_a_failure() -> None:
    shell = Shell()
    shell.submit(1)
    shell.submit(2, after(1, kind=ANY))
    shell.decide()
    run(shell, 1, code=1)
    assert begun(shell.decide()) == [2]


def test_a_dependency_that_is_already_settled_is_seen_at_submit() -> None:
    shell = Shell()
    shell.submit(1)
    shell.decide()
    run(shell, 1, code=1)
    shell.submit(2, after(1, kind=ANY))
    shell.submit(3, after(1))
    assert begun(shell.decide()) == [2]
    state = shell.saved[JobId(3)].state
    assert isinstance(state, Cancelled)
    assert "#1 failed" in state.cause


def test_a_held_dependent_is_not_started_by_the_end_it_waited_for() -> None:
    shell = Shell()
    shell.submit(1)
    shell.submit(2, after(1))
    shell.decide()
    shell.tell(HoldRequested(shell.at, shell.saved[JobId(2)]))
    run(shell, 1)
    assert shell.decide() == []
    job = shell.saved[JobId(2)]
    shell.tell(ReleaseRequested(shell.at, job, shell.fates(job)))
    assert begun(shell.decide()) == [2]


def test_a_job_released_before_its_dependency_ends_still_waits() -> None:
    shell = Shell()
    shell.submit(1)
    shell.submit(2, after(1), hold=True)
    shell.decide()
    job = shell.saved[JobId(2)]
    shell.tell(ReleaseRequested(shell.at, job, shell.fates(job)))
    assert shell.decide() == []
    run(shell, 1)
    assert begun(shell.decide()) == [2]


# --- the head -------------------------------------------------------------------------------------------


def test_the_world_holds_a_window_and_asks_for_more_when_half_of_it_is_gone() -> None:
    shell = Shell(Capacity(1.0, 8 * GIB), SchedulerSettings(window=4))
    for job_id in range(1, 11):
        shell.submit(job_id)
    assert wants_head(shell.world)
    assert shell.world.jobs == {}
    order = []
    for _ in range(10):
        started = begun(shell.decide())
        order += started
        run(shell, started[0])
    assert order == list(range(1, 11))
    assert shell.world.jobs == {}


def test_an_urgent_job_enters_a_full_head_and_pushes_the_last_one_out() -> None:
    shell = Shell(Capacity(1.0, 8 * GIB), replace(FIRST_COME, window=3))
    for job_id in range(1, 4):
        shell.submit(job_id)
    shell.load_head()
    shell.submit(4, plain(priority=99))
    assert set(shell.world.jobs) == {4, 1, 2}
    assert shell.world.queued_outside_window == 1
    shell.submit(5)
    assert shell.world.queued_outside_window == 2
    assert begun(shell.decide()) == [4]


def test_a_job_that_loses_its_priority_goes_behind_those_the_world_does_not_hold() -> None:
    shell = Shell(Capacity(1.0, 8 * GIB), replace(FIRST_COME, window=2))
    for job_id in range(1, 5):
        shell.submit(job_id)
    shell.load_head()
    shell.tell(PriorityChanged(shell.at, shell.saved[JobId(1)], 10))
    assert set(shell.world.jobs) == {2}
    order = []
    for _ in range(4):
        started = begun(shell.decide())
        order += started
        run(shell, started[0])
    assert order == [2, 3, 4, 1]


def test_reloading_the_head_leaves_active_jobs_alone() -> None:
    shell = Shell(Capacity(1.0, 8 * GIB))
    shell.submit(1)
    shell.submit(2)
    shell.decide()
    outdated = replace(shell.saved[JobId(1)], state=Queued(0.0))
    shell.tell(HeadLoaded(shell.at, (outdated, shell.saved[JobId(2)]), 0))
    assert shell.world.jobs[JobId(1)].state.name is StateName.STARTING
    assert set(shell.world.jobs) == {1, 2}


# --- the machine, and what waiting jobs are told ------------------------------------------------------


def test_draining_holds_everything_and_lets_go_again() -> None:
    shell = Shell()
    shell.submit(1)
    shell.tell(DrainChanged(shell.at, True))
    assert shell.decide() == []
    assert [reason.code for reason in shell.saved[JobId(1)].reasons] == [ReasonCode.DRAINING]
    shell.tell(DrainChanged(shell.at, False))
    assert begun(shell.decide()) == [1]


def test_a_larger_machine_and_new_rules_are_obeyed_at_once() -> None:
    shell = Shell(Capacity(1.0, 4 * GIB))
    shell.submit(1, plain(Needs(cpus=1, mem_bytes=3 * GIB + 1)))
    shell.decide()
    assert [reason.code for reason in shell.saved[JobId(1)].reasons] == [ReasonCode.TOO_BIG]
    shell.tell(RulesChanged(shell.at, SchedulerSettings(mem_headroom_bytes=0)))
    assert begun(shell.decide()) == [1]
    shell.submit(2, plain(Needs(cpus=2, mem_bytes=GIB // 4)))
    shell.capacity = Capacity(4.0, 8 * GIB)
    shell.tell(CapacityChanged(shell.at, shell.capacity))
    assert begun(shell.decide()) == [2]


def test_pressure_closes_the_gate_until_it_has_been_calm() -> None:
    shell = Shell()
    shell.submit(1)
    stalled = replace(calm(shell.at, shell.capacity), pressure=Pressure(memory_full_avg10=9.0))
    assert shell.decide(sample=stalled) == []
    assert [reason.code for reason in shell.saved[JobId(1)].reasons] == [ReasonCode.PRESSURE]
    shell.at += 1
    assert shell.decide() == []
    assert shell.wake_at == shell.at + 30
    shell.at += 30
    assert begun(shell.decide()) == [1]


def test_reasons_are_told_again_only_when_they_mean_something_else() -> None:
    shell = Shell(Capacity(2.0, 8 * GIB))
    shell.submit(1, plain(Needs(cpus=1, mem_bytes=4 * GIB)))

    def told(available_gib: float) -> int:
        before = shell.saved[JobId(1)].reasons
        read = replace(calm(shell.at, shell.capacity), mem_available_bytes=int(available_gib * GIB))
        shell.decide(sample=read)
        shell.at += 1
        return int(shell.saved[JobId(1)].reasons != before)

    assert told(3.0) == 1
    assert told(3.1) == 0
    assert told(2.9) == 0
    assert told(2.2) == 1
    (reason,) = shell.saved[JobId(1)].reasons
    assert reason.code is ReasonCode.FOREIGN_MEMORY


def test_a_quick_decision_gives_reasons_only_to_those_that_have_none() -> None:
    shell = Shell(Capacity(1.0, 8 * GIB))
    shell.submit(1)
    shell.submit(2)
    shell.decide(estimate=False)
    first = shell.saved[JobId(2)].reasons
    assert first[0].jobs == (1,)
    run(shell, 1)
    shell.submit(3, plain(priority=99))
    shell.submit(4)
    assert begun(shell.decide(estimate=False)) == [3]
    assert shell.saved[JobId(2)].reasons == first
    assert shell.saved[JobId(4)].reasons[0].jobs == (3,)
    shell.tell(Decide(shell.at, True))
    assert shell.saved[JobId(2)].reasons[0].jobs == (3,)


def test_a_decision_without_a_reading_starts_nothing() -> None:
    shell = Shell()
    shell.submit(1)
    shell.load_head()
    shell.tell(Sampled(shell.at, None))
    assert shell.tell(Decide(shell.at)) == []
    assert [reason.code for reason in shell.saved[JobId(1)].reasons] == [ReasonCode.NO_SAMPLE]


def test_an_ended_job_is_never_submitted_again() -> None:
    shell = Shell()
    done = Job(JobId(1), plain(), Failed(None, 1.0, None, None, "x", Usage()), 0.0)
    assert shell.tell(Submitted(shell.at, done)) == []
    assert shell.saved == {}


def test_in_the_learned_order_a_job_waits_behind_those_like_it_and_another_kind_is_seen_at_once() -> None:
    shell = Shell(Capacity(1.0, 8 * GIB), SchedulerSettings(window=2))
    for job_id in range(1, 6):
        shell.submit(job_id)
    shell.load_head()
    inside = set(shell.world.jobs)
    assert len(inside) < 5
    shell.submit(6)
    assert set(shell.world.jobs) == inside, "older ones of its kind are not in the world yet"
    shell.submit(7, plain(user="ben"))
    assert set(shell.world.jobs) == inside | {7}
