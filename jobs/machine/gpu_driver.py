"""What the driver of one GPU vendor has to answer. Protocols and values only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from jobs.core.machine import Device


@dataclass(frozen=True, slots=True)
class GpuReading:
    """One device as its driver tells it. `processes` are (pid, bytes or None when it does not say)."""

    device: Device
    mem_used_bytes: int | None = None
    utilisation: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    throttled: bool | None = None
    ecc_errors: int | None = None
    processes: tuple[tuple[int, int | None], ...] | None = None
    xid: int | None = None  # the last critical error that it reported, for a while


class NotPresent(str):
    """A note that is no complaint: of this maker there is nothing that could be used."""

    __slots__ = ()


class DeviceNote(str):
    """A note that names devices: words, and the numbers of devices, which are the driver's own at first."""

    parts: tuple[str | int, ...]

    def __new__(cls, *parts: str | int) -> DeviceNote:
        made = super().__new__(cls, "".join(map(str, parts)))
        made.parts = parts
        return made

    def numbered(self, above: int) -> DeviceNote:
        return DeviceNote(*(part + above if isinstance(part, int) else part for part in self.parts))


@dataclass(frozen=True, slots=True)
class KnownDevices:
    """`usable` can be given to jobs, `shown` cannot; both by index."""

    usable: tuple[Device, ...] = ()
    shown: tuple[Device, ...] = ()


class GpuDriver(Protocol):
    """A maker's driver, opened. One thread calls it; any call may hang or raise.

    It numbers its devices from 0, and returns a `DeviceNote` where a note names some; `Gpus` renumbers.
    """

    @property
    def known(self) -> KnownDevices:
        """The devices as of the last reading. One that was lost stays: what runs on it is not forgotten."""

    def read(self) -> tuple[tuple[GpuReading, ...], str | None]:
        """Those that answer, and a line of what is wrong with others; what is not said is None, never 0."""


class GpuVendor(Protocol):
    """What a module of this package brings for the GPUs of one maker.

    `hangs` is said when nothing answers in time, `missing` where there is no driver.
    """

    name: str
    hangs: str
    missing: NotPresent

    def present(self) -> bool:
        """Whether opening is worth a thread. Called by readers: it must not wait for the driver."""

    def open(self, clock: Callable[[], float]) -> GpuDriver:
        """The driver, ready to read. Raises whatever it likes."""

    def explain(self, error: Exception) -> str:
        """One line for people of why there is nothing, and what to do."""


def lost_gpus(indices: Sequence[int]) -> DeviceNote:
    which = [part for index in sorted(indices) for part in (", ", index)]
    why = ": it fell off the bus; dmesg says why, and a restart may bring it back"
    return DeviceNote("lost GPU ", *which[1:], why)
