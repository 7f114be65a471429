"""Job traces as text becomes values: our CSV columns, and the Standard Workload Format. Pure.

What a trace does not say stays unknown. A line that cannot be read is refused with its number.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from jobs.core.jobs import GIB
from jobs.core.machine import Capacity
from jobs.core.ports import BadInput

SWF_FIELDS = 18


@dataclass(frozen=True, slots=True)
class TraceJob:
    """One job that once ran. `gpu_share`: of its one device when `gpus` is 1, else 1.

    `program`: what it ran, empty where that is not known; `saves`: whether it can save and go on, None
    where the setting of the replay decides.
    """

    submit_s: float
    run_s: float
    cpus: float
    mem_bytes: int
    gpus: int = 0
    gpu_share: float = 1.0
    limit_s: float | None = None
    user: str = ""
    program: str = ""
    saves: bool | None = None


def read_csv(text: str) -> tuple[TraceJob, ...]:
    """Columns submit_s, runtime_s, cpus, mem_gb, and perhaps requested_runtime_s, gpus, gpu_frac, user.

    Raises BadInput.
    """
    rows = csv.DictReader(io.StringIO(text))
    missing = {"submit_s", "runtime_s", "cpus", "mem_gb"} - set(rows.fieldnames or ())
    if missing:
        raise BadInput(f"The trace has no column {sorted(missing)[0]!r}.", "Name it in the first line.")
    found = []
    for number, row in enumerate(rows, 2):
        try:
            gpus = int(float(row.get("gpus") or 0))
            limit = row.get("requested_runtime_s")
            found.append(
                TraceJob(
                    float(row["submit_s"]),
                    float(row["runtime_s"]),
                    float(row["cpus"]),
                    int(float(row["mem_gb"]) * GIB),
                    gpus,
                    float(row.get("gpu_frac") or 1.0) if gpus == 1 else 1.0,
                    float(limit) if limit else None,
                    row.get("user") or "",
                )
            )
        except (ValueError, TypeError):
            raise BadInput(f"Line {number} of the trace cannot be read.", "Correct or remove it.") from None
    return _sound(found)


def read_swf(text: str, mem_bytes_default: int = GIB) -> tuple[TraceJob, ...]:
    """The Standard Workload Format, version 2 (Feitelson): -1 is unknown. Raises BadInput."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith(";"):
            continue
        try:
            values = [float(word) for word in words]
            cpus = values[4] if values[4] > 0 else values[7]
            mem_kb = values[9] if values[9] > 0 else values[6]
            run_s, limit_s = values[3], values[8]
            user = f"u{int(values[11])}"
        except (ValueError, IndexError):
            raise BadInput(f"Line {number} of the trace cannot be read.", "Correct or remove it.") from None
        if run_s <= 0 or cpus <= 0:
            continue  # cancelled before it ran
        mem_bytes = int(mem_kb * 1024 * cpus) if mem_kb > 0 else mem_bytes_default
        found.append(
            TraceJob(values[1], run_s, cpus, mem_bytes, limit_s=limit_s if limit_s > 0 else None, user=user)
        )
    return _sound(found)


def _sound(jobs: Sequence[TraceJob]) -> tuple[TraceJob, ...]:
    for job in jobs:
        numbers = job.submit_s, job.run_s, job.cpus, job.mem_bytes, job.gpu_share, job.limit_s or 0.0
        if not all(map(math.isfinite, numbers)) or min(numbers) < 0 or job.gpus < 0:
            raise BadInput("The trace has a negative or endless number.", "Correct or remove that line.")
    return tuple(sorted(jobs, key=lambda job: job.submit_s))


def that_fit(jobs: Iterable[TraceJob], box: Capacity, last: int) -> tuple[TraceJob, ...]:
    """The last jobs that the box can hold, each by itself."""
    return tuple(
        job
        for job in jobs
        if job.cpus <= box.cpus and job.mem_bytes <= box.mem_bytes and job.gpus <= len(box.devices)
    )[-last:]


def on_box(
    jobs: Sequence[TraceJob],
    box: Capacity,
    load: float | None,
    *,
    last: int = 4000,
    longest_s: float = 2 * 86_400.0,
) -> tuple[TraceJob, ...]:
    """The last jobs that the box can hold, arrivals stretched so that its bottleneck is offered `load`.

    `load` None: all arrive at once. Run times are never touched.
    """
    fitting = that_fit((job for job in jobs if job.run_s <= longest_s), box, last)
    if not fitting:
        raise BadInput("No job of the trace fits this machine.", "Name a larger machine.")
    first_s = fitting[0].submit_s
    if load is None:
        return tuple(replace(job, submit_s=0.0) for job in fitting)
    span_s = max(fitting[-1].submit_s - first_s, 1.0)
    factor = work_s(fitting, box) / load / span_s
    return tuple(replace(job, submit_s=(job.submit_s - first_s) * factor) for job in fitting)


def work_s(jobs: Sequence[TraceJob], box: Capacity) -> float:
    """Seconds that the most wanted resource of the box is wholly busy with these jobs."""
    return max(
        math.fsum(job.cpus * job.run_s for job in jobs) / box.cpus,
        math.fsum(job.mem_bytes * job.run_s for job in jobs) / box.mem_bytes,
        math.fsum(job.gpus * job.gpu_share * job.run_s for job in jobs) / max(len(box.devices), 1),
    )


def shares_of(job: TraceJob, box: Capacity) -> Iterator[float]:
    """The part of each resource that a job takes."""
    yield job.cpus / box.cpus
    yield job.mem_bytes / box.mem_bytes
    yield job.gpus * job.gpu_share / max(len(box.devices), 1)
