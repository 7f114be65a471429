"""What is free for a job, and which limit stops the next one, on two lines or on one. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from cro_tui.present.amounts import amount_text, bytes_text, cells, estimate_text, number_text
from cro_tui.present.jobs import name_text
from cro_tui.present.reasons import reason_name, reason_short
from jobs.core.jobs import Job, Needs, ReasonCode
from jobs.core.machine import Capacity, Sample
from jobs.core.requests import Headroom

_RESOURCES = frozenset({"CPU", "MEM", "GPU", "VRAM"})


def headroom_lines(
    headroom: Headroom | None,
    capacity: Capacity | None,
    sample: Sample | None,
    now: float,
    width: int | None = None,
) -> tuple[str, str]:
    """ "Free for jobs  CPU 1.2 of 2  MEM 20.1G of 23.5G" and what the next job needs and waits for.

    Each as much as `width` cells can hold; None: all of it.
    """
    if headroom is None or capacity is None:
        return "Free for jobs: the machine cannot be read just now.", ""
    parts = [
        f"CPU {_cores(headroom.cpus)} of {number_text(capacity.cpus)}",
        f"MEM {bytes_text(headroom.mem_bytes)} of {bytes_text(capacity.mem_bytes)}",
    ]
    if headroom.devices:
        free = [held for _, held in headroom.devices if held is not None]
        largest = bytes_text(max(free)) if free else "none"
        parts.append(f"GPU {len(free)} of {len(headroom.devices)} open, VRAM {largest}")
    pressure = None if sample is None else sample.pressure
    if pressure is not None and pressure.cpu_some_avg10 is not None:
        parts.append(f"stalls CPU {pressure.cpu_some_avg10:.0f} %")
        if pressure.memory_some_avg10 is not None:
            parts[-1] += f" MEM {pressure.memory_some_avg10:.0f} %"
    fewer = [_free(headroom, capacity, sample, words) for words in (2, 1, 0)]
    frees = [parts, *([each for each, _ in free] for free in fewer)]
    return (
        _widest([f"Free for jobs  {'  '.join(free)}" for free in frees], width),
        _widest(_next(headroom, now), width),
    )


def _widest(tries: list[str], width: int | None) -> str:
    return next((text for text in tries if width is None or cells(text) <= width), tries[-1])


@dataclass(frozen=True, slots=True)
class HeadroomRow:
    """`free` has words and whether the next job is short of that; `next_job` who waits, and for what."""

    free: tuple[tuple[str, bool], ...]
    next_job: str

    @property
    def width(self) -> int:
        return sum(cells(words) + 2 for words, _ in self.free) + cells(self.next_job)


def headroom_row(
    headroom: Headroom | None, capacity: Capacity | None, sample: Sample | None, now: float, width: int
) -> HeadroomRow:
    """The most that `width` cells can hold, such as "CPU 1.5  MEM 6.0G  VRAM 6.0G  stalls 4%" and
    "next #42 needs CPU 2 MEM 8.0G VRAM 10.0G, ~16m"."""
    if headroom is None or capacity is None:
        return HeadroomRow((("not known while the machine cannot be read", False),), "")
    whole, short, least = (_free(headroom, capacity, sample, words) for words in (2, 1, 0))
    needs, lacks, who = _next_words(headroom.next_job, now)
    tries = ((whole, needs), (short, needs), (short, lacks), (least, lacks), (least, who))
    rows = [HeadroomRow(*each) for each in tries]
    return next((row for row in rows if row.width <= width), rows[-1])


def _free(
    headroom: Headroom, capacity: Capacity, sample: Sample | None, words: int
) -> tuple[tuple[str, bool], ...]:
    """With 2 of what there is, with 0 only what mostly matters."""
    reasons = () if headroom.next_job is None else headroom.next_job.reasons
    short = {reason_name(reason) for reason in reasons}
    stalled = any(reason.code is ReasonCode.PRESSURE for reason in reasons)
    of = [f" of {number_text(capacity.cpus)}", f" of {bytes_text(capacity.mem_bytes)}"]
    cores, mem = of if words == 2 else ("", "")
    parts = [
        (f"CPU {_cores(headroom.cpus)}{cores}", "CPU" in short),
        (f"MEM {bytes_text(headroom.mem_bytes)}{mem}", "MEM" in short),
    ]
    if headroom.devices:
        free = [held for _, held in headroom.devices if held is not None]
        if words or "GPU" in short or not free:
            parts.append((f"GPU {len(free)}/{len(headroom.devices)}", "GPU" in short))
        if free:
            parts.append((f"VRAM {bytes_text(max(free))}", "VRAM" in short))
    pressure = None if sample is None else sample.pressure
    stalls = [] if pressure is None else [pressure.cpu_some_avg10, pressure.memory_some_avg10]
    if known := [each for each in stalls if each is not None]:
        parts.append((f"stalls {max(known):.0f}%", stalled))
    return tuple(parts)


def _next_words(job: Job | None, now: float) -> tuple[str, str, str]:
    """Who is next, with all that it needs, with what it is short of, and without either."""
    if job is None:
        return ("nothing waits",) * 3
    when = "" if job.estimated_start_at is None else f", {estimate_text(job.estimated_start_at, now)}"
    first = job.reasons[0] if job.reasons else None
    name = reason_name(first) if first is not None and reason_name(first) in _RESOURCES else ""
    why = "about to start" if first is None else reason_short(first)
    short = f" needs {name} {amount_text(first.needed, first.unit)}" if first and name else f": {why}"
    needs = f" needs {_wants(job.needs)}" + ("" if name else f": {why}")
    return f"next #{job.id}{needs}{when}", f"#{job.id}{short}{when}", f"#{job.id}{when}"


def _wants(needs: Needs) -> str:
    """ "CPU 2 MEM 8.0G", with "GPU 1" for a whole one, "VRAM 10.0G" for a share of one."""
    wants = f"CPU {number_text(needs.cpus)} MEM {bytes_text(needs.mem_bytes)}"
    if needs.gpus and (needs.gpus > 1 or needs.gpu_mem_bytes is None):
        wants += f" GPU {needs.gpus}"
    if needs.gpus and needs.gpu_mem_bytes is not None:
        wants += f" VRAM {bytes_text(needs.gpu_mem_bytes)}"
    return wants


def _cores(cpus: float) -> str:
    return number_text(round(cpus, 1))


def _next(headroom: Headroom, now: float) -> list[str]:
    job = headroom.next_job
    if job is None:
        return ["Next           nothing waits."]
    short = reason_short(job.reasons[0]) if job.reasons else "is about to start"
    when = "" if job.estimated_start_at is None else f" ({estimate_text(job.estimated_start_at, now)})"
    name = name_text(job, 24)
    whos = [f"{name} needs {_wants(job.needs)}: ", f"{name}: ", ""]
    return [f"Next           #{job.id} {who}{short}{when}" for who in whos]
