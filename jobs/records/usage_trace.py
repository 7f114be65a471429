"""What a job used over its life, second by second, as its supervisor wrote it down beside the log.

Reads one attempt's `usage.jsonl`, and the GPU memory that the scheduler wrote beside it; both outlive the
job. Lines that make no sense are passed over. It writes nothing.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.records.exits import usage_of
from jobs.records.text import collapse
from jobs.runtime import job_folder

GPU_FILE = "gpu.jsonl"
GPU_KEPT_S = 120.0  # so long a line of it holds; then nobody has looked
_LARGEST_BYTES = 8 << 20
_LINE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Moment:
    """One second of a job. `log_bytes`: how long its log was then."""

    at: float
    cpus: float | None = None
    mem_bytes: int | None = None
    log_bytes: int | None = None
    gpu_mem_bytes: int | None = None


def read(path: Path) -> tuple[Moment, ...]:
    """All moments in order; none where there is no such file."""
    gpu = sorted(
        (at, held)
        for at, table in _lines(path.with_name(GPU_FILE))
        if (held := _whole(table, "gpu_mem_bytes")) is not None
    )
    begins = [at for at, _ in gpu]
    found = []
    for at, table in _lines(path):
        used, place = usage_of(table), bisect_right(begins, at) - 1
        held = gpu[place][1] if place >= 0 and at - gpu[place][0] <= GPU_KEPT_S else None
        found.append(Moment(at, used.cpus, used.mem_bytes, _whole(table, "log_bytes"), held))
    return tuple(found)


def _lines(path: Path) -> Iterator[tuple[float, dict[str, Any]]]:
    """The lines that are objects with a moment."""
    try:
        with open(path, "rb", opener=job_folder.open_file) as file:
            lines = file.read(_LARGEST_BYTES).splitlines()
    except OSError:
        return
    for line in lines:
        try:
            table = json.loads(line)
            at = float(table["at"])
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
        if math.isfinite(at):
            yield at, table


def _whole(table: Mapping[str, Any], name: str) -> int | None:
    value = table.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def binned(moments: Sequence[Moment], bins: int) -> tuple[Moment | None, ...]:
    """At most `bins` moments, equally far apart, each the largest of what it stands for; None for none."""
    if not moments or bins <= 0:
        return ()
    first, last = moments[0].at, moments[-1].at
    count = min(bins, len(moments))
    width = max((last - first) / count, 1e-9)
    some: list[list[Moment]] = [[] for _ in range(count)]
    for moment in moments:
        some[max(0, min(count - 1, int((moment.at - first) / width)))].append(moment)
    return tuple(_largest(each) if each else None for each in some)


def line_at(path: Path, length: int | None) -> str:
    """The last whole line that the log had when it was so long; empty when it had none."""
    if not length:
        return ""
    try:
        with open(path, "rb", opener=job_folder.open_file) as file:
            file.seek(max(0, length - _LINE_BYTES))
            text = file.read(min(length, _LINE_BYTES))
    except OSError:
        return ""
    whole = text[: text.rfind(b"\n") + 1].splitlines() if b"\n" in text else []
    return collapse(whole[-1].replace(b"\0", b"")) if whole else ""


def _largest(moments: Sequence[Moment]) -> Moment:
    last = moments[-1]
    return Moment(
        last.at,
        max((m.cpus for m in moments if m.cpus is not None), default=None),
        max((m.mem_bytes for m in moments if m.mem_bytes is not None), default=None),
        last.log_bytes,
        max((m.gpu_mem_bytes for m in moments if m.gpu_mem_bytes is not None), default=None),
    )
