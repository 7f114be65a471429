"""What would become of a job: the scheduler's own rules, run on a copy of its world.

Nothing here is written and nothing decided; the daemon asks the same `policy.decide` with the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from jobs.machine import Sample
from jobs.model import MIB, Held, Job, Reason, ReasonCode, Unit
from jobs.policy.decide import decide_with_estimates
from jobs.policy.fits import never_fits
from jobs.rules import Rules
from jobs.sensing.viewer import Machine
from jobs.store.queries import View
from jobs.views import DaemonStatus, Preview
from jobs.world import Gate, World


def sentences(reasons: Sequence[Reason]) -> str:
    """The numbers of a job that never fits, in words; empty when there are none."""
    return " ".join(_sentence(reason) for reason in reasons)


def preview(
    job: Job, view: View, machine: Machine, daemon: DaemonStatus, *, rules: Rules, sample: Sample
) -> Preview:
    """What `decide` says of a job that is not in the queue, beside all that runs and waits now."""
    needs, now = job.spec.needs, job.submitted_at
    capacity = machine.capacity(daemon)
    if tight := never_fits(capacity, rules, needs):
        return Preview(needs, problems={_field(reason): _sentence(reason) for reason in tight})
    if isinstance(job.state, Held):
        return Preview(needs, reasons=(Reason(ReasonCode.HELD, detail=job.state.cause),))
    jobs = {each.id: each for each in (*view.active(), *view.head(rules.window), job)}
    targets = [after.job_id for each in jobs.values() for after in each.spec.after]
    known = machine.vitals(daemon)
    world = World(
        now,
        capacity,
        rules,
        jobs,
        view.states(targets),
        sample,
        view.meta("draining") == "1",
        Gate() if known is None else known.gate,
    )
    plan = decide_with_estimates(world)
    if any(start.job_id == job.id for start in plan.starts):
        return Preview(needs, starts_now=True, estimated_start_at=now)
    reasons = tuple(
        Reason(ReasonCode.AHEAD, view.ahead(job.spec.priority, job.id), unit=Unit.JOBS)
        if reason.code is ReasonCode.AHEAD
        else reason
        for reason in plan.held[job.id]
    )
    return Preview(needs, reasons=reasons, estimated_start_at=plan.estimates.get(job.id))


def _field(reason: Reason) -> str:
    if reason.unit is Unit.BYTES:
        return "vram" if reason.detail else "mem"
    return "gpus" if reason.unit is Unit.DEVICES else "cpus"


def _sentence(reason: Reason) -> str:
    needed, there = _amount(reason.needed, reason.unit), _amount(reason.free, reason.unit)
    what = f" ({reason.detail})" if reason.detail else ""
    return f"It needs {needed}, and this machine can give {there}{what}."


def _amount(value: float | None, unit: Unit | None) -> str:
    if value is None:
        return "none"
    if unit is Unit.BYTES:
        return f"{value / MIB / 1024:.1f} GiB" if value >= 1024 * MIB else f"{value / MIB:.0f} MiB"
    if unit is Unit.DEVICES:
        return f"{value:g} GPU{'' if value == 1 else 's'}"
    return f"{value:g} core{'' if value == 1 else 's'}"
