"""NVIDIA GPUs through the binding `pynvml` (package nvidia-ml-py).

Never wakes a card. A card that MIG has divided is read as itself and as each of its instances, which have
memory and processes of their own; the driver does not say how busy one is.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobs.core.machine import Device
from jobs.machine.gpu_driver import GpuDriver, GpuReading, KnownDevices, NotPresent, lost_gpus

PROCESSES_EVERY_S = 2.0
SLOW_EVERY_S = 5.0
XID_KEPT_S = 600.0  # how long an error that a card reported is told
_MOST_EVENTS = 64

NO_LIBRARY = NotPresent("no NVIDIA driver library")
NO_DRIVER = "the NVIDIA driver is not loaded; run nvidia-smi to see why"
MISMATCH = "NVIDIA driver and library have different versions; reboot to finish the driver's update"
HANGS = "the NVIDIA driver does not answer; its GPUs are not used until it does"
NO_DEVICES = "the NVIDIA driver has no GPU"


class Nvidia:
    """The Maker: loads the driver's library when it is opened, and never before."""

    name = "nvidia"
    hangs = HANGS
    missing = NO_LIBRARY

    def present(self) -> bool:
        return True  # only the library knows

    def open(self, clock: Callable[[], float]) -> GpuDriver:
        return _Driver(clock)

    def explain(self, error: Exception) -> str:
        kind = type(error).__name__
        if kind in ("NVMLError_LibraryNotFound", "ModuleNotFoundError"):
            return NO_LIBRARY
        if kind == "NVMLError_DriverNotLoaded":
            return NO_DRIVER
        if kind == "NVMLError_LibRmVersionMismatch":
            return MISMATCH
        return f"the NVIDIA driver failed: {error}"


@dataclass(frozen=True, slots=True)
class _Slow:
    """What is asked for less often."""

    temperature_c: float | None
    power_limit_w: float | None
    throttled: bool | None
    ecc_errors: int | None


@dataclass(slots=True)
class _Card:
    """One card; `parts` are its MIG instances with their handles, None while it is not divided."""

    handle: Any
    device: Device
    parts: tuple[tuple[Any, Device], ...] | None = None


class _Driver:
    """The binding, initialised; slow facts are asked for less often."""

    def __init__(self, clock: Callable[[], float]) -> None:
        import pynvml

        self._nvml: Any = pynvml
        self._clock = clock
        pynvml.nvmlInit()
        self._cards: list[_Card] = []
        self._processes: dict[str, tuple[tuple[int, int | None], ...] | None] = {}
        self._absent: list[int] = []  # lost before their names could be read
        for index in range(pynvml.nvmlDeviceGetCount()):
            try:
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                card = _Card(handle, self._describe(handle, index))
                card.parts = self._parts_of(card)
                self._cards.append(card)
            except pynvml.NVMLError_GpuIsLost:
                self._absent.append(index)
        self._processes_at = self._slow_at = float("-inf")
        self._slow: dict[str, _Slow] = {}
        self._xids: dict[str, tuple[int, float]] = {}
        self._events = self._listen()

    @property
    def known(self) -> KnownDevices:
        """What can be used, and the cards that are divided."""
        split = tuple(card.device for card in self._cards if card.parts is not None)
        usable = [
            device
            for card in self._cards
            for device in ([card.device] if card.parts is None else [part for _, part in card.parts])
        ]
        return KnownDevices(tuple(usable), split)

    def read(self) -> tuple[tuple[GpuReading, ...], str | None]:
        """The readings of those that answer, and which the machine has lost."""
        now = self._clock()
        processes_due = now - self._processes_at >= PROCESSES_EVERY_S
        slow_due = now - self._slow_at >= SLOW_EVERY_S
        self._processes_at = now if processes_due else self._processes_at
        self._slow_at = now if slow_due else self._slow_at
        self._hear(now)
        found, gone = [], list(self._absent)
        for card in self._cards:
            try:
                if slow_due:
                    card.parts = self._parts_of(card)
                found.append(self._read(card, processes_due, slow_due))
                for handle, device in card.parts or ():
                    found.append(self._read_part(handle, device, processes_due))
            except self._nvml.NVMLError_GpuIsLost:
                gone.append(card.device.index)
                self._processes_at = self._slow_at = float("-inf")  # if it comes back, all is asked anew
        return tuple(found), lost_gpus(gone) if gone else None if found else NO_DEVICES

    def _parts_of(self, card: _Card) -> tuple[tuple[Any, Device], ...] | None:
        """The instances of a divided card; None of one that is whole."""
        n, index = self._nvml, card.device.index
        mode = self._value(n.nvmlDeviceGetMigMode, card.handle)
        if mode is None or mode[0] != n.NVML_DEVICE_MIG_ENABLE:
            return None
        known = {device.instance: (handle, device) for handle, device in card.parts or ()}
        parts = []
        for number in range(n.nvmlDeviceGetMaxMigDeviceCount(card.handle)):
            try:
                handle = n.nvmlDeviceGetMigDeviceHandleByIndex(card.handle, number)
                device = self._describe(handle, index, number)
            except n.NVMLError_NotFound:
                continue  # no instance in this slot
            before = known.get(number)
            parts.append(before if before is not None and before[1] == device else (handle, device))
            self._processes.setdefault(device.uuid, None)
        return tuple(parts)

    def _read_part(self, handle: Any, device: Device, processes_due: bool) -> GpuReading:
        """What an instance says of itself; heat and power are the card's; nobody says how busy it is."""
        n = self._nvml
        try:
            memory = self._value(n.nvmlDeviceGetMemoryInfo, handle)
            if processes_due or self._processes.get(device.uuid) is None:
                self._processes[device.uuid] = self._processes_of(handle)
        except (n.NVMLError_NotFound, n.NVMLError_InvalidArgument):
            self._slow_at = float("-inf")  # it is no more: which there are is asked anew
            return GpuReading(device)
        used = None if memory is None else int(memory.used)
        return GpuReading(device, used, processes=self._processes[device.uuid])

    def _read(self, card: _Card, processes_due: bool, slow_due: bool) -> GpuReading:
        n, handle, device = self._nvml, card.handle, card.device
        memory = self._value(n.nvmlDeviceGetMemoryInfo, handle)
        rates = self._value(n.nvmlDeviceGetUtilizationRates, handle)
        power = self._value(n.nvmlDeviceGetPowerUsage, handle)
        if processes_due:
            self._processes[device.uuid] = self._processes_of(handle)
        if slow_due:
            self._slow[device.uuid] = self._slow_of(handle)
        slow = self._slow[device.uuid]
        return GpuReading(
            device=device,
            mem_used_bytes=None if memory is None else int(memory.used),
            utilisation=None if rates is None else rates.gpu / 100,
            temperature_c=slow.temperature_c,
            power_w=None if power is None else power / 1000,
            power_limit_w=slow.power_limit_w,
            throttled=slow.throttled,
            ecc_errors=slow.ecc_errors,
            processes=self._processes[device.uuid] if card.parts is None else None,
            xid=self._xids[device.uuid][0] if device.uuid in self._xids else None,
        )

    def _listen(self) -> Any:
        """Where the driver puts the critical errors of all cards; None where it tells of none."""
        n = self._nvml
        events = self._value(n.nvmlEventSetCreate)
        heard, refusals = False, (n.NVMLError_NotSupported, n.NVMLError_NoPermission, n.NVMLError_GpuIsLost)
        for card in self._cards if events is not None else ():
            with contextlib.suppress(*refusals):
                n.nvmlDeviceRegisterEvents(card.handle, n.nvmlEventTypeXidCriticalError, events)
                heard = True
        return events if heard else None

    def _hear(self, now: float) -> None:
        """Take the errors that were reported since the last reading; forget old ones."""
        n = self._nvml
        self._xids = {uuid: (xid, at) for uuid, (xid, at) in self._xids.items() if now - at < XID_KEPT_S}
        names = {_address(card.handle): card.device.uuid for card in self._cards}
        for _ in range(_MOST_EVENTS if self._events is not None else 0):
            try:
                event = n.nvmlEventSetWait_v2(self._events, 0)
            except (n.NVMLError_Timeout, n.NVMLError_GpuIsLost):
                return
            uuid = names.get(_address(event.device))
            if uuid is not None and event.eventType == n.nvmlEventTypeXidCriticalError:
                self._xids[uuid] = int(event.eventData), now

    def _slow_of(self, handle: Any) -> _Slow:
        n = self._nvml
        limit = self._value(n.nvmlDeviceGetEnforcedPowerLimit, handle)
        heat = self._value(n.nvmlDeviceGetTemperature, handle, n.NVML_TEMPERATURE_GPU)
        reasons = self._value(n.nvmlDeviceGetCurrentClocksEventReasons, handle)
        too_hot = n.nvmlClocksEventReasonSwThermalSlowdown | n.nvmlClocksEventReasonHwThermalSlowdown
        errors = self._value(
            n.nvmlDeviceGetTotalEccErrors, handle, n.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, n.NVML_VOLATILE_ECC
        )
        return _Slow(
            None if heat is None else float(heat),
            None if limit is None else limit / 1000,
            None if reasons is None else bool(reasons & too_hot),
            None if errors is None else int(errors),
        )

    def _describe(self, handle: Any, index: int, instance: int | None = None) -> Device:
        n = self._nvml
        memory = self._value(n.nvmlDeviceGetMemoryInfo, handle)
        return Device(
            uuid=str(n.nvmlDeviceGetUUID(handle)),
            index=index,
            name=str(n.nvmlDeviceGetName(handle)),
            mem_bytes=0 if memory is None else int(memory.total),
            instance=instance,
        )

    def _processes_of(self, handle: Any) -> tuple[tuple[int, int | None], ...] | None:
        n = self._nvml
        computing = self._value(n.nvmlDeviceGetComputeRunningProcesses, handle)
        drawing = self._value(n.nvmlDeviceGetGraphicsRunningProcesses, handle)
        if computing is None:
            return None
        found = {entry.pid: entry.usedGpuMemory for entry in [*(drawing or []), *computing]}
        return tuple(sorted(found.items()))

    def _value(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """The answer, or None where this device does not support the question."""
        n = self._nvml
        try:
            return call(*arguments)
        except (n.NVMLError_NotSupported, n.NVMLError_FunctionNotFound, n.NVMLError_NoPermission):
            return None


def _address(handle: Any) -> int | None:
    return ctypes.cast(handle, ctypes.c_void_p).value
