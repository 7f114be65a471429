"""The machine's load over the last day, a point every ten seconds, in one file beside the sockets.

The scheduler appends while it measures; any viewer reads. Lines that make no sense are passed over. What
was not measured is a gap, never 0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jobs.core.machine import Capacity, Sample
from jobs.runtime import atomic_write, job_folder

EVERY_S = 10.0
KEPT_S = 86_400.0
_MOST_LINES = int(2 * KEPT_S / EVERY_S)  # then the older half goes
_LARGEST_BYTES = 64 << 20
CPU, MEM = "cpu", "mem"


@dataclass(frozen=True, slots=True)
class Point:
    """Means over the ten seconds that begin at `at`: shares 0..1 by series, `cpu`, `mem`, `gpu:<uuid>` and
    `vram:<uuid>`."""

    at: float
    shares: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Open:
    """The point that is being measured: sums and counts by series."""

    at: float
    sums: Mapping[str, tuple[float, int]] = field(default_factory=dict)

    def closed(self) -> Point:
        return Point(self.at, {name: total / count for name, (total, count) in self.sums.items()})


def shares_of(sample: Sample, capacity: Capacity) -> dict[str, float]:
    """What one sample says, as shares of the machine; what it does not say is left out."""
    found: dict[str, float | None] = {
        CPU: _share(sample.cpu_busy, capacity.cpus),
        MEM: None,
    }
    if sample.mem_available_bytes is not None and sample.mem_total_bytes:
        found[MEM] = 1 - sample.mem_available_bytes / sample.mem_total_bytes
    sizes = {device.uuid: device.mem_bytes for device in capacity.all_devices}
    for device in sample.devices:
        found[f"gpu:{device.uuid}"] = device.utilisation
        found[f"vram:{device.uuid}"] = _share(device.mem_used_bytes, sizes.get(device.uuid, 0))
    return {name: value for name, value in found.items() if value is not None}


def added(before: Open | None, at: float, shares: Mapping[str, float]) -> tuple[Open, Point | None]:
    """The open point with one more measurement, and the one before it where that is complete."""
    start = at - at % EVERY_S
    if before is None or start != before.at:
        return Open(start, {name: (value, 1) for name, value in shares.items()}), (
            before.closed() if before is not None and before.sums else None
        )
    sums = dict(before.sums)
    for name, value in shares.items():
        total, count = sums.get(name, (0.0, 0))
        sums[name] = total + value, count + 1
    return Open(start, sums), None


def binned(
    points: Iterable[Point], series: str, from_at: float, until_at: float, bins: int
) -> list[float | None]:
    """`bins` means of one series over equal parts of a time; None where nothing was measured."""
    width = (until_at - from_at) / max(bins, 1)
    sums, counts = [0.0] * bins, [0] * bins
    for point in points:
        value = point.shares.get(series)
        place = math.floor((point.at - from_at) / width)
        if value is not None and 0 <= place < bins:
            sums[place] += value
            counts[place] += 1
    means = [total / count if count else None for total, count in zip(sums, counts, strict=True)]
    return _joined(means) if width < EVERY_S else means


def _joined(means: list[float | None]) -> list[float | None]:
    """Where bins are shorter than a point, a lone gap after one belongs to it."""
    found = list(means)
    for place in range(1, len(found)):
        if found[place] is None:
            found[place] = means[place - 1]
    return found


def read(path: Path, since_at: float) -> tuple[Point, ...]:
    """The points from that moment on, in order; none where there is no such file."""
    try:
        with open(path, "rb", opener=job_folder.open_file) as file:
            lines = file.read(_LARGEST_BYTES).splitlines()
    except OSError:
        return ()
    found = []
    for line in reversed(lines):
        point = _point(line)
        if point is None:
            continue
        if point.at < since_at:
            break
        found.append(point)
    return tuple(reversed(found))


def append(path: Path, points: Sequence[Point]) -> None:
    """Write them down. Raises OSError."""
    with open(path, "a", encoding="ascii") as file:
        for point in points:
            shares = {name: round(value, 4) for name, value in point.shares.items()}
            file.write(json.dumps({"at": point.at, **shares}, separators=(",", ":")) + "\n")


def shorten(path: Path) -> None:
    """Let go of what is older than a day once there is twice as much. Raises OSError."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return
    if len(lines) > _MOST_LINES:
        atomic_write.replace(path, b"".join(lines[-_MOST_LINES // 2 :]))


def _point(line: bytes) -> Point | None:
    try:
        table = json.loads(line)
        at = float(table.pop("at"))
        shares = {str(name): float(value) for name, value in table.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return Point(at, shares) if all(map(math.isfinite, (at, *shares.values()))) else None


def _share(part: float | None, whole: float) -> float | None:
    return part / whole if part is not None and whole else None
