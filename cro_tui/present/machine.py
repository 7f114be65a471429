"""The machine and the scheduler in one line each.

Pure. A reading that is missing is said to be missing, never shown as zero.
"""

from __future__ import annotations

from collections.abc import Mapping

from cro_tui.present.amounts import bytes_text, clean, number_text, percent_text, span_text
from jobs.core.jobs import StateName
from jobs.core.machine import Capacity, Device, DeviceSample, Sample
from jobs.core.requests import DaemonStatus

_COUNTED = (
    ("run", (StateName.STARTING, StateName.RUNNING)),
    ("pause", (StateName.PAUSED,)),
    ("wait", (StateName.QUEUED,)),
    ("held", (StateName.HELD,)),
    ("fail", (StateName.FAILED, StateName.TIMED_OUT, StateName.OUT_OF_MEMORY, StateName.LOST)),
    ("stop", (StateName.CANCELLED,)),
    ("done", (StateName.SUCCEEDED,)),
)


def counts_line(counts: Mapping[StateName, int]) -> str:
    """ "run 3 wait 4 fail 1 done 46"; groups without a job are left out, "no jobs" when all are."""
    totals = ((word, sum(counts.get(name, 0) for name in names)) for word, names in _COUNTED)
    return " ".join(f"{word} {total}" for word, total in totals if total) or "no jobs"


def daemon_line(status: DaemonStatus, now: float) -> str:
    if not status.running:
        return "scheduler not running"
    up = "" if status.since_at is None else f", up {span_text(now - status.since_at)}"
    drain = ", paused: starts nothing new" if status.draining else ""
    note = f" ({clean(status.note)})" if status.note else ""
    return f"scheduler running{up}{drain}{note}"


def cpu_line(sample: Sample | None, capacity: Capacity | None) -> str:
    if sample is None or sample.cpu_busy is None:
        return "CPU   not read"
    cores = None if capacity is None else capacity.cpus
    share = sample.cpu_busy / cores if cores else None
    others = "" if sample.cpu_foreign is None else f", others use {number_text(sample.cpu_foreign)}"
    load = "" if sample.load_1m is None else f", load {sample.load_1m:.1f}"
    used = f"{number_text(sample.cpu_busy)} of {number_text(cores)} cores busy"
    return f"CPU   {percent_text(share):>4}  {used}{others}{load}"


def memory_line(sample: Sample | None) -> str:
    if sample is None or sample.mem_total_bytes is None or sample.mem_available_bytes is None:
        return "MEM   not read"
    total, available = sample.mem_total_bytes, sample.mem_available_bytes
    share = (total - available) / total if total else None
    swap = f", swap {bytes_text(sample.swap_used_bytes)}" if sample.swap_used_bytes else ""
    return f"MEM   {percent_text(share):>4}  {bytes_text(available)} available of {bytes_text(total)}{swap}"


def gpu_lines(sample: Sample | None, capacity: Capacity | None) -> tuple[str, ...]:
    """One line for each GPU, or one that says why there is none."""
    note = clean(sample.gpu_note or "") if sample is not None else ""
    if capacity is None or not capacity.all_devices:
        return (f"GPU   none: {note}",) if note else ("GPU   none",)
    read = {device.uuid: device for device in sample.devices} if sample is not None else {}
    now = sample.at if sample is not None else 0.0
    lines = tuple(
        _gpu_line(device, read.get(device.uuid), now)
        + ("" if capacity.is_for_jobs(device) else ", not for jobs")
        for device in capacity.all_devices
    )
    return (*lines, f"GPU   {note}") if note else lines


def _gpu_line(device: Device, live: DeviceSample | None, now: float) -> str:
    label = f"GPU{device.key}"
    name = clean(device.name, 40)
    if live is None:
        return f"{label:<5}    -  {bytes_text(device.mem_bytes)}, not read ({name})"
    parts = [f"{bytes_text(live.mem_used_bytes)} of {bytes_text(device.mem_bytes)} used"]
    if live.foreign_mem_bytes:
        parts.append(f"others use {bytes_text(live.foreign_mem_bytes)}")
    if idle := idle_holds(live, now):
        parts.append(idle)
    if live.temperature_c is not None:
        parts.append(f"{live.temperature_c:.0f}C")
    if live.power_w is not None:
        limit = f" of {live.power_limit_w:.0f}W" if live.power_limit_w else ""
        parts.append(f"{live.power_w:.0f}W{limit}")
    if live.throttled:
        parts.append("slowed by heat")
    if live.ecc_errors:
        parts.append(f"{live.ecc_errors} memory errors")
    return f"{label:<5} {busy_text(device, live):>4}  {', '.join(parts)} ({name})"


def busy_text(device: Device, live: DeviceSample | None) -> str:
    """ "97%", "-" while it is not read, "n/a" of a MIG instance, of which no driver says it."""
    return "n/a" if device.instance is not None else percent_text(live.utilisation if live else None)


def idle_holds(live: DeviceSample | None, now: float) -> str:
    """ "holds 38.0G, idle 42m: pid 4711" of memory held for nothing, the largest named; or empty."""
    idle = [hold for hold in (live.holds if live else None) or () if hold.idle_since_at is not None]
    if not idle:
        return ""
    most = max(idle, key=lambda hold: hold.mem_bytes or 0)
    who = f"#{most.job_id}" if most.job_id is not None else f"pid {most.pid}"
    more = f" +{len(idle) - 1}" if len(idle) > 1 else ""
    held = bytes_text(sum(hold.mem_bytes or 0 for hold in idle))
    since = max(hold.idle_since_at or 0.0 for hold in idle)
    return f"holds {held}, idle {span_text(now - since)}: {who}{more}"


def alert_lines(sample: Sample | None) -> tuple[str, ...]:
    """One line for each alert that stands."""
    return tuple(f"ALERT {clean(alert.text, 200)}" for alert in (sample.alerts if sample else ()))


def health_line(sample: Sample | None) -> str:
    """The worst alert, and how many there are; empty while nothing is wrong."""
    if sample is None or not sample.alerts:
        return ""
    more = f" ({len(sample.alerts) - 1} more: cro-tui status)" if len(sample.alerts) > 1 else ""
    return clean(sample.alerts[0].text, 200) + more


def machine_lines(sample: Sample | None, capacity: Capacity | None) -> tuple[str, ...]:
    return (
        cpu_line(sample, capacity),
        memory_line(sample),
        *gpu_lines(sample, capacity),
        *alert_lines(sample),
    )
