"""A job in words: its state, its fate, its row in a list, why it waits and what to do next.

Pure. The screen and the plain commands show the same words, because both take them from here.
"""

from __future__ import annotations

import signal as signals
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cro_tui.present.amounts import (
    MISSING,
    bytes_text,
    clean,
    counted,
    duration_text,
    estimate_text,
    number_text,
    span_text,
)
from cro_tui.present.reasons import reason_short
from jobs.core.jobs import (
    GIB,
    PRUNED,
    Cancelled,
    Ended,
    Failed,
    Held,
    Job,
    Lost,
    Needs,
    OutOfMemory,
    Paused,
    Queued,
    Running,
    Starting,
    StateName,
    Succeeded,
    TimedOut,
    Waiting,
)

if TYPE_CHECKING:
    from jobs.core.tracking import Reported

STATE_WORDS = {
    StateName.QUEUED: "WAIT",
    StateName.HELD: "HELD",
    StateName.STARTING: "START",
    StateName.RUNNING: "RUN",
    StateName.PAUSED: "PAUSE",
    StateName.SUCCEEDED: "DONE",
    StateName.FAILED: "FAIL",
    StateName.CANCELLED: "STOP",
    StateName.TIMED_OUT: "TIME",
    StateName.OUT_OF_MEMORY: "OOM",
    StateName.LOST: "LOST",
}


def state_word(job: Job) -> str:
    """Three to five letters, the same everywhere; "STOP?" while a stop is under way."""
    if isinstance(job.state, Starting | Running) and job.state.cancel_requested_at is not None:
        return "STOP?"
    return STATE_WORDS[job.state.name]


def started_at(job: Job) -> float | None:
    """When the attempt started; None while it has not."""
    state = job.state
    return None if isinstance(state, Waiting | Starting) else state.started_at


def finished_at(job: Job) -> float | None:
    return job.state.finished_at if isinstance(job.state, Ended) else None


def elapsed_s(job: Job, now: float) -> float | None:
    """How long it has run, or ran."""
    begin = started_at(job)
    return None if begin is None else max(0.0, (finished_at(job) or now) - begin)


def ends_at(job: Job) -> float | None:
    """When a running job should end by what earlier runs took, or must end by its time limit."""
    if not isinstance(job.state, Running):
        return None
    expected_s = job.spec.expected_s if job.spec.kind.traits.has_end else None
    length_s = expected_s or job.spec.needs.time_limit_s
    return None if length_s is None else job.state.started_at + length_s


def name_text(job: Job, width: int = 60) -> str:
    return clean(job.spec.name, width) or "(no name)"


def signal_name(number: int) -> str:
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"


def metrics_text(job: Job, count: int = 3) -> str:
    """The first metrics: "accuracy 0.942  f1 0.94"."""
    return _numbers_text(job.metrics[:count])


def reported_text(reported: Reported, count: int = 3) -> str:
    """What it says of itself while it runs: "train  accuracy 0.942"."""
    numbers = _numbers_text(list(reported.metrics.items())[:count])
    return "  ".join(filter(None, [clean(reported.phase, 24), numbers]))


def flagged_text(reported: Reported) -> str:
    """What could not be used of its report; empty when all of it could."""
    if not reported.flagged:
        return ""
    first = reported.flagged[0]
    rest = f", and {reported.flagged_count - 1} more" if reported.flagged_count > 1 else ""
    return f"line {first.line} cannot be used: {clean(first.reason, 80)}{rest}"


def _numbers_text(numbers: Sequence[tuple[str, float]]) -> str:
    return "  ".join(f"{clean(name, 24)} {value:.4g}" for name, value in numbers)


def needs_text(needs: Needs) -> str:
    """ "2 cores, 8.0G memory, 1 GPU with 10.0G, at most 3h"."""
    parts = [counted(needs.cpus, "core"), f"{bytes_text(needs.mem_bytes)} memory"]
    if needs.gpus:
        share = "" if needs.gpu_mem_bytes is None else f" with {bytes_text(needs.gpu_mem_bytes)}"
        parts.append(counted(needs.gpus, "GPU") + share)
    if needs.time_limit_s is not None:
        parts.append(f"at most {span_text(needs.time_limit_s)}")
    return ", ".join(parts)


def result_short(job: Job) -> str:
    """How it ended, in about 24 cells."""
    state = job.state
    match state:
        case Succeeded():
            return metrics_text(job) or "done"
        case Failed():
            if state.exit_code is not None:
                return f"exit code {state.exit_code}"
            return signal_name(state.signal) if state.signal is not None else clean(state.cause, 40)
        case Cancelled(cause=cause) if cause.startswith(PRUNED):
            return clean(cause, 40)
        case Cancelled():
            return "stopped" if state.started_at is not None else "taken out of the queue"
        case TimedOut():
            return f"over {span_text(state.limit_s)}"
        case OutOfMemory():
            used = bytes_text(state.peak_bytes)
            return (
                "memory"
                if state.limit_bytes is None
                else f"memory {used} > {bytes_text(state.limit_bytes)}"
            )
        case Lost():
            return clean(state.cause, 40) or "fate unknown"
        case _:
            return ""


def result_sentence(job: Job) -> str:
    """How it ended, without its id: "failed: exit code 7"; empty while it has not."""
    state = job.state
    match state:
        case Succeeded():
            took_s = state.finished_at - state.started_at
            took = f"done in {took_s:.1f}s" if 0 <= took_s < 1 else f"done in {span_text(took_s)}"
            return f"{took}: {metrics_text(job)}" if job.metrics else took
        case Failed():
            cause = clean(state.cause)
            if state.exit_code is None and state.signal is None:
                return f"could not start: {cause}"
            how = (
                f"exit code {state.exit_code}"
                if state.signal is None
                else f"ended by {signal_name(state.signal)}"
            )
            return f"failed: {how}" if cause in ("", how) else f"failed: {how} ({cause})"
        case Cancelled():
            return clean(state.cause) + (", it never ran" if state.started_at is None else "")
        case TimedOut():
            return f"stopped at its time limit of {span_text(state.limit_s)}"
        case OutOfMemory(limit_bytes=None):
            return f"the machine ran out of memory, it used {bytes_text(state.peak_bytes)}"
        case OutOfMemory():
            return f"used {bytes_text(state.peak_bytes)}, limit {bytes_text(state.limit_bytes)}"
        case Lost():
            return f"lost: {clean(state.cause)}"
        case _:
            return ""


@dataclass(frozen=True, slots=True)
class NextStep:
    """What a person may do next: the key on the screen, the command to type, and what it does."""

    key: str
    command: str
    what: str

    @property
    def sentence(self) -> str:
        """For the screen: "r retries it with 16.0G"."""
        return f"{self.key} {self.what}"


def more_memory_bytes(needs: Needs, state: OutOfMemory) -> int:
    """What to retry with: twice what was not enough, in whole GiB."""
    base = max(state.limit_bytes or 0, needs.mem_bytes)
    return max(GIB, -(-2 * base // GIB) * GIB)


def next_step(job: Job) -> NextStep:
    number = job.id
    match job.state:
        case Queued():
            return NextStep("w", f"cro-tui why {number}", "says why it waits")
        case Held() | Paused():
            return NextStep("h", f"cro-tui release {number}", "lets it go on")
        case Starting() | Running():
            return NextStep("l", f"cro-tui logs -f {number}", "shows what it prints")
        case Succeeded():
            return NextStep("enter", f"cro-tui show {number}", "shows what it used and left")
        case OutOfMemory() as state:
            more = more_memory_bytes(job.needs, state)
            return NextStep(
                "r", f"cro-tui retry {number} --mem {more // GIB}G", f"retries it with {bytes_text(more)}"
            )
        case TimedOut() as state:
            minutes = max(1, round(2 * state.limit_s / 60))
            return NextStep(
                "r",
                f"cro-tui retry {number} --time {minutes}m",
                f"retries it with {span_text(minutes * 60)}",
            )
        case Failed(exit_code=None, signal=None):
            return NextStep("r", f"cro-tui retry {number}", "retries it")
        case Failed():
            return NextStep("l", f"cro-tui logs {number}", "shows its last lines")
        case _:
            return NextStep("r", f"cro-tui retry {number}", "retries it")


# --- one row of a list ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JobRow:
    """The cells of one job in a list, cleaned and not padded. `progress` is 0..1 of a running job.

    `shorter` may stand for `why` where there is less room, the longest first; only a group has some.
    """

    id: str
    state: str
    name: str
    priority: str
    why: str
    cpus: str
    mem: str
    elapsed: str
    eta: str
    progress: float | None = None
    shorter: tuple[str, ...] = ()


def job_row(
    job: Job, now: float, progress: float | None = None, reported: Reported | None = None
) -> JobRow:
    """`why` is the first reason while it waits, what it reports while it runs, how it ended afterwards."""
    state, usage = job.state, job.usage
    if isinstance(state, Waiting):
        eta = estimate_text(job.estimated_start_at, now)
        return JobRow(
            str(job.id),
            state_word(job),
            name_text(job),
            str(job.spec.priority),
            reason_short(job.reasons[0]) if job.reasons else "",
            MISSING,
            MISSING,
            MISSING,
            eta,
        )
    ended = isinstance(state, Ended)
    end = ends_at(job)
    mem = usage.peak_mem_bytes if ended else usage.mem_bytes
    return JobRow(
        str(job.id),
        state_word(job),
        name_text(job),
        str(job.spec.priority),
        result_short(job) if ended else _doing(job) or (reported_text(reported) if reported else ""),
        number_text(_cores(job)),
        bytes_text(mem),
        duration_text(elapsed_s(job, now)),
        MISSING if end is None or end <= now else span_text(end - now),
        None if ended else progress,
    )


def _doing(job: Job) -> str:
    match job.state:
        case Starting():
            return "starting"
        case Running(cancel_requested_at=at) if at is not None:
            return "stopping"
        case Paused():
            return "paused, keeps its memory"
        case _:
            return ""


def _cores(job: Job) -> float | None:
    if not isinstance(job.state, Ended):
        return job.usage.cpus
    ran_s = elapsed_s(job, 0.0)
    if job.usage.cpu_s is None or not ran_s:
        return None
    return job.usage.cpu_s / ran_s
