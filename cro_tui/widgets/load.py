"""What the meters show: the machine's load, what is reserved and what may be taken, as words and shares.

Pure. Shares are 0..1; a missing reading is None and drawn as a gap, never as zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cro_tui.present import bytes_text, number_text
from cro_tui.present.machine import busy_text, idle_holds
from cro_tui.widgets.strips import plain
from jobs.core.jobs import Active, Job
from jobs.core.machine import Capacity, Device, DeviceSample, Sample
from jobs.core.rules import SchedulerSettings


@dataclass(frozen=True, slots=True)
class Gauge:
    """One meter: `foot` and `brief` are its numbers, `extra` a row of its own, `cores` shares per core."""

    label: str
    size: str
    share: float | None
    foot: str
    brief: str
    extra: str = ""
    cores: tuple[float, ...] = ()


def reserved(jobs: Iterable[Job]) -> tuple[float, int]:
    """Cores and bytes reserved by the active ones of these jobs."""
    needs = [job.needs for job in jobs if isinstance(job.state, Active)]
    return sum(need.cpus for need in needs), sum(need.mem_bytes for need in needs)


def cpu_gauge(sample: Sample | None, capacity: Capacity | None, active: Sequence[Job]) -> Gauge:
    cores = capacity.cpus if capacity else None
    busy = sample.cpu_busy if sample else None
    share = busy / cores if busy is not None and cores else None
    rsv = reserved(active)[0] / cores if cores else None
    size = f"{number_text(cores)} core{'' if cores == 1 else 's'}" if cores else ""
    return Gauge(
        "CPU",
        size,
        share,
        f"use {_points(share)}  rsv {_points(rsv)}  cap 100",
        f"rsv {_points(rsv)}/100",
        cores=sample.per_core if sample else (),
    )


def mem_gauge(
    sample: Sample | None, capacity: Capacity | None, active: Sequence[Job], rules: SchedulerSettings
) -> Gauge:
    total = capacity.mem_bytes if capacity else None
    there = sample.mem_available_bytes if sample else None
    whole = sample.mem_total_bytes if sample else None
    share = 1 - there / whole if there is not None and whole else None
    rsv = reserved(active)[1] / total if total else None
    headroom = max(rules.mem_headroom_bytes, rules.mem_headroom_fraction * total) if total else 0
    cap = 1 - headroom / total if total else None
    swap = sample.swap_used_bytes if sample else None
    return Gauge(
        "MEM",
        bytes_text(total) if total else "",
        share,
        f"use {_points(share)}  rsv {_points(rsv)}  cap {_points(cap)}",
        f"rsv {_points(rsv)}/{_points(cap)}",
        extra=f"free {bytes_text(there)}  swap {bytes_text(swap)}",
    )


def gpu_gauge(device: Device, live: DeviceSample | None, active: Sequence[Job], now: float = 0.0) -> Gauge:
    heat = "-" if live is None or live.temperature_c is None else f"{live.temperature_c:.0f}C"
    if live is not None and live.throttled:
        heat += " slowed"
    power = "-" if live is None or live.power_w is None else f"{live.power_w:.0f}W"
    if live is not None and live.power_w is not None and live.power_limit_w:
        power = f"{live.power_w:.0f}/{live.power_limit_w:.0f}W"
    users = [f"#{job.id}" for job in active if _uses(job, device)]
    foot = f"{heat}  {power}" + (f"  job {' '.join(users[:2])}" if users else "")
    share = live.utilisation if live else None
    return Gauge(
        f"GPU{device.key}", "", share, foot, heat, extra=idle_holds(live, now) or plain(device.name, 40)
    )


def vram_gauge(device: Device, live: DeviceSample | None, active: Sequence[Job]) -> Gauge:
    used = live.mem_used_bytes if live else None
    foreign = live.foreign_mem_bytes if live else None
    rsv = 0
    for job in active:
        if _uses(job, device):
            asked = job.needs.gpu_mem_bytes
            rsv += device.mem_bytes if asked is None else asked
    share = used / device.mem_bytes if used is not None and device.mem_bytes else None
    return Gauge(
        f"VRAM{device.key}",
        bytes_text(device.mem_bytes),
        share,
        f"use {bytes_text(used)}  rsv {bytes_text(rsv)}",
        f"{bytes_text(used)}/{bytes_text(device.mem_bytes)}",
        extra=f"others {bytes_text(foreign)}",
    )


def device_line(device: Device, live: DeviceSample | None, active: Sequence[Job], now: float) -> str:
    """One GPU of several, after its bar: "97%  17.0G/24.0G  74C  #41", or who holds it for nothing."""
    gpu, vram = gpu_gauge(device, live, active), vram_gauge(device, live, active)
    if idle := idle_holds(live, now):
        return f"{busy_text(device, live):>4}  {idle}"
    users = " ".join(f"#{job.id}" for job in active if _uses(job, device))
    return f"{busy_text(device, live):>4}  {vram.brief:>11}  {gpu.brief:>4}  {users}".rstrip()


def pressure_lines(sample: Sample | None) -> tuple[str, ...]:
    """Shares of the last ten seconds in which programs waited for something."""
    if sample is None:
        return ("not read yet", "", "", "", "")
    stall = sample.pressure
    load = "-" if sample.load_1m is None else f"{sample.load_1m:.1f}"
    others = number_text(sample.cpu_foreign)
    return (
        f"waiting for CPU   {_percent(stall.cpu_some_avg10)}",
        f"waiting for MEM   {_percent(stall.memory_some_avg10)}",
        f"all stuck on MEM  {_percent(stall.memory_full_avg10)}",
        f"load 1m           {load:>4}",
        f"other programs    {others:>4} cores",
    )


def _uses(job: Job, device: Device) -> bool:
    return isinstance(job.state, Active) and device.uuid in job.state.grant.device_uuids


def _points(share: float | None) -> str:
    return " -" if share is None else f"{100 * share:2.0f}"


def _percent(value: float | None) -> str:
    return "   -" if value is None else f"{value:4.1f} %"
