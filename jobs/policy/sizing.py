"""What the next run of a program should reserve, from what earlier runs used. Pure; it kills nothing.

Memory is the median of the peaks times a residual quantile that depends on how many runs there were, with a
margin that shrinks with them. What the person named is never replaced, what a recipe declares is an upper
bound of memory, and a whole GPU stays a whole GPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from jobs.machine import Capacity
from jobs.model import GIB, MIB, JobSpec, Needs, Usage
from jobs.policy.fits import most_gpu_mem_bytes, most_mem_bytes
from jobs.policy.predict import exact_key, log_size, program
from jobs.rules import Rules

MEMORY_TRIES = 3  # times that a job which ran out of memory is tried again with more
_REMEMBERED = 32  # runs
_FEW = 5  # runs, below which only the largest counts
_LEAST_BYTES = 32 * MIB
_LEAST_SHARE = 0.25  # of what was asked for, while there are few runs
_GPU_CONTEXT_BYTES = GIB // 2
_ABOUT = 0.9, 1.25  # of the cores asked for: as many as that
_ALIKE = 1.0  # binary orders of magnitude within which two sizes count as the same


@dataclass(frozen=True, slots=True)
class Used:
    """What one run used at most, None where that was not measured, and the logarithm of its size."""

    mem_bytes: int | None = None
    gpu_mem_bytes: int | None = None
    cpus: float | None = None
    log_size: float | None = None


History = tuple[Used, ...]


def size_keys(spec: JobSpec) -> tuple[str, ...]:
    """The names under which its use is remembered, from general to specific."""
    kind, exact = program(spec), exact_key(spec)
    return () if kind is None else (f"program {kind}",) if exact is None else (f"program {kind}", exact)


def used(spec: JobSpec, usage: Usage) -> Used:
    """What is to be remembered of a run that has succeeded."""
    return Used(usage.peak_mem_bytes, usage.gpu_mem_bytes, usage.cpus, log_size(spec))


def with_run(history: History, run: Used) -> History:
    """One more run; the oldest beyond thirty-two are forgotten."""
    return (*history, run)[-_REMEMBERED:]


def sized(
    spec: JobSpec, remembered: Callable[[str], History | None], capacity: Capacity, rules: Rules
) -> tuple[Needs | None, int]:
    """What a job should reserve instead of what it asked for, and how many runs say so; (None, 0): nothing.

    Never more than the machine can give.
    """
    if not rules.learned_needs:
        return None, 0
    runs = _runs(spec, remembered)
    asked = spec.needs
    needs = asked
    if "mem" not in spec.fixed:
        peaks = [run.mem_bytes for run in runs if run.mem_bytes]
        most = most_mem_bytes(capacity, rules)
        if mem_bytes := _memory(peaks, asked.mem_bytes, declared=asked.mem_is_limit):
            needs = replace(needs, mem_bytes=max(min(mem_bytes, most), min(_LEAST_BYTES, asked.mem_bytes)))
    if "vram" not in spec.fixed and asked.gpus and asked.gpu_mem_bytes is not None and capacity.devices:
        peaks = [run.gpu_mem_bytes for run in runs if run.gpu_mem_bytes]
        if len(peaks) >= 2:
            most = most_gpu_mem_bytes(capacity, rules, asked.gpus)
            gpu_mem_bytes = int(max(peaks) * (1.1 + 2 / len(peaks))) + _GPU_CONTEXT_BYTES
            needs = replace(needs, gpu_mem_bytes=min(gpu_mem_bytes, max(asked.gpu_mem_bytes, most)))
    if "cpus" not in spec.fixed:
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
    """The runs that are most like it: the very same, else as much of the same program, else more of it."""
    keys = size_keys(spec)
    for key in reversed(keys):
        runs = remembered(key) or ()
        size = log_size(spec)
        if size is not None:
            alike = tuple(r for r in runs if r.log_size is not None and abs(r.log_size - size) <= _ALIKE)
            more = tuple(r for r in runs if r.log_size is not None and r.log_size >= size)
            runs = alike if len(alike) >= 2 else more
        if len(runs) >= 2:
            return runs
    return ()


def _memory(peaks: Sequence[int], asked: int, *, declared: bool) -> int | None:
    n = len(peaks)
    if n < 2:
        return None
    if n < _FEW:
        need = int(max(peaks) * 2) if declared else int(max(peaks) * (1.1 + 2 / n))
        need = max(need, int(asked * _LEAST_SHARE))
    else:
        ordered = sorted(peaks)
        median = _quantile([float(peak) for peak in ordered], 0.5)
        over = math.exp(_quantile([math.log(peak / median) for peak in ordered], 1 - 1 / (n + 2)))
        need = int(min(median * over * (1.10 + 0.5 / n), max(asked, 1.5 * ordered[-1])))
    need = math.ceil(need / MIB) * MIB
    return min(need, asked) if declared else need


def _cores(cores: Sequence[float], asked: float) -> float:
    """The most that one of them used: under load a job uses less than it could."""
    most = math.ceil(10 * max(cores)) / 10
    return asked if _ABOUT[0] * asked <= most <= _ABOUT[1] * asked else max(most, min(1.0, asked))


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])
