"""The nouns of the machine: its size, its devices, one reading of it.

Pure values; how they are read is the business of `jobs.machine`. Memory is bytes, a missing reading is
`None` and never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jobs.core.jobs import JobId, Usage


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU, or (`instance` set) a MIG instance of it. `index` is for people, `uuid` is its identity.

    `alias`: what the runtime of its maker calls it, where that is not the `uuid`.
    """

    uuid: str
    index: int
    name: str
    mem_bytes: int
    instance: int | None = None
    vendor: str = "nvidia"
    alias: str | None = None

    @property
    def key(self) -> str:
        """ "0", and "0:MIG1" of an instance."""
        return str(self.index) if self.instance is None else f"{self.index}:MIG{self.instance}"

    @property
    def place(self) -> tuple[int, int]:
        """What devices are ordered by: a card before its instances."""
        return self.index, -1 if self.instance is None else self.instance


@dataclass(frozen=True, slots=True)
class Capacity:
    """The machine's size: what could be used if nothing else ran.

    `devices` can be given to jobs, all of one maker; `shown` cannot: cards that MIG has divided, that are
    closed to us, or of another maker.
    """

    cpus: float
    mem_bytes: int
    devices: tuple[Device, ...] = ()
    shown: tuple[Device, ...] = ()

    @property
    def all_devices(self) -> tuple[Device, ...]:
        """Each card with its instances behind it."""
        return tuple(sorted((*self.shown, *self.devices), key=lambda device: device.place))

    def is_for_jobs(self, device: Device) -> bool:
        """Whether it, or an instance of it, can be given to one."""
        return any(each.index == device.index for each in self.devices)


@dataclass(frozen=True, slots=True)
class GpuHold:
    """Memory of one GPU that one process holds; `mem_bytes` None: the driver does not say how much.

    `started` is its start in clock ticks since boot, None where no such process can be seen; `job_id` is
    ours that it belongs to. `idle_since_at`: the GPU has done nothing since then while the process held it;
    None unless that has lasted.
    """

    pid: int
    started: int | None = None
    mem_bytes: int | None = None
    job_id: JobId | None = None
    idle_since_at: float | None = None


@dataclass(frozen=True, slots=True)
class DeviceSample:
    """Live state of one GPU. `foreign_mem_bytes` is held by processes that are not our jobs'.

    `holds` are the processes that the driver names, None where it names none that could be believed.
    """

    uuid: str
    mem_used_bytes: int | None = None
    foreign_mem_bytes: int | None = None
    foreign_processes: int | None = None
    utilisation: float | None = None  # 0..1
    temperature_c: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    throttled: bool | None = None  # its clocks are held down because it is too hot
    ecc_errors: int | None = None  # memory errors that could not be corrected, since the driver was loaded
    xid: int | None = None  # the number of the critical error that it reported last, for ten minutes
    holds: tuple[GpuHold, ...] | None = None


@dataclass(frozen=True, slots=True)
class Pressure:
    """Kernel pressure-stall averages in percent (Linux PSI); `None` where the kernel has none."""

    cpu_some_avg10: float | None = None
    cpu_some_avg60: float | None = None
    memory_some_avg10: float | None = None
    memory_some_avg60: float | None = None
    memory_full_avg10: float | None = None
    memory_full_avg60: float | None = None
    io_some_avg60: float | None = None


class AlertKind(StrEnum):
    MEMORY = "memory"
    DISK = "disk"
    GPU_LOST = "gpu_lost"
    XID = "xid"
    ECC = "ecc"
    THROTTLE = "throttle"
    HEAT = "heat"
    LOG = "log"


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that has been wrong for long enough to be told. `kind` and `subject` are its identity.

    `value` is percent, degrees Celsius, a count of errors, the number of an XID or, of a lost or slowed
    GPU, 1. `text` is one plain sentence.
    """

    kind: AlertKind
    subject: str
    since_at: float
    value: float
    text: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of the machine. `alerts`, the worst first, are the scheduler's: nobody else watches.

    `cpu_busy` and `cpu_foreign` are in cores (`cpu_foreign`: load that is not our jobs', smoothed by
    the sensor), `per_core` in 0..1. `jobs` holds the live use of each running job that was seen. `idle_s`:
    how long ago somebody last typed at a terminal of the machine.
    """

    at: float
    cpu_busy: float | None = None
    cpu_foreign: float | None = None
    per_core: tuple[float, ...] = ()
    mem_total_bytes: int | None = None
    mem_available_bytes: int | None = None
    swap_used_bytes: int | None = None
    load_1m: float | None = None
    pressure: Pressure = field(default_factory=Pressure)
    devices: tuple[DeviceSample, ...] = ()
    jobs: Mapping[JobId, Usage] = field(default_factory=dict)
    idle_s: float | None = None
    alerts: tuple[Alert, ...] = ()
    gpu_note: str | None = None  # why there are no GPUs, or one is missing, in one line
