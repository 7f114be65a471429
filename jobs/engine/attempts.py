"""What becomes of attempts: launched or not, ended, saved and stopped, lost. Pure; part of `step`."""

from __future__ import annotations

from dataclasses import replace

from jobs.core.jobs import (
    GIB,
    Active,
    Cancelled,
    Ended,
    Failed,
    Held,
    Job,
    JobId,
    OnReboot,
    OutOfMemory,
    Paused,
    Queued,
    Running,
    Starting,
    Usage,
)
from jobs.core.ports import Exit, ExitCause
from jobs.core.rules import SchedulerSettings
from jobs.core.world import World
from jobs.engine.events import (
    AttemptEnded,
    CheckpointResult,
    Effect,
    LaunchAccepted,
    LaunchFailed,
    Rebooted,
    Record,
    Resumed,
    Save,
    StopAttempt,
)
from jobs.engine.exit_states import exit_state, lost, stop_asked_at, stop_cause
from jobs.engine.transitions import StepResult, back, end, joined, leave, put
from jobs.policy.limits import most_gpu_mem_bytes, most_mem_bytes
from jobs.policy.sizing import MEMORY_TRIES, more_memory

LAUNCH_TRIES = 3  # launches in a row that fail before the job does
INTERRUPTED_TRIES = 30  # attempts after which a start that was interrupted counts as failed
SAVED = 75  # EX_TEMPFAIL: what a checkpointing job leaves with when it can go on later
REBOOT_TRIES = 5  # attempts after which a job is not queued again: it may be what brings the machine down


def _attempt(world: World, job_id: JobId, attempt: int) -> tuple[Job, Active] | None:
    """The job while this very attempt of it is active."""
    job = world.jobs.get(job_id)
    if job is None or not isinstance(job.state, Active) or job.state.attempt != attempt:
        return None
    return job, job.state


def launch_accepted(world: World, event: LaunchAccepted) -> StepResult:
    found = _attempt(world, event.job_id, event.attempt)
    if found is None:
        return world, ()
    job, state = found
    if not isinstance(state, Starting):
        return world, ()
    asked_at = stop_asked_at(state)
    running = job.to(
        Running(
            event.started_at,
            state.attempt,
            state.grant,
            event.pid,
            asked_at,
            cancel_cause=getattr(state, "cancel_cause", ""),
        )
    )
    running = replace(running, failed_starts=0)
    effects: tuple[Effect, ...] = (
        Save(running),
        Record(world.now, job.id, "running", state.attempt, joined(f"supervisor {event.pid}", event.how)),
    )
    if asked_at is not None:
        effects += (StopAttempt(job.id, state.attempt, job.spec.grace_s),)
    return put(world, running), effects


def launch_failed(world: World, event: LaunchFailed) -> StepResult:
    found = _attempt(world, event.job_id, event.attempt)
    if found is None:
        return world, ()
    job, state = found
    if not isinstance(state, Starting):
        return world, ()
    failed = Record(world.now, job.id, "start failed", state.attempt, event.cause)
    failed_starts = job.failed_starts + (0 if event.interrupted else 1)
    if state.cancel_requested_at is not None:
        world, effects = end(world, job, Cancelled(None, world.now, None, None, Usage(), stop_cause(state)))
    elif failed_starts >= LAUNCH_TRIES or (event.interrupted and state.attempt >= INTERRUPTED_TRIES):
        cause = f"it could not be started: {event.cause}"
        world, effects = end(world, job, Failed(None, world.now, None, None, cause, Usage()), cause)
    else:
        queued = replace(job.to(Queued(world.now)), failed_starts=failed_starts)
        again_at = world.now + world.settings.start_retry_s
        retry_at = dict(world.retry_at) | {job.id: (again_at, event.cause)}
        world = back(replace(leave(world, job.id), retry_at=retry_at), queued)
        effects = (Save(queued),)
    return world, (failed, *effects)


def rebooted(world: World, event: Rebooted) -> StepResult:
    found = _attempt(world, event.job_id, event.attempt)
    if found is None:
        return world, ()
    job, state = found
    cause = "the machine was restarted while it ran"
    if stop_asked_at(state) is not None:
        started_at = None if isinstance(state, Starting) else state.started_at
        stopped = Cancelled(
            started_at, max(world.now, started_at or 0.0), None, None, job.usage, stop_cause(state)
        )
        return end(world, job, stopped, cause, state.attempt)
    if job.spec.on_reboot is OnReboot.FAIL:
        return missing(world, job.id, state.attempt, cause)
    if state.attempt >= REBOOT_TRIES:
        return missing(world, job.id, state.attempt, f"{cause}, and it was tried {state.attempt} times")
    again = Record(world.now, job.id, "requeued", state.attempt, cause)
    if isinstance(state, Paused):  # whoever paused it did not let it go on
        held = replace(job.to(Held(world.now)), usage=Usage())
        return leave(world, job.id), (Save(held), again)
    queued = replace(job.to(Queued(world.now)), usage=Usage())
    return back(leave(world, job.id), queued), (Save(queued), again)


def attempt_ended(world: World, event: AttemptEnded) -> StepResult:
    found = _attempt(world, event.job_id, event.attempt)
    if found is None:
        return world, ()
    world, effects = _ended(world, *found, event.exit)
    loading_s = _loading_s(found[0], event.exit, world.settings)
    return world, effects if loading_s is None else (*effects, Resumed(found[0].spec, loading_s))


def _ended(world: World, job: Job, state: Active, exit_: Exit) -> StepResult:
    if (answer := _saved(world, job, state, exit_)) is not None:
        return answer
    ended = exit_state(state, job.spec.needs, exit_)
    if (answer := _with_more_memory(world, job, state, ended, exit_)) is not None:
        return answer
    job = replace(job, metrics=exit_.metrics)
    return end(world, job, ended, getattr(ended, "cause", ""), state.attempt)


def _loading_s(job: Job, exit_: Exit, rules: SchedulerSettings) -> float | None:
    """How long an attempt that went on from a checkpoint took to be at work again, as far as it said so.

    That is when it first reported; of one that reports seldom that says nothing.
    """
    after_s = exit_.first_report_s
    return after_s if after_s is not None and after_s <= rules.trial_s and job.attained_s > 0 else None


def _saved(world: World, job: Job, state: Active, exit_: Exit) -> StepResult | None:
    """An attempt that stopped so that it can go on later; None when it ended for good.

    A job that was asked to make room and did not save goes on from its last checkpoint, and is not asked
    again. One that saved and stopped by itself is held: whoever stopped it may still want the room.
    """
    if not job.spec.checkpoint or stop_asked_at(state) is not None:
        return None
    if exit_.exit_code == 0 or exit_.cause not in (ExitCause.EXITED, ExitCause.CANCELLED):
        return None
    asked_at = state.evict_requested_at if isinstance(state, Running) else None
    kept = exit_.exit_code == SAVED
    if asked_at is None and not kept:
        return None
    started_at = world.now if exit_.started_at is None else exit_.started_at
    ran_s = max(0.0, exit_.finished_at - started_at)
    worked_s = ran_s if asked_at is None else min(ran_s, max(0.0, asked_at - started_at))
    done_s = max(0.0, worked_s - (_loading_s(job, exit_, world.settings) or 0.0)) if kept else 0.0
    job = replace(
        job,
        usage=exit_.usage,
        attained_s=job.attained_s + done_s,
        lost_s=job.lost_s + ran_s - done_s,
        evictions=job.evictions + (asked_at is not None),
    )
    if isinstance(state, Running) and asked_at is not None and not state.evict_for:
        peak_bytes = exit_.usage.peak_mem_bytes or 0  # it was asked because it used more than it reserved
        grown = min(peak_bytes, most_mem_bytes(world.capacity, world.settings))
        job = replace(job, grown_mem_bytes=max(job.grown_mem_bytes, grown))
    if asked_at is None:
        told = Record(
            world.now, job.id, "saved and stopped", state.attempt, "by itself; release it to go on"
        )
        return _held(world, job.to(Held(world.now, "it saved its work and stopped by itself")), told)
    if kept:
        told = Record(world.now, job.id, "saved and stopped", state.attempt, f"after {ran_s:.0f} s")
    else:
        job = replace(job, failed_saves=job.failed_saves + 1)
        how = f"exit code {exit_.exit_code}" if exit_.signal is None else f"signal {exit_.signal}"
        detail = f"{how}; {ran_s:.0f} s are lost, and it is not asked again"
        told = Record(world.now, job.id, "stopped without saving", state.attempt, detail)
    learned = CheckpointResult(job.spec, kept, max(0.0, exit_.finished_at - asked_at))
    if isinstance(state, Running) and state.hold_after:
        world, effects = _held(world, job.to(Held(world.now)), told)
        return world, (*effects, learned)
    waiting = job.to(Queued(world.now))
    return back(leave(world, job.id), waiting), (Save(waiting), told, learned)


def _with_more_memory(
    world: World, job: Job, state: Active, ended: Ended, exit_: Exit
) -> StepResult | None:
    """Have a job tried again that ran out of memory, with more of it; None where that is not for us to do.

    The person's own limit is kept, and only what says that it can be repeated is repeated.
    """
    spec = job.spec
    repeatable = spec.checkpoint or spec.on_reboot is OnReboot.REQUEUE
    if not world.settings.learned_needs or not repeatable or isinstance(state, Paused):
        return None
    if job.memory_tries >= MEMORY_TRIES or stop_asked_at(state) is not None:
        return None
    capacity, rules, needs = world.capacity, world.settings, job.needs
    if isinstance(ended, OutOfMemory) and "mem" not in spec.explicit_needs:
        what, had = "memory", ended.limit_bytes or needs.mem_bytes
        grown = more_memory(had, ended.peak_bytes, most_mem_bytes(capacity, rules))
        grew = replace(job, grown_mem_bytes=grown or 0)
    elif isinstance(ended, Failed) and exit_.out_of_gpu_memory and "vram" not in spec.explicit_needs:
        if needs.gpu_mem_bytes is None:  # it had whole devices
            return None
        what, had = "GPU memory", needs.gpu_mem_bytes
        most = most_gpu_mem_bytes(capacity, rules, needs.gpus)
        grown = more_memory(had, job.usage.gpu_mem_bytes, most)
        grew = replace(job, grown_gpu_mem_bytes=grown or 0)
    else:
        return None
    if grown is None:
        return None
    ran_s = max(0.0, exit_.finished_at - (exit_.started_at or exit_.finished_at))
    tries = job.memory_tries + 1
    job = replace(grew, usage=exit_.usage, memory_tries=tries, lost_s=job.lost_s + ran_s)
    told = f"with {had / GIB:.1f} GiB; again with {grown / GIB:.1f} GiB, {tries} of {MEMORY_TRIES}"
    waiting = job.to(Queued(world.now))
    effects = (Save(waiting), Record(world.now, job.id, f"ran out of {what}", state.attempt, told))
    return back(leave(world, job.id), waiting), effects


def _held(world: World, held: Job, told: Record) -> StepResult:
    return leave(world, held.id), (Save(held), told)


def missing(world: World, job_id: JobId, attempt: int, cause: str) -> StepResult:
    found = _attempt(world, job_id, attempt)
    if found is None:
        return world, ()
    job, state = found
    return end(world, job, lost(state, world.now, cause, job.usage), cause, attempt)
