"""What a container or an affinity mask leaves of the machine.

Reads control groups (v2 and v1) and the scheduler's affinity; changes nothing. A limit that is not set,
or that the kernel does not tell, is None.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

UNLIMITED_BYTES = 1 << 60  # v1 spells "no limit" as a huge number


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """The tightest memory limit around this process, and what is in use under it (file cache left out)."""

    limit_bytes: int
    used_bytes: int


def cpu_limit() -> float | None:
    """Cores granted by quota, the smallest on the way up; None without one."""
    quotas = [quota for folder in _groups("cpu") if (quota := _quota(folder)) is not None]
    return min(quotas, default=None)


def affinity() -> frozenset[int] | None:
    """The cores this process may run on; None where the platform has no such thing."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def memory_limit() -> MemoryLimit | None:
    """The tightest limit on the way up, by what is left under it; None without one."""
    found = [limit for folder in _groups("memory") if (limit := _memory(folder)) is not None]
    return min(found, key=lambda limit: limit.limit_bytes - limit.used_bytes, default=None)


def _groups(controller: str, root: Path = Path("/sys/fs/cgroup")) -> Iterator[Path]:
    """This process's control group for a controller and those above it, as folders that exist."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, names, path = line.split(":", 2)
        if names == "":
            top = root
        elif controller in names.split(","):
            top = root / controller
        else:
            continue
        folder = top / path.strip("/")
        while True:
            if folder.is_dir():
                yield folder
            if folder in (top, folder.parent):
                break
            folder = folder.parent


def _quota(folder: Path) -> float | None:
    words = _text(folder / "cpu.max").split()
    if len(words) == 2:
        quota, period = words
    else:
        quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
    if not quota.isdigit() or not period.isdigit() or int(period) == 0:
        return None
    return int(quota) / int(period)


def _memory(folder: Path) -> MemoryLimit | None:
    new = (folder / "memory.max").exists()
    limit = _text(folder / ("memory.max" if new else "memory.limit_in_bytes"))
    used = _text(folder / ("memory.current" if new else "memory.usage_in_bytes"))
    if not limit.isdigit() or not used.isdigit() or int(limit) >= UNLIMITED_BYTES:
        return None
    cache = next(
        (
            int(line.split()[1])
            for line in _text(folder / "memory.stat").splitlines()
            if line.startswith(("inactive_file ", "total_inactive_file "))
        ),
        0,
    )
    return MemoryLimit(int(limit), max(0, int(used) - cache))


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
