"""What would have become of a trace, or of this machine's own past, on another machine or by other rules.

Stands behind the client. It replays with the scheduler's own `decide` in virtual time and changes nothing.
What a past cannot tell is assumed: a job holds what it asked for from its first second to its last, and
takes as long wherever it runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jobs.core.jobs import GIB, Ended, Job
from jobs.core.machine import Capacity
from jobs.core.ports import BadInput
from jobs.core.rules import SchedulerSettings
from jobs.policy.runtime_model import program
from jobs.simulation.metrics import Figures, bound_s, figures
from jobs.simulation.replay import ReplayResult, Setting, machine_of, replay
from jobs.simulation.trace import TraceJob, on_box, read_csv, read_swf, shares_of, that_fit

SLICES = 120
FEWEST = 5  # jobs, below which figures say nothing
_LARGEST_BYTES = 512 << 20  # of a trace file


@dataclass(frozen=True, slots=True)
class Replayed:
    """One replay. `busy`: share of the machine that was reserved, `waiting`: jobs that waited, each as the
    mean of one of `SLICES` equal slices of `makespan_s`. `bound_s`: no order can make it shorter."""

    figures: Figures
    bound_s: float
    busy: tuple[float, ...]
    waiting: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class MachineSize:
    cpus: float
    mem_bytes: int
    gpus: int

    def capacity(self) -> Capacity:
        """A machine of that size, its devices all alike."""
        return machine_of(self.cpus, self.mem_bytes / GIB, self.gpus)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many jobs were replayed, as it is and, where anything was changed, with that."""

    jobs: int
    before: Replayed
    after: Replayed | None


def compare(
    trace: Sequence[TraceJob],
    before: tuple[MachineSize, SchedulerSettings],
    after: tuple[MachineSize, SchedulerSettings],
    *,
    load: float | None = None,
    last: int = 4000,
    progress: Callable[[float], None] = lambda _: None,
) -> Comparison:
    """Replay the last jobs that both machines hold, on each by its rules. Raises BadInput."""
    sides = [before] if before == after else [before, after]
    machines = [size.capacity() for size, _ in sides]
    jobs = fitting(trace, machines, load=load, last=last)
    replays = []
    for number, (machine, (_, rules)) in enumerate(zip(machines, sides, strict=True)):

        def part(share: float, done: int = number) -> None:
            progress((done + share) / len(sides))

        replays.append(run(jobs, machine, rules, part))
    return Comparison(len(jobs), replays[0], replays[1] if len(replays) > 1 else None)


def read_trace(path: Path) -> tuple[TraceJob, ...]:
    """A trace file: .swf is the Standard Workload Format, anything else CSV. Raises BadInput."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise BadInput(f"{path} is larger than {_LARGEST_BYTES >> 20} MiB.", "Cut it to fewer jobs.")
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.", "Name a CSV or SWF file.") from error
    return read_swf(text) if path.suffix.lower() == ".swf" else read_csv(text)


def past(jobs: Sequence[Job], capacity: Capacity) -> tuple[TraceJob, ...]:
    """Jobs that have run here, as a trace: each came when it was submitted and what it needs had ended."""
    ended = {job.id: job.state.finished_at for job in jobs if isinstance(job.state, Ended)}
    device_bytes = max((device.mem_bytes for device in capacity.devices), default=0)
    found = []
    for job in jobs:
        state, spec = job.state, job.spec
        started_at = getattr(state, "started_at", None)
        if not isinstance(state, Ended) or started_at is None or state.finished_at <= started_at:
            continue
        needs = spec.needs
        share = 1.0
        if needs.gpus == 1 and needs.gpu_mem_bytes is not None and device_bytes:
            share = min(1.0, needs.gpu_mem_bytes / device_bytes)
        came_at = max([job.submitted_at, *(ended.get(after.job_id, 0.0) for after in spec.after)])
        found.append(
            TraceJob(
                min(came_at, started_at),
                job.attained_s + state.finished_at - started_at,
                needs.cpus,
                needs.mem_bytes,
                needs.gpus,
                share,
                needs.time_limit_s,
                spec.user,
                (program(spec) or "").replace("/", " "),
                spec.checkpoint,
            )
        )
    return tuple(sorted(found, key=lambda job: job.submit_s))


def fitting(
    trace: Sequence[TraceJob], machines: Sequence[Capacity], *, load: float | None, last: int
) -> tuple[TraceJob, ...]:
    """The last jobs that all of the machines can hold, the first at 0 s; `load` stretches their arrivals.

    Raises BadInput when too few are left to say anything.
    """
    smallest = machine_of(
        min(each.cpus for each in machines),
        min(each.mem_bytes for each in machines) / GIB,
        min(len(each.devices) for each in machines),
    )
    if load is not None:
        found = on_box(trace, smallest, load, last=last, longest_s=math.inf)
    else:
        found = that_fit(trace, smallest, last)
        first_s = found[0].submit_s if found else 0.0
        found = tuple(replace(job, submit_s=job.submit_s - first_s) for job in found)
    if len(found) < FEWEST:
        raise BadInput(
            f"Only {len(found)} jobs fit: that is too few to say anything.",
            "Let more jobs run first, or name a trace file, or a larger machine.",
        )
    return found


def run(
    trace: Sequence[TraceJob],
    machine: Capacity,
    rules: SchedulerSettings,
    progress: Callable[[float], None] = lambda _: None,
) -> Replayed:
    """Replay it; `progress` hears the share of the jobs that have ended, 0..1, now and then."""
    setting = Setting(replace(rules, settle_s=0.0, max_sample_age_s=math.inf))
    outcome = replay(trace, machine, setting, progress)
    busy, waiting = _timeline(trace, machine, outcome)
    return Replayed(figures(trace, machine, outcome), bound_s(trace, machine), busy, waiting)


def _timeline(
    trace: Sequence[TraceJob], machine: Capacity, outcome: ReplayResult
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    last_s = max(ran.finished_at for ran in outcome.jobs)
    first_s = min(job.submit_s for job in trace)
    width_s = max((last_s - first_s) / SLICES, 1e-9)
    by_resource = [[0.0] * SLICES for _ in range(3)]
    waiting = [0.0] * SLICES
    for job, ran in zip(trace, outcome.jobs, strict=True):
        shares = list(shares_of(job, machine))
        before_s = job.submit_s
        for from_s, until_s in ran.held:
            _spread(waiting, 1.0, before_s - first_s, from_s - first_s, width_s)
            for resource, share in enumerate(shares):
                if share:
                    _spread(by_resource[resource], share, from_s - first_s, until_s - first_s, width_s)
            before_s = until_s
    busy = max(by_resource, key=math.fsum)
    return tuple(min(1.0, each) for each in busy), tuple(waiting)


def _spread(slices: list[float], amount: float, from_s: float, until_s: float, width_s: float) -> None:
    """Add an amount that lasted from here to there to the slices that it touches, by how much it does."""
    if until_s <= from_s:
        return
    first = max(0, min(SLICES - 1, int(from_s / width_s)))
    last = max(0, min(SLICES - 1, int(until_s / width_s)))
    for at in range(first, last + 1):
        covered_s = min(until_s, (at + 1) * width_s) - max(from_s, at * width_s)
        slices[at] += amount * max(0.0, covered_s) / width_s
