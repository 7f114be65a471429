"""Random events in random order, late and twice: the shell's invariants hold after every one of them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.core.jobs import GIB, Active, Dependency, DependencyKind, Job, JobId, Needs, OnReboot
from jobs.core.machine import Capacity
from jobs.core.ports import ExitCause
from jobs.core.rules import SchedulerSettings
from jobs.core.world import World
from jobs.engine.events import (
    AttemptEnded,
    AttemptMissing,
    CancelRequested,
    Decide,
    DrainChanged,
    HoldRequested,
    LaunchAccepted,
    LaunchFailed,
    PriorityChanged,
    ReasonsChanged,
    Rebooted,
    ReleaseRequested,
    Save,
)
from jobs.engine.step import step
from tests.engine.shell import Shell, ended, exited, plain

SMALL = Capacity(2.0, 6 * GIB)
ACTS = (
    "submit",
    "decide",
    "decide",
    "launched",
    "launched",
    "launch failed",
    "ended",
    "ended",
    "missing",
    "rebooted",
    "cancel",
    "hold",
    "release",
    "priority",
    "drain",
    "old job",
    "head",
)


@st.composite
def acts(draw: st.DrawFn) -> list[tuple[str, int, int]]:
    one = st.tuples(st.sampled_from(ACTS), st.integers(1, 6), st.integers(0, 5))
    return draw(st.lists(one, min_size=5, max_size=60))


def perform(shell: Shell, act: str, job_id: int, choice: int) -> None:
    """Do one thing to one job, whether or not it makes sense."""
    shell.at += choice
    job = shell.saved.get(JobId(job_id))
    if act == "decide":
        shell.decide(estimate=bool(choice % 2))
    elif act == "head":
        shell.load_head()
    elif act == "drain":
        shell.tell(DrainChanged(shell.at, choice == 0))
    elif act == "submit":
        if job is None:
            kind = DependencyKind.OK if choice % 2 else DependencyKind.ANY
            on = [Dependency(JobId(i), kind) for i in (choice,) if i != job_id and JobId(i) in shell.saved]
            needs = Needs(cpus=0.5 + choice / 4, mem_bytes=(1 + choice % 2) * GIB)
            policy = OnReboot.REQUEUE if choice % 3 else OnReboot.FAIL
            made = plain(needs, after=tuple(on), priority=40 + choice, on_reboot=policy)
            shell.submit(job_id, made, hold=choice == 5)
        else:
            shell.submit(job_id) if isinstance(job.state, Active) else None
    elif job is not None:
        attempt = max(0, job.attempts - (choice == 4))
        match act:
            case "launched":
                shell.tell(LaunchAccepted(shell.at, job.id, attempt, 70 + job_id, shell.at))
            case "launch failed":
                shell.tell(LaunchFailed(shell.at, job.id, attempt, "no more processes"))
            case "ended":
                causes = [*ExitCause, ExitCause.EXITED]
                exit_ = exited(at=shell.at) if choice == 0 else ended(causes[choice], at=shell.at)
                shell.tell(AttemptEnded(shell.at, job.id, attempt, exit_))
                shell.tell(AttemptEnded(shell.at, job.id, attempt, exit_))
            case "missing":
                shell.tell(AttemptMissing(shell.at, job.id, attempt, "gone"))
            case "rebooted":
                shell.tell(Rebooted(shell.at, job.id, attempt))
            case "cancel":
                shell.tell(CancelRequested(shell.at, job))
            case "hold":
                shell.tell(HoldRequested(shell.at, job))
            case "release":
                shell.tell(ReleaseRequested(shell.at, job, shell.fates(job)))
            case "priority":
                shell.tell(PriorityChanged(shell.at, job, 40 + choice, shell.fates(job)))
            case "old job":
                if isinstance(job.state, Active):
                    shell.tell(CancelRequested(shell.at, replace(job, attempts=0)))


@settings(max_examples=200, deadline=None)
@given(acts(), st.sampled_from([1, 2, 256]))
def test_no_order_of_events_breaks_an_invariant(moves: list[tuple[str, int, int]], window: int) -> None:
    shell = Shell(SMALL, SchedulerSettings(window=window, settle_s=1.0))
    for act, job_id, choice in moves:
        perform(shell, act, job_id, choice)


@settings(max_examples=60, deadline=None)
@given(acts())
def test_replaying_the_log_gives_the_stored_world(moves: list[tuple[str, int, int]]) -> None:
    shell = Shell(SMALL)
    for act, job_id, choice in moves:
        perform(shell, act, job_id, choice)
    world, stored = World(1_000.0, SMALL), dict[JobId, Job]()
    for event in shell.log:
        world, effects = step(world, event)
        for effect in effects:
            if isinstance(effect, Save):
                stored[effect.job.id] = effect.job
            elif isinstance(effect, ReasonsChanged):
                stored[effect.job_id] = replace(
                    stored[effect.job_id],
                    reasons=effect.reasons,
                    estimated_start_at=effect.estimated_start_at,
                )
    assert stored == shell.saved
    assert world == shell.world
    assert all(stored[job_id] == job for job_id, job in world.jobs.items())


@settings(max_examples=60, deadline=None)
@given(acts())
def test_whatever_happened_every_job_can_still_come_to_an_end(moves: list[tuple[str, int, int]]) -> None:
    shell = Shell(SMALL)
    for act, job_id, choice in moves:
        perform(shell, act, job_id, choice)
    shell.tell(DrainChanged(shell.at, False))
    for _ in range(40):
        shell.at += 31
        for job in list(shell.saved.values()):
            shell.tell(ReleaseRequested(shell.at, job, shell.fates(job)))
        shell.decide()
        for job in list(shell.saved.values()):
            if isinstance(job.state, Active):
                shell.tell(LaunchAccepted(shell.at, job.id, job.attempts, 7, shell.at))
                shell.tell(AttemptEnded(shell.at, job.id, job.attempts, exited(at=shell.at)))
    shell.tell(Decide(shell.at))
    left = [job for job in shell.saved.values() if not hasattr(job.state, "finished_at")]
    assert left == []
