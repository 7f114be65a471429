"""Reads this machine: cores, memory, pressure and GPUs, and tells our load from everybody else's.

Totals come from psutil, pressure from the kernel, GPUs from `gpus`. It decides nothing. What cannot be read
is None, never 0.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from jobs.core.jobs import JobId, Usage
from jobs.core.machine import Capacity, DeviceSample, GpuHold, Pressure, Sample
from jobs.machine import container
from jobs.machine.gpu_driver import GpuReading
from jobs.machine.gpus import Gpus
from jobs.machine.idle_gpus import IdleGpus, observed, remembered, with_idle_times
from jobs.runtime import procfs

SMOOTH_S = 6.0  # time constant of the foreign load
SHORTEST_S = 0.02  # over less, counters of 10 ms ticks say nothing
LONGEST_S = 10.0  # over more, an average says nothing about now
_CONSOLES = tuple(f"/dev/tty{number}" for number in range(1, 7))
GENERATIONS = 64  # how far up the family of a process is followed


class MachineSensor:
    """The Sensor for this machine. Not for sharing between threads."""

    def __init__(self, gpus: Gpus | None = None, before: Sample | None = None) -> None:
        """`before` is what another sensor read last: GPUs that stood idle then go on standing idle."""
        self._gpus = Gpus() if gpus is None else gpus
        self._idling = IdleGpus() if before is None else remembered(before.devices, before.at)
        self._cores = container.affinity()
        self._foreign: float | None = None
        self._before = _Counters.read(self._cores, {}, 0.0)

    def capacity(self) -> Capacity:
        """Cores within affinity and quota, memory within the container's limit, all GPUs."""
        import psutil

        cores = float(len(self._cores) if self._cores else psutil.cpu_count() or 1)
        quota, limit = container.cpu_limit(), container.memory_limit()
        mem_bytes: int = psutil.virtual_memory().total
        gpus = self._gpus.known()
        return Capacity(
            cpus=cores if quota is None else min(cores, quota),
            mem_bytes=mem_bytes if limit is None else min(mem_bytes, limit.limit_bytes),
            devices=gpus.usable,
            shown=gpus.shown,
        )

    def read(
        self,
        now: float,
        jobs: Mapping[JobId, Usage],
        supervisors: Mapping[int, JobId],
        own_cpu_s: float,
    ) -> Sample:
        """One reading, averaged over the time since the last one; see ports.Sensor."""
        import psutil

        counters = _Counters.read(self._cores, jobs, own_cpu_s)
        memory, limit = psutil.virtual_memory(), container.memory_limit()
        total, available = memory.total, memory.available
        if limit is not None:
            total = min(total, limit.limit_bytes)
            available = max(0, min(available, limit.limit_bytes - limit.used_bytes))
        busy, per_core = self._cpu(counters, jobs)
        readings, note = self._gpus.read()
        devices, job_gpu_bytes = _share_out(readings, supervisors)
        self._idling = observed(self._idling, devices, now)
        return Sample(
            at=now,
            cpu_busy=busy,
            cpu_foreign=None if self._foreign is None else max(0.0, self._foreign),
            per_core=per_core,
            mem_total_bytes=total,
            mem_available_bytes=available,
            swap_used_bytes=psutil.swap_memory().used,
            load_1m=os.getloadavg()[0],
            pressure=_pressure(),
            devices=tuple(with_idle_times(self._idling, device, now) for device in devices),
            jobs={
                job_id: replace(usage, gpu_mem_bytes=job_gpu_bytes.get(job_id)) if readings else usage
                for job_id, usage in jobs.items()
            },
            idle_s=_idle_s(now),
            gpu_note=note,
        )

    def close(self) -> None:
        self._gpus.close()

    def _cpu(
        self, counters: _Counters, jobs: Mapping[JobId, Usage]
    ) -> tuple[float | None, tuple[float, ...]]:
        """Busy cores and the share of each; moves the smoothed foreign load on."""
        before, elapsed_s = self._before, counters.at - self._before.at
        if elapsed_s < SHORTEST_S:
            return None, ()
        self._before = counters
        if elapsed_s > LONGEST_S:
            running = min(os.getloadavg()[0], float(len(counters.busy_s)))
            self._foreign = running - sum(usage.cpus or 0.0 for usage in jobs.values())
            return running, ()
        per_core = tuple(
            min(1.0, max(0.0, (after - earlier) / elapsed_s))
            for after, earlier in zip(counters.busy_s, before.busy_s, strict=True)
        )
        busy = sum(per_core)
        foreign = busy - counters.ours_since(before) / elapsed_s
        weight = 1.0 if self._foreign is None else 1 - math.exp(-elapsed_s / SMOOTH_S)
        self._foreign = foreign * weight + (self._foreign or 0.0) * (1 - weight)
        return busy, per_core


class _Counters:
    """CPU seconds used so far: by each core, each of our running jobs, and everything else of ours."""

    __slots__ = ("at", "busy_s", "job_s", "own_s")

    def __init__(
        self, at: float, busy_s: tuple[float, ...], job_s: Mapping[JobId, float], own_s: float
    ) -> None:
        self.at, self.busy_s, self.job_s, self.own_s = at, busy_s, job_s, own_s

    @classmethod
    def read(cls, cores: frozenset[int] | None, jobs: Mapping[JobId, Usage], own_cpu_s: float) -> _Counters:
        import psutil

        times = psutil.cpu_times(percpu=True)
        busy = tuple(
            sum(getattr(core, kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq", "steal"))
            for number, core in enumerate(times)
            if cores is None or number in cores
        )
        used = {job_id: usage.cpu_s for job_id, usage in jobs.items() if usage.cpu_s is not None}
        return cls(time.monotonic(), busy, used, own_cpu_s)

    def ours_since(self, before: _Counters) -> float:
        """Our CPU seconds since then; the whole use of a job that ended meanwhile is in `own_s` by now."""
        running = sum(max(0.0, now - before.job_s.get(job_id, 0.0)) for job_id, now in self.job_s.items())
        ended = sum(used for job_id, used in before.job_s.items() if job_id not in self.job_s)
        return running + max(0.0, self.own_s - before.own_s - ended)


def _idle_s(now: float) -> float | None:
    """Seconds since something was last typed at a terminal, as `w` tells it; None where there is none."""
    typed = []
    try:
        names = [f"/dev/pts/{name}" for name in os.listdir("/dev/pts") if name.isdigit()]
    except OSError:
        names = []
    for name in (*names, *_CONSOLES):
        with contextlib.suppress(OSError):
            typed.append(os.stat(name).st_atime)
    return max(0.0, now - max(typed)) if typed else None


def _share_out(
    readings: tuple[GpuReading, ...], supervisors: Mapping[int, JobId]
) -> tuple[tuple[DeviceSample, ...], dict[JobId, int | None]]:
    """Tell our jobs' GPU processes from foreign ones; the memory of our jobs over all devices,
    None where the driver does not say it of each of their processes."""
    job_bytes: dict[JobId, int | None] = dict.fromkeys(supervisors.values(), 0)
    samples = []
    for reading in readings:
        foreign: list[int | None] = []
        holds = []
        for pid, used_bytes in reading.processes or ():
            owner = _owner(pid, supervisors)
            holds.append(GpuHold(pid, procfs.start_ticks(pid), used_bytes, owner))
            if owner is None:
                foreign.append(used_bytes)
            else:
                so_far = job_bytes[owner]
                job_bytes[owner] = None if so_far is None or used_bytes is None else so_far + used_bytes
        named = reading.processes is not None
        known = [used for used in foreign if used is not None]
        samples.append(
            DeviceSample(
                uuid=reading.device.uuid,
                mem_used_bytes=reading.mem_used_bytes,
                foreign_mem_bytes=sum(known) if named and len(known) == len(foreign) else None,
                foreign_processes=len(foreign) if named else None,
                utilisation=reading.utilisation,
                temperature_c=reading.temperature_c,
                power_w=reading.power_w,
                power_limit_w=reading.power_limit_w,
                throttled=reading.throttled,
                ecc_errors=reading.ecc_errors,
                xid=reading.xid,
                holds=tuple(holds) if named else None,
            )
        )
    return tuple(samples), job_bytes


def _owner(pid: int, supervisors: Mapping[int, JobId]) -> JobId | None:
    """The job below whose supervisor a process lives."""
    above: int | None = pid
    for _ in range(GENERATIONS):
        if above is None or above <= 1:
            return None
        if above in supervisors:
            return supervisors[above]
        above = procfs.parent(above)
    return None


def _pressure(folder: Path = Path("/proc/pressure")) -> Pressure:
    """The kernel's stall averages; all None where it keeps none."""
    found: dict[str, float] = {}
    for kind in ("cpu", "memory", "io"):
        try:
            lines = (folder / kind).read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            amount, *words = line.split()
            for word in words:
                name, _, value = word.partition("=")
                found[f"{kind}_{amount}_{name}"] = float(value)
    return Pressure(**{name: found.get(name) for name in Pressure.__slots__})
