"""Since when GPU memory has been held while its GPU stood idle, remembered from reading to reading. Pure.

A short burst of work does not end an idle time, and a short pause does not begin one that is told. The
driver says how busy a device is, not a process: of memory on a GPU that somebody uses, nothing is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from jobs.core.jobs import GIB
from jobs.core.machine import DeviceSample, GpuHold

IDLE_AT = 0.05  # of the device's time, at most
BUSY_AT = 0.10  # at least, and for BUSY_FOR_S, ends it
BUSY_FOR_S = 10.0
TOLD_AFTER_S = 600.0
LEAST_BYTES = GIB  # less is what a context or a desktop takes
FORGOTTEN_AFTER_S = 60.0  # without a reading nothing is known of the time between

HoldKey = tuple[str, int, int | None]  # device, pid, start


@dataclass(frozen=True, slots=True)
class IdleDevice:
    """A device that has done nothing since then; `busy_since`: it works now, perhaps not for long."""

    since: float
    seen_at: float
    busy_since: float | None = None


@dataclass(frozen=True, slots=True)
class IdleGpus:
    """What is remembered: idle devices, and since when each process holds so much of which device."""

    calm: Mapping[str, IdleDevice] = field(default_factory=dict)
    held: Mapping[HoldKey, tuple[float, float]] = field(default_factory=dict)  # since, seen at


def observed(before: IdleGpus, devices: Iterable[DeviceSample], now: float) -> IdleGpus:
    """What is remembered after one more reading; a device that was not read is kept for a while."""
    calm = {uuid: each for uuid, each in before.calm.items() if _fresh(each.seen_at, now)}
    held = {key: each for key, each in before.held.items() if _fresh(each[1], now)}
    for device in devices:
        after = _calm(calm.pop(device.uuid, None), device.utilisation, now)
        if after is not None:
            calm[device.uuid] = after
        if device.holds is None:
            continue
        known = {key: held.pop(key) for key in list(held) if key[0] == device.uuid}
        for hold in device.holds:
            if (hold.mem_bytes or 0) >= LEAST_BYTES:
                key = device.uuid, hold.pid, hold.started
                held[key] = min(known.get(key, (now, now))[0], now), now
    return IdleGpus(calm, held)


def with_idle_times(idling: IdleGpus, device: DeviceSample, now: float) -> DeviceSample:
    """The device with `idle_since_at` on those of its holds that have been idle for long enough."""
    calm = idling.calm.get(device.uuid)
    if calm is None or not device.holds:
        return device
    return replace(
        device, holds=tuple(_told(idling, device.uuid, hold, calm, now) for hold in device.holds)
    )


def remembered(devices: Iterable[DeviceSample], at: float) -> IdleGpus:
    """What a reading that somebody else took `at` some moment says of the time before."""
    calm: dict[str, IdleDevice] = {}
    held: dict[HoldKey, tuple[float, float]] = {}
    for device in devices:
        for hold in device.holds or ():
            if hold.idle_since_at is not None:
                held[device.uuid, hold.pid, hold.started] = hold.idle_since_at, at
                since = min(hold.idle_since_at, calm[device.uuid].since if device.uuid in calm else at)
                calm[device.uuid] = IdleDevice(since, at)
    return IdleGpus(calm, held)


def _calm(before: IdleDevice | None, utilisation: float | None, now: float) -> IdleDevice | None:
    if utilisation is None:
        return None
    if before is None:
        return IdleDevice(now, now) if utilisation <= IDLE_AT else None
    since = min(before.since, now)
    if utilisation < BUSY_AT:
        return IdleDevice(since, now)
    busy_since = now if before.busy_since is None else min(before.busy_since, now)
    return None if now - busy_since >= BUSY_FOR_S else IdleDevice(since, now, busy_since)


def _told(idling: IdleGpus, uuid: str, hold: GpuHold, calm: IdleDevice, now: float) -> GpuHold:
    held = idling.held.get((uuid, hold.pid, hold.started))
    if held is None:
        return hold
    since = max(calm.since, held[0])
    return replace(hold, idle_since_at=since) if now - since >= TOLD_AFTER_S else hold


def _fresh(seen_at: float, now: float) -> bool:
    return abs(now - seen_at) <= FORGOTTEN_AFTER_S
