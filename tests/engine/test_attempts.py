"""Attempts: launched, ended, failed to launch, lost; in any order, late and twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobs.core.jobs import (
    GIB,
    Cancelled,
    Dependency,
    Failed,
    Forecast,
    Held,
    JobId,
    JobSpec,
    Lost,
    Needs,
    OnReboot,
    OutOfMemory,
    Paused,
    Queued,
    ReasonCode,
    Running,
    Starting,
    StateName,
    Succeeded,
    TimedOut,
    Usage,
)
from jobs.core.machine import Capacity, Device, Pressure
from jobs.core.ports import Exit, ExitCause
from jobs.core.rules import SchedulerSettings
from jobs.engine.attempts import INTERRUPTED_TRIES, LAUNCH_TRIES, REBOOT_TRIES, SAVED
from jobs.engine.events import (
    AttemptEnded,
    AttemptMissing,
    CancelRequested,
    Event,
    ForecastsMade,
    HoldRequested,
    LaunchAccepted,
    LaunchFailed,
    PauseAttempt,
    Rebooted,
    ResumeAttempt,
    StartAttempt,
    StopAttempt,
)
from jobs.engine.step import unfinished, wants_head
from tests.engine.shell import Shell, calm, ended, exited, plain

ONE = JobId(1)


@pytest.fixture
def starting() -> Shell:
    shell = Shell()
    shell.submit(1, plain(Needs(time_limit_s=300.0), grace_s=7.0))
    (effect,) = shell.decide()
    assert isinstance(effect, StartAttempt)
    assert isinstance(effect.job.state, Starting)
    return shell


@pytest.fixture
def running(starting: Shell) -> Shell:
    starting.tell(LaunchAccepted(1_001.0, ONE, 1, 77, 1_000.5))
    return starting


def end(shell: Shell, exit_: Exit) -> object:
    shell.tell(AttemptEnded(2_000.0, ONE, 1, exit_))
    return shell.saved[ONE].state


def test_a_job_goes_from_submit_to_success(running: Shell) -> None:
    assert running.saved[ONE].state == Running(1_000.5, 1, running.saved[ONE].state.grant, 77)  # type: ignore[union-attr]
    state = end(running, exited(0))
    assert isinstance(state, Succeeded)
    assert (state.started_at, state.finished_at) == (1_990.0, 2_000.0)
    assert running.saved[ONE].usage.cpu_s == 1.0
    assert running.words(1) == ["submitted", "starting", "running", "succeeded"]
    assert ONE not in running.world.jobs


def test_an_end_may_be_told_before_the_launch(starting: Shell) -> None:
    assert isinstance(end(starting, exited(0)), Succeeded)
    assert starting.tell(LaunchAccepted(2_001.0, ONE, 1, 77, 1_000.5)) == []
    assert starting.state(1) is StateName.SUCCEEDED


@pytest.mark.parametrize(
    ("exit_", "kind", "cause"),
    [
        (exited(3), Failed, "exit code 3"),
        (exited(signal=11), Failed, "signal 11"),
        (ended(ExitCause.CANCELLED), Failed, "stopped by something outside the queue"),
        (ended(ExitCause.COULD_NOT_START, detail="no such file"), Failed, "no such file"),
        (ended(ExitCause.SUPERVISOR_DIED, detail="killed"), Lost, "killed"),
    ],
)
def test_how_it_ended_is_what_the_supervisor_wrote(
    running: Shell, exit_: Exit, kind: type[Failed | Lost], cause: str
) -> None:
    state = end(running, exit_)
    assert isinstance(state, kind)
    assert state.cause == cause


def test_limits_are_told_with_their_numbers(running: Shell) -> None:
    state = end(running, ended(ExitCause.TIMED_OUT))
    assert isinstance(state, TimedOut)
    assert (state.limit_s, state.signal) == (300.0, 15)


def test_out_of_memory_is_told_with_peak_and_limit(running: Shell) -> None:
    state = end(running, ended(ExitCause.OUT_OF_MEMORY))
    assert isinstance(state, OutOfMemory)
    assert (state.peak_bytes, state.limit_bytes) == (GIB, 2 * GIB)


def test_a_job_that_never_ran_has_no_exit_code(starting: Shell) -> None:
    state = end(starting, ended(ExitCause.COULD_NOT_START))
    assert isinstance(state, Failed)
    assert (state.started_at, state.exit_code, state.signal) == (None, None, None)


def test_late_and_repeated_events_change_nothing(running: Shell) -> None:
    end(running, exited(0))
    world, saved, story = running.world, dict(running.saved), list(running.story)
    late: list[Event] = [
        AttemptEnded(2_000.0, ONE, 1, exited(9)),
        AttemptMissing(2_000.0, ONE, 1, "gone"),
        LaunchAccepted(2_000.0, ONE, 1, 78, 1_999.0),
        LaunchFailed(2_000.0, ONE, 1, "late"),
        Rebooted(2_000.0, ONE, 1),
        CancelRequested(2_000.0, saved[ONE]),
    ]
    for event in late:
        assert running.tell(event) == []
    assert (running.world, running.saved, running.story) == (world, saved, story)


def test_events_of_another_attempt_are_not_ours(running: Shell) -> None:
    running.tell(AttemptEnded(2_000.0, ONE, 2, exited(0)))
    running.tell(AttemptMissing(2_000.0, ONE, 0, "gone"))
    assert running.state(1) is StateName.RUNNING


def test_a_failed_launch_is_tried_again_later_and_fails_the_job_in_the_end() -> None:
    shell = Shell()
    shell.submit(1)
    for attempt in range(1, LAUNCH_TRIES + 1):
        assert len(shell.decide()) == 1
        assert shell.world.retry_at == {}
        shell.tell(LaunchFailed(shell.at, ONE, attempt, "no more processes"))
        if attempt < LAUNCH_TRIES:
            assert isinstance(shell.saved[ONE].state, Queued)
            assert shell.decide() == []
            (reason,) = shell.saved[ONE].reasons
            assert (reason.code, reason.detail) == (ReasonCode.START_FAILED, "no more processes")
            assert reason.until_at == shell.wake_at == shell.at + 30
        shell.at += 30
    state = shell.saved[ONE].state
    assert isinstance(state, Failed)
    assert state.cause == "it could not be started: no more processes"
    assert state.started_at is None
    assert shell.world.retry_at == {}


def test_a_missing_attempt_is_lost_and_never_a_success(running: Shell) -> None:
    running.tell(AttemptMissing(2_000.0, ONE, 1, "its supervisor is gone"))
    state = running.saved[ONE].state
    assert isinstance(state, Lost)
    assert (state.cause, state.started_at) == ("its supervisor is gone", 1_000.5)


def test_an_attempt_of_an_earlier_boot_is_lost_with_that_cause(running: Shell) -> None:
    running.tell(Rebooted(2_000.0, ONE, 1))
    state = running.saved[ONE].state
    assert isinstance(state, Lost)
    assert "restarted" in state.cause


def test_a_job_that_may_be_repeated_is_queued_again_after_a_restart_and_its_story_says_why() -> None:
    shell = begun(OnReboot.REQUEUE)
    shell.tell(Rebooted(2_000.0, ONE, 1))
    assert isinstance(shell.saved[ONE].state, Queued)
    assert (shell.story[-1].event, shell.story[-1].detail) == (
        "requeued",
        "the machine was restarted while it ran",
    )
    assert len(shell.decide()) == 1
    assert shell.saved[ONE].attempts == 2


def test_it_is_queued_again_although_only_the_store_knows_that_its_dependency_is_met() -> None:
    shell = Shell()
    shell.submit(2)
    shell.submit(1, plain(on_reboot=OnReboot.REQUEUE, after=(Dependency(JobId(2)),)))
    for job_id in (2, 1):
        shell.decide()
        shell.tell(LaunchAccepted(shell.at, JobId(job_id), 1, 77, shell.at))
        if job_id == 2:
            shell.tell(AttemptEnded(shell.at, JobId(2), 1, exited()))
    shell.tell(Rebooted(2_000.0, ONE, 1))
    assert len(shell.decide()) == 1
    assert isinstance(shell.saved[ONE].state, Starting)


def test_a_stop_that_was_asked_for_before_the_restart_is_kept() -> None:
    shell = begun(OnReboot.REQUEUE)
    shell.tell(CancelRequested(1_500.0, shell.saved[ONE]))
    shell.tell(Rebooted(2_000.0, ONE, 1))
    assert isinstance(shell.saved[ONE].state, Cancelled)


def test_a_paused_job_does_not_go_on_by_itself_after_a_restart() -> None:
    shell = begun(OnReboot.REQUEUE)
    shell.tell(HoldRequested(1_500.0, shell.saved[ONE]))
    assert isinstance(shell.saved[ONE].state, Paused)
    shell.tell(Rebooted(2_000.0, ONE, 1))
    assert isinstance(shell.saved[ONE].state, Held)


def test_a_job_that_may_be_what_brings_the_machine_down_is_not_tried_for_ever() -> None:
    shell = begun(OnReboot.REQUEUE)
    for attempt in range(1, REBOOT_TRIES + 1):
        assert isinstance(shell.saved[ONE].state, Running)
        shell.tell(Rebooted(shell.at, ONE, attempt))
        shell.decide()
        shell.tell(LaunchAccepted(shell.at, ONE, attempt + 1, 77, shell.at))
    state = shell.saved[ONE].state
    assert isinstance(state, Lost)
    assert "5 times" in state.cause


def test_only_launches_that_fail_in_a_row_are_counted() -> None:
    shell = begun(OnReboot.REQUEUE)
    shell.tell(Rebooted(shell.at, ONE, 1))
    for attempt in range(2, 2 + LAUNCH_TRIES):
        assert isinstance(shell.saved[ONE].state, Queued), attempt
        shell.at += 31
        assert len(shell.decide()) == 1
        shell.tell(LaunchFailed(shell.at, ONE, attempt, "no more processes"))
    assert isinstance(shell.saved[ONE].state, Failed)


def begun(on_reboot: OnReboot) -> Shell:
    """One job, running."""
    shell = Shell()
    shell.submit(1, plain(on_reboot=on_reboot))
    shell.decide()
    shell.tell(LaunchAccepted(shell.at, ONE, 1, 77, shell.at))
    return shell


# --- stopping --------------------------------------------------------------------------------------------


def test_a_running_job_is_stopped_and_becomes_cancelled(running: Shell) -> None:
    stop = StopAttempt(ONE, 1, 7.0)
    assert running.tell(CancelRequested(1_500.0, running.saved[ONE])) == [stop]
    assert running.tell(CancelRequested(1_501.0, running.saved[ONE])) == [stop]
    state = running.saved[ONE].state
    assert isinstance(state, Running)
    assert state.cancel_requested_at == 1_500.0
    assert running.words(1).count("stop asked for") == 1
    state_after = end(running, ended(ExitCause.CANCELLED, code=0))
    assert isinstance(state_after, Cancelled)
    assert state_after.exit_code == 0


def test_a_job_that_ends_by_itself_before_the_stop_reaches_it_keeps_its_fate(running: Shell) -> None:
    running.tell(CancelRequested(1_500.0, running.saved[ONE]))
    assert isinstance(end(running, exited(0)), Succeeded)


def test_a_stop_asked_for_while_it_starts_is_remembered(starting: Shell) -> None:
    assert starting.tell(CancelRequested(1_000.1, starting.saved[ONE])) == []
    assert starting.tell(CancelRequested(1_000.2, starting.saved[ONE])) == []
    effects = starting.tell(LaunchAccepted(1_001.0, ONE, 1, 77, 1_000.5))
    assert effects == [StopAttempt(ONE, 1, 7.0)]
    assert isinstance(end(starting, ended(ExitCause.CANCELLED)), Cancelled)


def test_a_stop_asked_for_while_it_starts_cancels_what_never_launched(starting: Shell) -> None:
    starting.tell(CancelRequested(1_000.1, starting.saved[ONE]))
    starting.tell(LaunchFailed(1_001.0, ONE, 1, "no more processes"))
    state = starting.saved[ONE].state
    assert isinstance(state, Cancelled)
    assert state.started_at is None


def test_a_paused_job_is_let_go_on_to_hear_that_it_should_stop(running: Shell) -> None:
    assert running.tell(HoldRequested(1_400.0, running.saved[ONE])) == [PauseAttempt(ONE, 1)]
    assert running.state(1) is StateName.PAUSED
    effects = running.tell(CancelRequested(1_500.0, running.saved[ONE]))
    assert effects == [StopAttempt(ONE, 1, 7.0), ResumeAttempt(ONE, 1)]
    assert isinstance(end(running, ended(ExitCause.CANCELLED)), Cancelled)


def test_a_restarted_shell_asks_again_for_what_may_be_undone(running: Shell) -> None:
    assert unfinished(running.world) == (ResumeAttempt(ONE, 1),)
    running.tell(HoldRequested(1_400.0, running.saved[ONE]))
    assert unfinished(running.world) == (PauseAttempt(ONE, 1),)
    running.tell(CancelRequested(1_500.0, running.saved[ONE]))
    assert unfinished(running.world) == (ResumeAttempt(ONE, 1), StopAttempt(ONE, 1, 7.0))


def test_a_start_that_failed_after_a_restart_is_tried_again_though_its_dependencies_ended_before() -> None:
    """The world of a new scheduler has the active jobs only; what they had waited for is in the store."""
    shell = Shell()
    shell.submit(1, plain())
    shell.decide()
    shell.tell(AttemptEnded(1_001.0, ONE, 1, exited(0)))
    shell.submit(2, plain(after=(Dependency(ONE),)))
    (start,) = shell.decide()
    assert isinstance(start, StartAttempt)
    shell.world = replace(shell.world, dependency_states={}, queued_outside_window=0)
    shell.tell(LaunchFailed(shell.at, JobId(2), 1, "the scheduler stopped before it was launched"))
    assert wants_head(shell.world), "its place is found from the store, with the fates"


def test_starts_that_the_scheduler_interrupted_do_not_count_as_the_jobs_failures() -> None:
    shell = Shell()
    shell.submit(1, plain())
    cause = "the scheduler stopped before it was launched"
    for attempt in range(1, INTERRUPTED_TRIES):
        assert any(isinstance(effect, StartAttempt) for effect in shell.decide())
        shell.tell(LaunchFailed(shell.at, ONE, attempt, cause, interrupted=True))
        assert shell.state(1) is StateName.QUEUED
        shell.at += 3600
    shell.decide()
    shell.tell(LaunchFailed(shell.at, ONE, INTERRUPTED_TRIES, cause, interrupted=True))
    assert shell.state(1) is StateName.FAILED


# --- memory -----------------------------------------------------------------------------------------


def out_of_memory(shell: Shell, attempt: int, *, peak: int = 2 * GIB, limit: int | None = None) -> None:
    shell.at += 100.0
    exit_ = Exit(
        ExitCause.OUT_OF_MEMORY,
        None,
        9,
        shell.at - 10,
        shell.at,
        Usage(peak_mem_bytes=peak),
        mem_limit_bytes=limit,
    )
    shell.tell(AttemptEnded(shell.at, ONE, attempt, exit_))


def run(shell: Shell, attempt: int) -> None:
    shell.decide()
    assert shell.state(1) is StateName.STARTING, shell.saved[ONE].reasons
    shell.tell(LaunchAccepted(shell.at, ONE, attempt, 77, shell.at))


REPEATABLE = plain(Needs(mem_bytes=2 * GIB, mem_is_limit=True), on_reboot=OnReboot.REQUEUE)


def test_out_of_memory_is_tried_again_with_more_three_times_and_then_told() -> None:
    shell = Shell(capacity=Capacity(cpus=4.0, mem_bytes=64 * GIB))
    shell.submit(1, REPEATABLE)
    for attempt, reserved in enumerate([2 * GIB, 4 * GIB, 8 * GIB], 1):
        run(shell, attempt)
        assert shell.saved[ONE].needs.mem_bytes == reserved
        assert shell.saved[ONE].mem_limit_bytes == reserved
        out_of_memory(shell, attempt, limit=reserved)
        assert shell.state(1) is StateName.QUEUED
    run(shell, 4)
    out_of_memory(shell, 4, limit=16 * GIB)
    assert shell.state(1) is StateName.OUT_OF_MEMORY
    assert shell.words(1).count("ran out of memory") == 3
    assert shell.saved[ONE].lost_s == 30.0


def test_what_the_peak_says_counts_where_it_is_more() -> None:
    shell = Shell(capacity=Capacity(cpus=4.0, mem_bytes=64 * GIB))
    shell.submit(1, replace(REPEATABLE, needs=Needs(mem_bytes=GIB)))
    run(shell, 1)
    out_of_memory(shell, 1, peak=8 * GIB)
    assert shell.saved[ONE].grown_mem_bytes == 10 * GIB
    assert shell.saved[ONE].mem_limit_bytes is None


@pytest.mark.parametrize(
    "spec",
    [
        plain(Needs(mem_bytes=2 * GIB)),
        replace(REPEATABLE, explicit_needs=("mem",)),
    ],
    ids=["cannot be repeated", "the person's own limit"],
)
def test_out_of_memory_ends_what_is_not_ours_to_repeat(spec: JobSpec) -> None:
    shell = Shell(capacity=Capacity(cpus=4.0, mem_bytes=64 * GIB))
    shell.submit(1, spec)
    run(shell, 1)
    out_of_memory(shell, 1, limit=2 * GIB)
    assert shell.state(1) is StateName.OUT_OF_MEMORY


def test_a_job_that_already_had_all_of_the_memory_ends() -> None:
    shell = Shell(capacity=Capacity(cpus=4.0, mem_bytes=16 * GIB))
    shell.submit(1, replace(REPEATABLE, needs=Needs(mem_bytes=9 * GIB, mem_is_limit=True)))
    run(shell, 1)
    out_of_memory(shell, 1, limit=9 * GIB)
    assert shell.saved[ONE].grown_mem_bytes == 15 * GIB, "all but the headroom"
    run(shell, 2)
    out_of_memory(shell, 2, limit=15 * GIB)
    assert shell.state(1) is StateName.OUT_OF_MEMORY


def out_of_gpu_memory(shell: Shell, attempt: int) -> None:
    shell.at += 100.0
    usage = Usage()
    exit_ = Exit(ExitCause.EXITED, 1, None, shell.at - 10, shell.at, usage, out_of_gpu_memory=True)
    shell.tell(AttemptEnded(shell.at, ONE, attempt, exit_))


def test_out_of_gpu_memory_is_tried_again_with_more_until_the_whole_device_was_too_small() -> None:
    devices = (Device("GPU-1", 0, "card", 20 * GIB),)
    shell = Shell(
        capacity=Capacity(4.0, 64 * GIB, devices), rules=SchedulerSettings(gpu_mem_headroom_fraction=0.05)
    )
    shell.submit(1, replace(REPEATABLE, needs=Needs(gpus=1, gpu_mem_bytes=6 * GIB)))
    for attempt, reserved in enumerate([6 * GIB, 12 * GIB, 19 * GIB], 1):
        run(shell, attempt)
        assert shell.saved[ONE].needs.gpu_mem_bytes == reserved
        out_of_gpu_memory(shell, attempt)
    state = shell.saved[ONE].state
    assert isinstance(state, Failed)
    assert state.cause == "it ran out of GPU memory (exit code 1)"
    assert shell.words(1).count("ran out of GPU memory") == 2
    assert shell.saved[ONE].needs.mem_bytes == Needs().mem_bytes


@pytest.mark.parametrize(
    "spec",
    [
        plain(Needs(gpus=1, gpu_mem_bytes=6 * GIB)),
        replace(REPEATABLE, needs=Needs(gpus=1, gpu_mem_bytes=6 * GIB), explicit_needs=("vram",)),
        replace(REPEATABLE, needs=Needs(gpus=1)),
    ],
    ids=["cannot be repeated", "the person's own amount", "a whole device"],
)
def test_out_of_gpu_memory_ends_what_is_not_ours_to_repeat(spec: JobSpec) -> None:
    shell = Shell(capacity=Capacity(4.0, 64 * GIB, (Device("GPU-1", 0, "card", 20 * GIB),)))
    shell.submit(1, spec)
    run(shell, 1)
    out_of_gpu_memory(shell, 1)
    assert shell.state(1) is StateName.FAILED


def test_what_was_learned_is_reserved_from_the_start_to_the_end() -> None:
    shell = Shell()
    shell.submit(1, plain(Needs(cpus=2, mem_bytes=8 * GIB)))
    shell.load_head()
    learned = Needs(cpus=1, mem_bytes=2 * GIB)
    shell.tell(ForecastsMade(shell.at, {ONE: Forecast(60.0, 1.0, 6, 0.5, learned, 6)}))
    run(shell, 1)
    state = shell.saved[ONE].state
    assert isinstance(state, Running)
    assert state.grant.reserved == learned
    shell.tell(ForecastsMade(shell.at, {ONE: Forecast(60.0, 1.0, 7)}))
    assert shell.saved[ONE].needs == learned, "a running job keeps what it was started with"


def test_who_saved_because_memory_stalled_reserves_what_it_used_from_then_on() -> None:
    shell = Shell(capacity=Capacity(cpus=4.0, mem_bytes=16 * GIB))
    shell.submit(1, replace(plain(Needs(mem_bytes=2 * GIB)), checkpoint=True))
    run(shell, 1)
    shell.at += 50.0
    calm_one = calm(shell.at, shell.capacity, shell.world.jobs)
    used = {ONE: Usage(mem_bytes=5 * GIB)}
    shell.decide(sample=replace(calm_one, jobs=used, pressure=Pressure(memory_full_avg10=40.0)))
    assert "asked to save and stop" in shell.words(1)
    exit_ = Exit(ExitCause.EXITED, SAVED, None, shell.at - 50, shell.at, Usage(peak_mem_bytes=6 * GIB))
    shell.tell(AttemptEnded(shell.at, ONE, 1, exit_))
    assert shell.state(1) is StateName.QUEUED
    assert shell.saved[ONE].needs.mem_bytes == 6 * GIB
