"""Why a job waits, as a check list: what it asks for, what is short, and when it should start.

Pure. For a job that does not wait it says where the job stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cro_tui.present.amounts import (
    bytes_text,
    clock_text,
    counted,
    duration_text,
    estimate_text,
    number_text,
    span_text,
)
from cro_tui.present.jobs import elapsed_s, ends_at, next_step, result_sentence
from cro_tui.present.reasons import reason_name, reason_sentence
from jobs.core.jobs import (
    DependencyKind,
    Ended,
    Held,
    Job,
    Needs,
    Paused,
    Queued,
    Reason,
    ReasonCode,
    Starting,
    Unit,
    Waiting,
)
from jobs.core.machine import Capacity
from jobs.core.requests import StartEstimate

_TELLS = 0.02  # a factor closer to 1 says nothing

_STAYS = frozenset(
    {
        ReasonCode.HELD,
        ReasonCode.TOO_BIG,
        ReasonCode.DEPENDENCY_FAILED,
        ReasonCode.DRAINING,
        ReasonCode.NO_SCHEDULER,
    }
)


_REMARKS = frozenset(
    {
        ReasonCode.MAKING_ROOM,
        ReasonCode.OVERDUE,
        ReasonCode.EVICTED,
        ReasonCode.TRIAL,
        ReasonCode.FAIR,
        ReasonCode.MORE_MEMORY,
        ReasonCode.MORE_GPU_MEMORY,
        ReasonCode.GUARD,
    }
)


class Mark(StrEnum):
    """Readable without colour: "x" is in the way, "v" is fine."""

    BAD = "x"
    GOOD = "v"
    NONE = " "


@dataclass(frozen=True, slots=True)
class WhyLine:
    mark: Mark
    text: str

    def __str__(self) -> str:
        return f"{self.mark} {self.text}".rstrip()


def why_lines(
    job: Job, now: float, capacity: Capacity | None = None, *, keys: bool = False
) -> tuple[WhyLine, ...]:
    """What holds it, with numbers, and when it should start; for other jobs, where they stand.

    With `keys`, what to do next is a key of the screen, else a command to type.
    """
    if isinstance(job.state, Waiting):
        return _waiting_lines(job, now, capacity, keys)
    return tuple(WhyLine(Mark.NONE, text) for text in _standing(job, now, keys))


def _waiting_lines(job: Job, now: float, capacity: Capacity | None, keys: bool) -> tuple[WhyLine, ...]:
    lines = [] if not job.evictions else [WhyLine(Mark.NONE, _saved(job)), WhyLine(Mark.NONE, "")]
    lines.append(WhyLine(Mark.NONE, "Not started because:"))
    short = {reason_name(reason): reason for reason in job.reasons}
    plain = [reason for reason in job.reasons if not reason_name(reason)]
    lines += [
        WhyLine(Mark.BAD, reason_sentence(reason, now)) for reason in plain if reason.code not in _REMARKS
    ]
    for name, asked, most in _asked(job.needs, capacity):
        if reason := short.get(name):
            free, needed = _free(reason), asked if reason.needed is None else _needed(reason)
            lines.append(WhyLine(Mark.BAD, f"{name:<5} needs {needed:>5}, free {free:>5}"))
        else:
            lines.append(WhyLine(Mark.GOOD, f"{name:<5} needs {asked:>5}{most}"))
    lines.append(_after_line(job, short.get("after")))
    told = job.estimated_start_at is not None
    sentences = [
        reason_sentence(r, None if told else now)
        for r in job.reasons
        if reason_name(r) not in ("", "after")
    ]
    sentences += [reason_sentence(r, now) for r in job.reasons if r.code is ReasonCode.DEPENDENCY_FAILED]
    sentences += [
        reason_sentence(r, now)
        for r in job.reasons
        if r.code in _REMARKS
        and r.code is not ReasonCode.EVICTED  # told above, with or without a scheduler
    ]
    lines += [WhyLine(Mark.NONE, ""), *(WhyLine(Mark.NONE, text) for text in sentences)]
    lines += [
        WhyLine(Mark.NONE, text) for text in (start_sentence(job, now), advice_for(job, keys=keys)) if text
    ]
    return tuple(lines)


def _on_the_way(job: Job) -> list[str]:
    """What befell an ended job before its last attempt."""
    lines = []
    if job.evictions:
        times = "once" if job.evictions == 1 else f"{job.evictions} times"
        kept, lost = duration_text(job.attained_s), duration_text(job.lost_s)
        lines.append(f"It made room for others {times}: {kept} of work kept, {lost} lost.")
    for grown, what in ((job.grown_mem_bytes, "memory"), (job.grown_gpu_mem_bytes, "GPU memory")):
        if grown and job.memory_tries:
            lines.append(f"It ran out of {what} before and was tried again with {bytes_text(grown)}.")
    return lines


def _saved(job: Job) -> str:
    """Of a job that made room for others: what it has kept."""
    if job.failed_saves:
        return "It made room for others without saving, and is not asked again."
    return f"It saved and made room for others; {duration_text(job.attained_s)} of work are kept."


def learned_text(asked: Needs, learned: Needs, runs: int) -> str:
    """ "MEM asked 12.0G, learned 10.0G; CPU asked 4, learned 2.1 (7 runs)"; empty when equal."""
    pairs = [
        ("MEM", bytes_text(asked.mem_bytes), bytes_text(learned.mem_bytes)),
        ("VRAM", bytes_text(asked.gpu_mem_bytes), bytes_text(learned.gpu_mem_bytes)),
        ("CPU", number_text(asked.cpus), number_text(learned.cpus)),
    ]
    said = [f"{name} asked {old}, learned {new}" for name, old, new in pairs if old != new]
    return f"{'; '.join(said)} ({counted(runs, 'run')})" if said else ""


def start_estimate_lines(job: Job, outlook: StartEstimate, now: float) -> tuple[str, ...]:
    """What stands behind its place, what is foreseen, and how good such estimates were."""
    lines = []
    learned = job.spec.needs if outlook.learned is None else outlook.learned
    if said := learned_text(job.spec.needs, learned, outlook.learned_runs):
        lines.append(f"Reserves {said}.")
    if outlook.place is not None:
        left = f"{span_text(outlook.left_s)} left x {outlook.share:.0%} of the machine"
        known = f"by {counted(outlook.runs, 'run')}" if outlook.runs else "a guess: it has not run before"
        parts = [f"{left} ({known})"]
        for value, sign, what in (
            (outlook.use, "x", "for what you used of late"),
            (outlook.age, "/", "for its wait"),
            (outlook.priority, "x", "for its priority"),
        ):
            if abs(value - 1.0) >= _TELLS:
                parts.append(f"{sign} {value:.3g} {what}")
        lines.append(f"Place {outlook.place} of {outlook.waiting}, by {' '.join(parts)}.")
    if outlook.starts_at is not None:
        lines.append(_between(outlook, now))
    if outlook.sooner_at is not None and outlook.starts_at is not None:
        gained = outlook.sooner_at < outlook.starts_at - 1.0
        sooner = f"{clock_text(outlook.sooner_at, now)} ({estimate_text(outlook.sooner_at, now)})"
        when = f"it starts about {sooner}" if gained else "nothing changes"
        lines.append(f"With a priority of {job.spec.priority + 1}, {when}.")
    return tuple(lines)


def _between(outlook: StartEstimate, now: float) -> str:
    if outlook.starts_at is None or outlook.soonest_at is None or outlook.latest_at is None:
        return ""
    said = f"Starts about {clock_text(outlook.starts_at, now)} ({estimate_text(outlook.starts_at, now)})"
    first, last = clock_text(outlook.soonest_at, now), clock_text(outlook.latest_at, now)
    if first != last:
        said += f", likely {first}-{last}"
    if outlook.error is not None:
        said += (
            f"; the last {counted(outlook.scored, 'estimate')} were off by {outlook.error:.0%} of the wait"
        )
    return said + "."


def start_sentence(job: Job, now: float) -> str:
    """When a waiting job should start; empty when somebody has to act first."""
    if job.estimated_start_at is None:
        stuck = any(reason.code in _STAYS for reason in job.reasons)
        return "" if stuck else "When it starts cannot be told yet."
    at = job.estimated_start_at
    ends = [reason for reason in job.reasons if reason.until_at is not None and reason.jobs]
    because = f", when #{ends[0].jobs[0]} ends" if ends and reason_name(ends[0]) else ""
    return f"Fits about {clock_text(at, now)} ({estimate_text(at, now)}){because}."


def advice_for(job: Job, *, keys: bool = False) -> str:
    """What to press or type when waiting alone will not help; empty otherwise."""

    def either(key: str, command: str) -> str:
        return key if keys else command

    for reason in job.reasons:
        match reason.code:
            case ReasonCode.HELD:
                return either("h lets it go.", f"Let it go with: cro-tui release {job.id}")
            case ReasonCode.TOO_BIG:
                stop = either("Stop it with x", f"Stop it with: cro-tui cancel {job.id}")
                return f"{stop}, and queue it again asking for less."
            case ReasonCode.DEPENDENCY_FAILED:
                stop = either("stop it with x", f"cro-tui cancel {job.id}")
                return f"It will not start by itself: {stop}, or retry what failed."
            case ReasonCode.NO_SCHEDULER:
                return either("S starts the scheduler.", "Start the scheduler with: cro-tui daemon")
            case ReasonCode.DRAINING:
                return either(
                    "P lets the queue go on.", "Let the queue go on with: cro-tui daemon --no-drain"
                )
            case _:
                continue
    return ""


def _asked(needs: Needs, capacity: Capacity | None) -> list[tuple[str, str, str]]:
    """Resource, what is asked, and what the machine has."""

    def of(text: str) -> str:
        return "" if capacity is None else f" of {text}"

    rows = []
    if needs.gpus:
        rows.append(("GPU", number_text(needs.gpus), of(str(len(capacity.devices) if capacity else 0))))
        if needs.gpu_mem_bytes is not None:
            largest = max((d.mem_bytes for d in capacity.devices), default=0) if capacity else 0
            rows.append(("VRAM", bytes_text(needs.gpu_mem_bytes), of(bytes_text(largest))))
    rows.append(("CPU", number_text(needs.cpus), of(number_text(capacity.cpus if capacity else 0))))
    rows.append(("MEM", bytes_text(needs.mem_bytes), of(bytes_text(capacity.mem_bytes if capacity else 0))))
    return rows


def _needed(reason: Reason) -> str:
    return bytes_text(reason.needed) if reason.unit is Unit.BYTES else number_text(reason.needed)


def _free(reason: Reason) -> str:
    return bytes_text(reason.free) if reason.unit is Unit.BYTES else number_text(reason.free)


def _after_line(job: Job, reason: Reason | None) -> WhyLine:
    if not job.spec.after:
        return WhyLine(Mark.GOOD, "after nothing")
    shown = ", ".join(
        f"#{each.job_id}" + (" (however it ends)" if each.kind is DependencyKind.ANY else "")
        for each in job.spec.after[:4]
    ) + (", ..." if len(job.spec.after) > 4 else "")
    return WhyLine(Mark.GOOD if reason is None else Mark.BAD, f"after {shown}")


def _standing(job: Job, now: float, keys: bool) -> Sequence[str]:
    state, usage, needs = job.state, job.usage, job.needs
    if isinstance(state, Ended):
        step = next_step(job)
        following = step.sentence if keys else f"{step.command}  {step.what}"
        return [result_sentence(job).capitalize() + ".", *_on_the_way(job), f"{following}."]
    if isinstance(state, Starting | Queued | Held):
        return ["It is being started."]
    lines = [f"Runs since {clock_text(state.started_at, now)} ({duration_text(elapsed_s(job, now))})."]
    if isinstance(state, Paused):
        lines = ["Paused: it keeps its memory and its devices."]
    elif state.cancel_requested_at is not None:
        lines.append("It is being stopped.")
    lines += [
        f"CPU   uses {number_text(usage.cpus):>5} of {number_text(needs.cpus)}",
        f"MEM   uses {bytes_text(usage.mem_bytes):>5} of {bytes_text(needs.mem_bytes)}",
    ]
    if needs.gpus:
        lines.append(
            f"VRAM  uses {bytes_text(usage.gpu_mem_bytes):>5} of {bytes_text(needs.gpu_mem_bytes)}"
        )
    if (end := ends_at(job)) is not None and end > now:
        lines.append(f"Ends about {clock_text(end, now)} ({estimate_text(end, now)}).")
    return lines
