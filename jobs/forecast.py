"""What would become of a job: the scheduler's own rules, run on a copy of its world.

Nothing here is written and nothing decided; the daemon asks the same `policy.decide` with the same numbers.
"""

from __future__ import annotations

from dataclasses import replace

from jobs.machine import Machine
from jobs.model import (
    MIB,
    Capacity,
    Held,
    Job,
    JobId,
    JobSpec,
    Queued,
    Reason,
    ReasonCode,
    StateName,
    Unit,
)
from jobs.policy import decide
from jobs.queries import View
from jobs.views import DaemonStatus, Preview
from jobs.world import Rules, World

_FIELD = {Unit.CPUS: "cpus", Unit.BYTES: "mem", Unit.DEVICES: "gpus"}


def too_big(spec: JobSpec, capacity: Capacity, rules: Rules) -> Reason | None:
    """Why this machine can never run the job, even when nothing else runs; None when it can."""
    job = Job(JobId(1), replace(spec, after=(), start_held=False), Queued(0.0), 0.0)
    plan = decide(World(0.0, capacity, rules, {job.id: job}))
    return next((r for r in plan.held.get(job.id, ()) if r.code is ReasonCode.TOO_BIG), None)


def sentence(reason: Reason) -> str:
    """The numbers of a job that never fits."""
    what = f" ({reason.detail})" if reason.detail else ""
    needed, there = _amount(reason.needed, reason.unit), _amount(reason.free, reason.unit)
    return f"It needs {needed}, and this machine has {there}{what}."


def preview(
    spec: JobSpec, view: View, machine: Machine, daemon: DaemonStatus, *, rules: Rules, now: float
) -> Preview:
    """What `decide` says of the job beside all that runs and waits now."""
    capacity = machine.capacity(daemon)
    if tight := too_big(spec, capacity, rules):
        field = (
            "vram" if "memory" in tight.detail and tight.unit is Unit.BYTES and spec.needs.gpus else None
        )
        return Preview(
            spec.needs, problems={field or _FIELD.get(tight.unit or Unit.CPUS, "cpus"): sentence(tight)}
        )
    job = Job(JobId(view.next_id()), spec, Queued(now), now)
    if spec.start_held:
        return Preview(spec.needs, reasons=(Reason(ReasonCode.HELD, detail=Held(now).cause),))
    states = view.states([after.job_id for after in spec.after])
    known = machine.vitals(daemon)
    jobs = {each.id: each for each in (*view.active(), *view.head(rules.window), job)}
    world = World(
        now,
        capacity,
        rules,
        jobs,
        {job_id: state for job_id, state in states.items() if job_id not in jobs},
        machine.sample(now, daemon),
        view.meta("draining") == "1",
        known.gate if known is not None else World(now, capacity).gate,
    )
    plan = decide(world)
    if any(start.job_id == job.id for start in plan.starts):
        return Preview(spec.needs, starts_now=True, estimated_start_at=now)
    reasons = plan.held.get(job.id) or (
        Reason(ReasonCode.AHEAD, float(view.counts().get(StateName.QUEUED, 0)), unit=Unit.JOBS),
    )
    return Preview(spec.needs, reasons=reasons, estimated_start_at=plan.estimates.get(job.id))


def _amount(value: float | None, unit: Unit | None) -> str:
    if value is None:
        return "none"
    if unit is Unit.BYTES:
        return f"{value / MIB / 1024:.1f} GiB" if value >= 1024 * MIB else f"{value / MIB:.0f} MiB"
    words = {Unit.CPUS: "cpus", Unit.DEVICES: "GPUs"}
    return f"{value:g} {words.get(unit, '') if unit else ''}".strip()
