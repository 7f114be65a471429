"""What is free for a job, and which limit stops the next one, on two lines. Pure."""

from __future__ import annotations

from cro_tui.present.amounts import bytes_text, estimate_text, number_text
from cro_tui.present.jobs import name_text
from cro_tui.present.reasons import reason_short
from jobs.machine import Capacity, Sample
from jobs.views import Headroom


def headroom_lines(
    headroom: Headroom | None, capacity: Capacity | None, sample: Sample | None, now: float
) -> tuple[str, str]:
    """ "Free for jobs  CPU 1.2 of 2  MEM 20.1G of 23.5G" and what the next job needs and waits for."""
    if headroom is None or capacity is None:
        return "Free for jobs: the machine cannot be read just now.", ""
    parts = [
        f"CPU {number_text(round(headroom.cpus, 1))} of {number_text(capacity.cpus)}",
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
    return f"Free for jobs  {'  '.join(parts)}", _next(headroom, now)


def _next(headroom: Headroom, now: float) -> str:
    job = headroom.next_job
    if job is None:
        return "Next           nothing waits."
    needs = job.needs
    wants = f"CPU {number_text(needs.cpus)} MEM {bytes_text(needs.mem_bytes)}"
    if needs.gpus:
        share = "" if needs.gpu_mem_bytes is None else f" with {bytes_text(needs.gpu_mem_bytes)}"
        wants += f" GPU {needs.gpus}{share}"
    short = reason_short(job.reasons[0]) if job.reasons else "is about to start"
    when = "" if job.estimated_start_at is None else f" ({estimate_text(job.estimated_start_at, now)})"
    return f"Next           #{job.id} {name_text(job, 24)} needs {wants}: {short}{when}"
