"""What the next run of a program should reserve, from what earlier runs used. Pure; it kills nothing.

Memory is the median of the peaks, or a line through them where they grow with how much there was to do
(Witt et al. 2019; Ponder, arXiv 2408.00047), times a residual quantile that depends on how many runs there
were, with a margin that shrinks with them. What the person named is never replaced, what a recipe declares
is an upper bound of memory, and a whole GPU stays a whole GPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from jobs.core.jobs import GIB, MIB, JobSpec, Needs, Usage
from jobs.core.machine import Capacity
from jobs.core.rules import SchedulerSettings
from jobs.policy.limits import most_gpu_mem_bytes, most_mem_bytes
from jobs.policy.runtime_model import exact_key, log_size, program

MEMORY_TRIES = 3  # times that a job which ran out of memory is tried again with more
_REMEMBERED = 32  # runs
_FEW = 5  # runs, below which only the largest counts
_LEAST_BYTES = 32 * MIB
_LEAST_SHARE = 0.25  # of what was asked for, while there are few runs
_GPU_CONTEXT_BYTES = GIB // 2
_ABOUT = 0.9, 1.25  # of the cores asked for: as many as that
_CORRELATED = 0.5  # above it, peaks are taken to grow with the size
_ALIKE = 1.0  # binary orders of magnitude within which two sizes count as the same


@dataclass(frozen=True, slots=True)
class RunUsage:
    """What one run used at most, None where that was not measured, and the logarithm of its size."""

    mem_bytes: int | None = None
    gpu_mem_bytes: int | None = None
    cpus: float | None = None
    log_size: float | None = None


History = tuple[RunUsage, ...]


def size_keys(spec: JobSpec) -> tuple[str, ...]:
    """The names under which its use is remembered, from general to specific."""
    kind, exact = program(spec), exact_key(spec)
    return () if kind is None else (f"program {kind}",) if exact is None else (f"program {kind}", exact)


def used(spec: JobSpec, usage: Usage) -> RunUsage:
    """What is to be remembered of a run that has succeeded."""
    return RunUsage(usage.peak_mem_bytes, usage.gpu_mem_bytes, usage.cpus, log_size(spec))


def with_run(history: History, run: RunUsage) -> History:
    """One more run; the oldest beyond thirty-two are forgotten."""
    return (*history, run)[-_REMEMBERED:]


def learned_needs(
    spec: JobSpec, remembered: Callable[[str], History | None], capacity: Capacity, rules: SchedulerSettings
) -> tuple[Needs | None, int]:
    """What a job should reserve instead of what it asked for, and how many runs say so; (None, 0): nothing.

    Never more than the machine can give.
    """
    if not rules.learned_needs:
        return None, 0
    runs = _runs(spec, remembered)
    asked = spec.needs
    needs = asked
    if "mem" not in spec.explicit_needs:
        most = most_mem_bytes(capacity, rules)
        if mem_bytes := _memory(runs, log_size(spec), asked.mem_bytes, declared=asked.mem_is_limit):
            needs = replace(needs, mem_bytes=max(min(mem_bytes, most), min(_LEAST_BYTES, asked.mem_bytes)))
    if (
        "vram" not in spec.explicit_needs
        and asked.gpus
        and asked.gpu_mem_bytes is not None
        and capacity.devices
    ):
        peaks = [run.gpu_mem_bytes for run in runs if run.gpu_mem_bytes]
        if len(peaks) >= 2:
            most = most_gpu_mem_bytes(capacity, rules, asked.gpus)
            gpu_mem_bytes = int(max(peaks) * (1.1 + 2 / len(peaks))) + _GPU_CONTEXT_BYTES
            needs = replace(needs, gpu_mem_bytes=min(gpu_mem_bytes, max(asked.gpu_mem_bytes, most)))
    if "cpus" not in spec.explicit_needs:
        cores = [run.cpus for run in runs if run.cpus is not None]
        if len(cores) >= 2:
            needs = replace(needs, cpus=min(_cores(cores, asked.cpus), capacity.cpus))
    return (None, 0) if needs == asked else (needs, len(runs))


def more_memory(had: int, peak: int | None, most: int) -> int | None:
    """What to try with after running out of memory, or of a GPU's; None when it had the `most` there is.

    Twice what it had, or a quarter more than its peak: as workflow engines and Kubernetes' vertical
    autoscaler do.
    """
    grown = min(most, max(2 * had, int(1.25 * (peak or 0))))
    return grown if grown > had else None


def _runs(spec: JobSpec, remembered: Callable[[str], History | None]) -> History:
    """The runs that say most of it: the very same, else all of the program where they tell how its memory
    grows with its size, else as much of it, else more of it."""
    size = log_size(spec)
    for key in reversed(size_keys(spec)):
        runs = remembered(key) or ()
        if size is not None and _growth(runs) is None:
            alike = tuple(r for r in runs if r.log_size is not None and abs(r.log_size - size) <= _ALIKE)
            more = tuple(r for r in runs if r.log_size is not None and r.log_size >= size)
            runs = alike if len(alike) >= 2 else more
        if len(runs) >= 2:
            return runs
    return ()


def _memory(runs: History, size: float | None, asked: int, *, declared: bool) -> int | None:
    """The median of the peaks, or what they grow to at this size, times how far above that a run may be."""
    peaks = [run.mem_bytes for run in runs if run.mem_bytes]
    n = len(peaks)
    if n < 2:
        return None
    if n < _FEW:
        need = int(max(peaks) * 2) if declared else int(max(peaks) * (1.1 + 2 / n))
        need = max(need, int(asked * _LEAST_SHARE))
    else:
        usual = math.log(_quantile(sorted(map(float, peaks)), 0.5))
        grows = None if size is None else _growth(runs)
        over = [math.log(peak) - usual for peak in peaks]
        if grows is not None and size is not None:
            usual = grows.at(max(size, min(log for log, _ in _points(runs))))  # a part of it never shrinks
            over = [log_peak - grows.at(log) for log, log_peak in _points(runs)]
        foreseen = math.exp(usual + _quantile(sorted(over), 1 - 1 / (n + 2))) * (1.10 + 0.5 / n)
        need = int(min(foreseen, max(asked, 1.5 * max(peaks))))
    need = math.ceil(need / MIB) * MIB
    return min(need, asked) if declared else need


@dataclass(frozen=True, slots=True)
class _Line:
    """The logarithm of the peak by that of the size."""

    mean_size: float
    mean_peak: float
    slope: float

    def at(self, size: float) -> float:
        return self.mean_peak + self.slope * (size - self.mean_size)


def _points(runs: History) -> list[tuple[float, float]]:
    return [(r.log_size, math.log(r.mem_bytes)) for r in runs if r.mem_bytes and r.log_size is not None]


def _growth(runs: History) -> _Line | None:
    """How the peak grows with the size, by least squares; None where the runs do not tell."""
    points = _points(runs)
    n = len(points)
    if n < _FEW or len({size for size, _ in points}) < 3:
        return None
    size, peak = (math.fsum(each) / n for each in zip(*points, strict=True))
    sizes = math.fsum((x - size) ** 2 for x, _ in points)
    peaks = math.fsum((y - peak) ** 2 for _, y in points)
    both = math.fsum((x - size) * (y - peak) for x, y in points)
    return _Line(size, peak, both / sizes) if both > _CORRELATED * math.sqrt(sizes * peaks) else None


def _cores(cores: Sequence[float], asked: float) -> float:
    """The most that one of them used: under load a job uses less than it could."""
    most = math.ceil(10 * max(cores)) / 10
    return asked if _ABOUT[0] * asked <= most <= _ABOUT[1] * asked else max(most, min(1.0, asked))


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
