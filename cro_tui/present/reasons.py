"""Why a job waits, in words: a few cells for a list, a sentence for a person.

Pure. Every number that a reason carries is shown; what comes from outside is cleaned.
"""

from __future__ import annotations

from collections.abc import Sequence

from cro_tui.present.amounts import (
    amount_text,
    bytes_text,
    clean,
    clock_text,
    counted,
    duration_text,
    estimate_text,
)
from jobs.core.jobs import JobId, Reason, ReasonCode, Unit

_NAMED = 3


def jobs_text(jobs: Sequence[JobId], named: int = _NAMED) -> str:
    """ "#39", "#39 and #41", "#39, #40, #41 and 5 more"."""
    shown = [f"#{job_id}" for job_id in jobs[:named]]
    if len(jobs) > named:
        return f"{', '.join(shown)} and {len(jobs) - named} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def reason_short(reason: Reason) -> str:
    """The reason in about 24 cells."""
    needed, free = amount_text(reason.needed, reason.unit), amount_text(reason.free, reason.unit)
    first = f"#{reason.jobs[0]}" if reason.jobs else ""
    more = f" +{len(reason.jobs) - 1}" if len(reason.jobs) > 1 else ""
    match reason.code:
        case ReasonCode.NOT_SEEN:
            return "not seen yet"
        case ReasonCode.AHEAD:
            return "others go first" if reason.needed is None else f"{_others(reason.needed)} first"
        case ReasonCode.CPUS | ReasonCode.FOREIGN_CPU:
            return f"{_needed(reason)}, {free} free{_by_others(reason)}"
        case ReasonCode.MEMORY | ReasonCode.FOREIGN_MEMORY:
            return f"MEM {needed}, {free} free{_by_others(reason)}"
        case ReasonCode.GPUS:
            return f"{_needed(reason)}, {free} free"
        case ReasonCode.GPU_MEMORY:
            return f"VRAM {needed}, {free} free"
        case ReasonCode.FOREIGN_GPU:
            what = f"VRAM {needed}" if reason.unit is Unit.BYTES else _needed(reason)
            return f"{what}, {free} free{_by_others(reason)}"
        case ReasonCode.PRESSURE:
            return "machine under pressure"
        case ReasonCode.SETTLING:
            return f"settling after {first}{more}" if first else "settling"
        case ReasonCode.BACKFILL:
            return f"would delay {first}{more}" if first else "would delay another"
        case ReasonCode.DEPENDENCY:
            return f"after {first}{more}" if first else "after another job"
        case ReasonCode.DEPENDENCY_FAILED:
            return f"{first or 'dependency'} {_fate(reason)}"
        case ReasonCode.HELD:
            return clean(reason.detail, 24) or "held"
        case ReasonCode.DRAINING:
            return "queue is paused"
        case ReasonCode.ALERT:
            return "paused by an alert"
        case ReasonCode.NO_SAMPLE:
            return "GPU cannot be read" if reason.unit is Unit.DEVICES else "machine cannot be read"
        case ReasonCode.TOO_BIG:
            return f"too big: {_resource(reason)}{needed} > {free}"
        case ReasonCode.START_FAILED:
            return "start failed, tries again"
        case ReasonCode.NO_SCHEDULER:
            return "no scheduler runs"
        case ReasonCode.MAKING_ROOM:
            return f"{first}{more} makes room" if first else "others make room"
        case ReasonCode.OVERDUE:
            return "has waited long, is next"
        case ReasonCode.EVICTED:
            return f"saved at {duration_text(reason.needed)}"
        case ReasonCode.TRIAL:
            return "first run: a short trial"
        case ReasonCode.FAIR:
            return f"you used {_times(reason)} your share"
        case ReasonCode.MORE_MEMORY:
            return f"again with {needed} of memory"
        case ReasonCode.MORE_GPU_MEMORY:
            return f"again with {needed} of GPU memory"
        case ReasonCode.GUARD:
            return f"{needed if reason.unit is Unit.BYTES else _needed(reason)} kept for you"


def reason_sentence(reason: Reason, now: float | None) -> str:
    """The whole reason with its numbers, and unless `now` is None, when it should pass."""
    return _cause(reason) + ("" if now is None else _until(reason, now))


def reason_name(reason: Reason) -> str:
    """The resource that is short, as the why panel labels it; empty for other reasons."""
    match reason.code:
        case ReasonCode.CPUS | ReasonCode.FOREIGN_CPU:
            return "CPU"
        case ReasonCode.MEMORY | ReasonCode.FOREIGN_MEMORY:
            return "MEM"
        case ReasonCode.GPUS:
            return "GPU"
        case ReasonCode.GPU_MEMORY:
            return "VRAM"
        case ReasonCode.FOREIGN_GPU:
            return "VRAM" if reason.unit is Unit.BYTES else "GPU"
        case ReasonCode.SETTLING:
            return {Unit.BYTES: "MEM", Unit.CPUS: "CPU"}.get(reason.unit or Unit.JOBS, "")
        case ReasonCode.TOO_BIG:
            if reason.unit is Unit.BYTES:
                return "VRAM" if reason.detail else "MEM"
            return {Unit.CPUS: "CPU", Unit.DEVICES: "GPU"}.get(reason.unit or Unit.JOBS, "")
        case ReasonCode.DEPENDENCY | ReasonCode.DEPENDENCY_FAILED:
            return "after"
        case _:
            return ""


def _cause(reason: Reason) -> str:
    needed, free = amount_text(reason.needed, reason.unit), amount_text(reason.free, reason.unit)
    detail = clean(reason.detail)
    who = jobs_text(reason.jobs)
    holders = f", reserved by {who}" if who else ", the rest is reserved"
    match reason.code:
        case ReasonCode.NOT_SEEN:
            return "It is queued; the scheduler has not looked at it yet."
        case ReasonCode.AHEAD:
            others = "Others" if reason.needed is None else _others(reason.needed)
            return f"{others} {'goes' if reason.needed == 1 else 'go'} first."
        case ReasonCode.CPUS:
            return f"It needs {_needed(reason)}, {free} free{holders}."
        case ReasonCode.MEMORY:
            return f"It needs {needed} of memory, {free} free{holders}."
        case ReasonCode.GPUS:
            return f"It needs {_needed(reason)}, {free} free{holders}{_on(detail)}."
        case ReasonCode.GPU_MEMORY:
            return f"It needs {needed} of GPU memory, {free} free{holders}{_on(detail)}."
        case ReasonCode.FOREIGN_CPU:
            return f"It needs {_needed(reason)}, {free} free: other programs use the CPU."
        case ReasonCode.FOREIGN_MEMORY:
            return f"It needs {needed} of memory, {free} free: other programs use the rest."
        case ReasonCode.FOREIGN_GPU:
            what = f"{needed} of GPU memory" if reason.unit is Unit.BYTES else _needed(reason)
            return f"It needs {what}, {free} free: other programs use {detail or 'the GPU'}."
        case ReasonCode.PRESSURE:
            return f"The machine is under pressure: {detail or 'programs wait for it'}."
        case ReasonCode.SETTLING:
            fresh = who or "a job"
            numbers = "" if reason.needed is None else f" It needs {needed}, {free} free until then."
            return f"{fresh} has just started and its real use is not seen yet.{numbers}"
        case ReasonCode.BACKFILL:
            return f"It would fit, but it would delay {who or 'a job ahead of it'}."
        case ReasonCode.DEPENDENCY:
            return f"It starts after {who or 'another job'}."
        case ReasonCode.DEPENDENCY_FAILED:
            return f"It was to start after {who or 'a job'} succeeds, which {_fate(reason)}."
        case ReasonCode.HELD:
            return f"It is {detail or 'held'}."
        case ReasonCode.DRAINING:
            return "The queue is paused: nothing new starts."
        case ReasonCode.ALERT:
            return f"Nothing starts while an alert stands: {detail}"
        case ReasonCode.NO_SAMPLE:
            if reason.unit is Unit.DEVICES:
                return f"It needs {_needed(reason)}, but {detail or 'a GPU'} cannot be read just now."
            return "The machine's load cannot be read just now."
        case ReasonCode.TOO_BIG:
            what = "of GPU memory" if reason.unit is Unit.BYTES and detail else "of memory"
            shown = f"{needed} {what}" if reason.unit is Unit.BYTES else _needed(reason)
            return f"It can never fit this machine: it needs {shown}, at most {free} can be had."
        case ReasonCode.START_FAILED:
            return f"The last try to start it failed: {(detail or 'no cause is known').rstrip('.')}."
        case ReasonCode.NO_SCHEDULER:
            return "No scheduler is running, so nothing starts."
        case ReasonCode.MAKING_ROOM:
            makes = "saves and makes" if len(reason.jobs) == 1 else "save and make"
            return f"{who or 'Another job'} {makes} room for it: it goes next."
        case ReasonCode.OVERDUE:
            limit = duration_text(reason.needed)
            return f"It has waited for more than {limit}, as long as all work at hand takes: it goes first."
        case ReasonCode.EVICTED:
            return f"It saved and made room for others; {duration_text(reason.needed)} of work are kept."
        case ReasonCode.TRIAL:
            return "Its program has not run here before: longer jobs make room for a short trial."
        case ReasonCode.FAIR:
            return f"Your jobs used {_times(reason)} the average of late, so {who or 'others'} go first."
        case ReasonCode.MORE_MEMORY:
            return f"It ran out of memory and is tried again with {needed} ({detail})."
        case ReasonCode.MORE_GPU_MEMORY:
            return f"It ran out of GPU memory and is tried again with {needed} ({detail})."
        case ReasonCode.GUARD:
            what = f"{needed} of memory" if reason.unit is Unit.BYTES else _needed(reason)
            return f"{what} {'is' if reason.needed == 1 else 'are'} kept for who works at the keyboard."


def _until(reason: Reason, now: float) -> str:
    if reason.until_at is None:
        return ""
    when = f"{clock_text(reason.until_at, now)} ({estimate_text(reason.until_at, now)})"
    if reason.code is ReasonCode.START_FAILED:
        return f" The next try is at {when}."
    return f" That should pass about {when}."


def _needed(reason: Reason) -> str:
    needed = reason.needed or 0.0
    match reason.unit:
        case Unit.BYTES:
            return bytes_text(needed)
        case Unit.DEVICES:
            return counted(needed, "GPU")
        case _:
            return counted(needed, "core")


def _times(reason: Reason) -> str:
    return f"{reason.needed or 0:.1f}x"


def _others(count: float) -> str:
    return counted(count, "other")


def _by_others(reason: Reason) -> str:
    foreign = (ReasonCode.FOREIGN_CPU, ReasonCode.FOREIGN_MEMORY, ReasonCode.FOREIGN_GPU)
    return " (others)" if reason.code in foreign else ""


def _resource(reason: Reason) -> str:
    return f"{name} " if (name := reason_name(reason)) else ""


def _fate(reason: Reason) -> str:
    fates = {
        "failed": "failed",
        "cancelled": "was cancelled",
        "timed_out": "ran out of time",
        "out_of_memory": "ran out of memory",
        "lost": "was lost",
    }
    return fates.get(reason.detail, "did not succeed")


def _on(detail: str) -> str:
    return f" on {detail}" if detail else ""
