"""The daemon's latest sample as a small file, so that ten viewers do not measure the machine ten times.

Replaced atomically, never flushed to disk: it is worth nothing after a crash. A reader gets its age and
decides itself whether that is fresh.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jobs.core.machine import Capacity, Sample
from jobs.core.versions import UNVERSIONED, Version, stamp, version_of
from jobs.core.world import Gate
from jobs.runtime import atomic_write
from jobs.store.codec import (
    DamagedRecord,
    dump,
    dump_capacity,
    dump_sample,
    load,
    load_capacity,
    load_gate,
    load_sample,
    plain,
)


@dataclass(frozen=True, slots=True)
class LatestSample:
    """The machine as one scheduler (`pid`) saw it at `sample.at`; `sample` None: it could not be read."""

    pid: int
    at: float
    capacity: Capacity
    gate: Gate
    sample: Sample | None
    version: Version = UNVERSIONED


def write(path: Path, vitals: LatestSample) -> None:
    """Replace the file. Raises OSError."""
    table = {
        **stamp(),
        "pid": vitals.pid,
        "at": vitals.at,
        "capacity": dump_capacity(vitals.capacity),
        "gate": plain(vitals.gate),
        "sample": None if vitals.sample is None else dump_sample(vitals.sample),
    }
    atomic_write.replace(path, dump(table))


def read(path: Path) -> LatestSample | None:
    """What the file says; None when there is none that can be read."""
    try:
        table = load(path.read_bytes())
        sample = table["sample"]
        return LatestSample(
            int(table["pid"]),
            float(table["at"]),
            load_capacity(table["capacity"]),
            load_gate(table["gate"]),
            None if sample is None else load_sample(sample),
            version_of(table),
        )
    except (OSError, DamagedRecord, KeyError, TypeError, ValueError, AttributeError):
        return None
