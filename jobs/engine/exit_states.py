"""From what a supervisor wrote down to the state that a job ends in. Pure.

A job is a success only when it exited with 0 by itself, cancelled only when somebody asked for it, and lost
only when nothing can be known.
"""

from __future__ import annotations

from jobs.core.jobs import (
    CANCELLED_BY_YOU,
    Active,
    Cancelled,
    Ended,
    Failed,
    Lost,
    Needs,
    OutOfMemory,
    Paused,
    Running,
    Starting,
    Succeeded,
    TimedOut,
    Usage,
)
from jobs.core.ports import Exit, ExitCause

_STOP_SIGNALS = frozenset({9, 15})  # KILL, TERM


def exit_state(state: Active, needs: Needs, exit_: Exit) -> Ended:
    """The state in which an attempt that was in `state` has ended."""
    began_at = state.since_at if isinstance(state, Starting) else state.started_at
    started_at = began_at if exit_.started_at is None else exit_.started_at
    finished_at, code, signal, usage = exit_.finished_at, exit_.exit_code, exit_.signal, exit_.usage
    asked = stop_asked_at(state) is not None
    match exit_.cause:
        case ExitCause.EXITED if code == 0 and signal is None:
            return Succeeded(started_at, finished_at, usage)
        case ExitCause.CANCELLED if not asked and code == 0 and _asked_to_save(state):
            return Succeeded(started_at, finished_at, usage)  # it was done before it had saved
        case ExitCause.CANCELLED if asked:
            return Cancelled(exit_.started_at, finished_at, code, signal, usage, stop_cause(state))
        case ExitCause.EXITED if asked and signal in _STOP_SIGNALS:
            return Cancelled(exit_.started_at, finished_at, code, signal, usage, stop_cause(state))
        case ExitCause.EXITED | ExitCause.CANCELLED:
            cause = _cause(exit_)
            if exit_.out_of_gpu_memory:
                cause = f"it ran out of GPU memory ({cause})"
            return Failed(started_at, finished_at, code, signal, cause, usage)
        case ExitCause.TIMED_OUT:
            limit_s = needs.time_limit_s if needs.time_limit_s is not None else finished_at - started_at
            return TimedOut(started_at, finished_at, code, signal, limit_s, usage)
        case ExitCause.OUT_OF_MEMORY:
            peak, limit = usage.peak_mem_bytes, exit_.mem_limit_bytes
            return OutOfMemory(started_at, finished_at, code, signal, peak, limit, usage)
        case ExitCause.COULD_NOT_START:
            return Failed(None, finished_at, None, None, exit_.detail or "it could not be started", usage)
        case ExitCause.SUPERVISOR_DIED:
            return lost(state, finished_at, exit_.detail or "its supervisor died", usage)


def lost(state: Active, at: float, cause: str, usage: Usage) -> Lost:
    """The end of an attempt of which nothing can be known."""
    if isinstance(state, Starting):
        return Lost(None, at, cause, usage)
    return Lost(state.started_at, max(at, state.started_at), cause, usage)  # the clock may be set back


def stop_asked_at(state: Active) -> float | None:
    """When somebody asked for the attempt to be stopped."""
    return None if isinstance(state, Paused) else state.cancel_requested_at


def _asked_to_save(state: Active) -> bool:
    return isinstance(state, Running) and state.evict_requested_at is not None


def stop_cause(state: Active) -> str:
    """Why the attempt was to be stopped."""
    return getattr(state, "cancel_cause", "") or CANCELLED_BY_YOU


def _cause(exit_: Exit) -> str:
    if exit_.cause is ExitCause.CANCELLED:
        return exit_.detail or "stopped by something outside the queue"
    if exit_.detail:
        return exit_.detail
    return f"exit code {exit_.exit_code}" if exit_.signal is None else f"signal {exit_.signal}"
