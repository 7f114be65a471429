"""The pressure gate: nothing starts while the machine stalls, whoever caused it.

Pure. Kernel pressure-stall averages close the gate, and only a stretch of calm reopens it, so that it does
not flap. A kernel without these readings leaves it open.
"""

from __future__ import annotations

from dataclasses import replace

from jobs.core.jobs import Reason, ReasonCode
from jobs.core.machine import Sample
from jobs.core.rules import SchedulerSettings
from jobs.core.world import Gate

_CALM = 0.5  # share of a limit below which a reading counts as calm


def next_gate(gate: Gate, sample: Sample | None, rules: SchedulerSettings, cpus: float) -> Gate:
    """The gate after a reading, on a machine of so many cores. No reading leaves it as it is.

    Stalls for CPU count only while programs outside the queue use more than their tolerance: jobs that
    use all that they were granted stall each other, and that is as it should be.
    """
    if sample is None:
        return gate
    pressure = sample.pressure
    limits = [
        ("full memory", pressure.memory_full_avg10, rules.memory_full_close),
        ("memory", pressure.memory_some_avg60, rules.memory_some_close),
    ]
    if (sample.cpu_foreign or 0.0) > rules.foreign_cpu_tolerance * cpus:
        limits.append(("CPU", pressure.cpu_some_avg60, rules.cpu_some_close))
    for what, percent, limit in limits:
        if percent is not None and percent > limit:
            detail = f"{what} stalls {percent:.1f} % of the time, limit {limit:g} %"
            return Gate(sample.at, None, detail) if gate.closed_at is None else replace(gate, calm_at=None)
    if gate.closed_at is None:
        return gate
    if any(percent is not None and percent > limit * _CALM for _, percent, limit in limits):
        return replace(gate, calm_at=None)
    if gate.calm_at is None:
        gate = replace(gate, calm_at=sample.at)
    calm_s = sample.at - (gate.calm_at or sample.at)
    return Gate() if calm_s >= rules.pressure_reopen_s else gate


def reopens_at(gate: Gate, rules: SchedulerSettings) -> float | None:
    """When a closed gate opens if it stays calm; None while it does not, or is open."""
    return None if gate.calm_at is None else gate.calm_at + rules.pressure_reopen_s


def pressure_reason(gate: Gate, rules: SchedulerSettings) -> Reason | None:
    if gate.closed_at is None:
        return None
    return Reason(ReasonCode.PRESSURE, until_at=reopens_at(gate, rules), detail=gate.detail)
