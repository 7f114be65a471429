"""When something wrong with the machine is told, and when it is over: levels, each held for a while. Pure.

Each kind has a level that raises it and a lower one that clears it, so that a value that swings about one
of them is told once. It starts and stops nothing: `decide` pauses on alerts where the rules say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from jobs.core.jobs import JobId
from jobs.core.machine import Alert, AlertKind, Capacity, Sample

AlertKey = tuple[AlertKind, str]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Raised once it was `raise_at` or more for `raise_after_s`, over once below `clear_at` for so long."""

    raise_at: float
    clear_at: float
    raise_after_s: float
    clear_after_s: float


LEVELS: Mapping[
    AlertKey, Thresholds
] = {  # the worst first; a subject of "" stands for all others of its kind
    (AlertKind.GPU_LOST, ""): Thresholds(1.0, 1.0, 5.0, 5.0),
    (AlertKind.MEMORY, "stalls"): Thresholds(10.0, 3.0, 10.0, 30.0),
    (AlertKind.MEMORY, "full"): Thresholds(97.0, 93.0, 10.0, 30.0),
    (AlertKind.DISK, ""): Thresholds(95.0, 93.0, 5.0, 5.0),
    (AlertKind.XID, ""): Thresholds(1.0, 1.0, 0.0, 0.0),
    (AlertKind.ECC, ""): Thresholds(1.0, 1.0, 0.0, 0.0),
    (AlertKind.THROTTLE, ""): Thresholds(1.0, 1.0, 10.0, 30.0),
    (AlertKind.HEAT, ""): Thresholds(90.0, 83.0, 30.0, 30.0),
    (AlertKind.LOG, ""): Thresholds(90.0, 90.0, 2.0, 2.0),
}
XIDS: Mapping[int, str] = {  # by NVIDIA's table of them, in the words of who has to do something
    13: "a program's fault",
    31: "a program touched memory that is not its own",
    43: "a program's work was stopped",
    45: "a program's work was cleaned up",
    48: "its memory has an error that cannot be corrected",
    64: "a broken part of its memory could not be replaced",
    74: "its link to other GPUs has errors",
    79: "it fell off the bus",
    94: "a program met an error of its memory",
    95: "its memory has errors: it has to be reset",
    119: "its firmware does not answer",
    120: "its firmware failed",
}
_RANK = {kind: place for place, (kind, _) in reversed(list(enumerate(LEVELS)))}


@dataclass(frozen=True, slots=True)
class AlertReading:
    """One value that is watched now, with the sentence to tell if it is too high."""

    kind: AlertKind
    subject: str
    value: float
    text: str


@dataclass(frozen=True, slots=True)
class AlertTracker:
    """`above_since`: what is too high but not told yet; `calm_since`: what is told and may be over."""

    above_since: Mapping[AlertKey, float] = field(default_factory=dict)
    calm_since: Mapping[AlertKey, float] = field(default_factory=dict)
    standing: Mapping[AlertKey, Alert] = field(default_factory=dict)

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """What stands, the worst first, then by age."""
        return tuple(sorted(self.standing.values(), key=lambda a: (_RANK[a.kind], a.since_at, a.subject)))


def track(before: AlertTracker, readings: Iterable[AlertReading], now: float) -> AlertTracker:
    """The watch after these readings; of what is not among them, nothing is wrong any more.

    A moment that lies ahead of `now`, as the clock was set back, counts as now.
    """
    above: dict[AlertKey, float] = {}
    calm: dict[AlertKey, float] = {}
    standing: dict[AlertKey, Alert] = {}
    found = {(reading.kind, reading.subject): reading for reading in readings}
    for key in {**found, **before.standing}:
        reading, alert, level = found.get(key), before.standing.get(key), _level(key)
        if alert is None and reading is not None and reading.value >= level.raise_at:
            since = min(before.above_since.get(key, now), now)
            if now - since >= level.raise_after_s:
                standing[key] = Alert(*key, since, reading.value, reading.text)
            else:
                above[key] = since
        elif alert is not None:
            if reading is not None:
                alert = replace(alert, value=reading.value, text=reading.text)
            if reading is None or reading.value < level.clear_at:
                since = min(before.calm_since.get(key, now), now)
                if now - since >= level.clear_after_s:
                    continue
                calm[key] = since
            standing[key] = alert
    return AlertTracker(above, calm, standing)


def readings_of(
    sample: Sample,
    capacity: Capacity,
    *,
    disk: tuple[int, int] | None = None,
    log_bytes: Mapping[JobId, int] | None = None,
    log_kept_bytes: int = 0,
) -> list[AlertReading]:
    """What of a sample is watched. `disk` is the free and the whole bytes of the state folder's file
    system, `log_bytes` what each running job has written, `log_kept_bytes` how much of that is kept."""
    found = []
    stalls = sample.pressure.memory_full_avg10
    if stalls is not None:
        text = f"All work stands still {stalls:.0f} % of the time for want of memory."
        found.append(AlertReading(AlertKind.MEMORY, "stalls", stalls, text))
    total, available = sample.mem_total_bytes, sample.mem_available_bytes
    if total and available is not None:
        text = f"Memory is nearly full: {_mib(available)} of {_mib(total)} are left."
        found.append(AlertReading(AlertKind.MEMORY, "full", 100.0 * (1 - available / total), text))
    if disk is not None and disk[1]:
        free, whole = disk
        text = f"The disk of cro-tui's files is nearly full: {_mib(free)} of {_mib(whole)} are left."
        found.append(AlertReading(AlertKind.DISK, "state", 100.0 * (1 - free / whole), text))
    live = {device.uuid: device for device in sample.devices}
    for device in capacity.all_devices:
        name, reading = f"GPU {device.key}", live.get(device.uuid)
        if reading is None:
            note = sample.gpu_note or "the driver does not say why"
            found.append(AlertReading(AlertKind.GPU_LOST, name, 1.0, f"{name} cannot be read: {note}."))
            continue
        if reading.xid:
            meaning = f" ({XIDS[reading.xid]})" if reading.xid in XIDS else ""
            text = f"{name} reported XID {reading.xid}{meaning}; dmesg says more."
            found.append(AlertReading(AlertKind.XID, name, reading.xid, text))
        if reading.ecc_errors is not None:
            text = f"{name} has had {reading.ecc_errors} memory errors that could not be corrected."
            found.append(AlertReading(AlertKind.ECC, name, reading.ecc_errors, text))
        if reading.throttled is not None:
            text = f"{name} is too hot: its clocks are held down."
            found.append(AlertReading(AlertKind.THROTTLE, name, float(reading.throttled), text))
        if reading.temperature_c is not None:
            text = f"{name} is at {reading.temperature_c:.0f} degrees Celsius."
            found.append(AlertReading(AlertKind.HEAT, name, reading.temperature_c, text))
    for job_id, written in (log_bytes or {}).items():
        text = f"Job #{job_id} has written {_mib(written)} to its log; {_mib(log_kept_bytes)} are kept."
        found.append(
            AlertReading(AlertKind.LOG, f"#{job_id}", 100.0 * written / max(log_kept_bytes, 1), text)
        )
    return found


def _level(key: AlertKey) -> Thresholds:
    return LEVELS.get(key) or LEVELS[key[0], ""]


def _mib(number: int) -> str:
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 else f"{number / 2**20:.0f} MiB"
