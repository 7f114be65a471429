"""What would become of a job: the scheduler's own rules, run on a copy of its world.

Nothing here is written and nothing decided; the daemon asks the same `policy.decide` with the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from jobs.core.jobs import MIB, Held, Job, Queued, Reason, ReasonCode, Running, StateName, Unit
from jobs.core.machine import Sample
from jobs.core.requests import DaemonStatus, Headroom, Preview, StartEstimate
from jobs.core.rules import SchedulerSettings
from jobs.core.world import Gate, World
from jobs.engine.lookahead import starts_at, with_priority, with_runs
from jobs.machine.viewer import MachineView
from jobs.policy.decide import decide_with_estimates, waiting_order
from jobs.policy.explain import factors
from jobs.policy.free_resources import free_resources, readable
from jobs.policy.limits import never_fits
from jobs.policy.window import blocked
from jobs.store.codec import ESTIMATES, USAGE, load_errors, load_shares
from jobs.store.queries import View

_FOUR_OF_FIVE = 1.28  # standard deviations either way


def sentences(reasons: Sequence[Reason]) -> str:
    """The numbers of a job that never fits, in words; empty when there are none."""
    return " ".join(_sentence(reason) for reason in reasons)


def preview(
    job: Job,
    view: View,
    machine: MachineView,
    daemon: DaemonStatus,
    *,
    rules: SchedulerSettings,
    sample: Sample,
) -> Preview:
    """What `decide` says of a job that is not in the queue, beside all that runs and waits now."""
    needs, now = job.spec.needs, job.submitted_at
    capacity = machine.capacity(daemon)
    if tight := never_fits(capacity, rules, needs):
        return Preview(needs, problems={_field(reason): _sentence(reason) for reason in tight})
    free = replace(job, spec=replace(job.spec, explicit_needs=()))
    (free,) = view.with_forecasts([free], capacity, rules)
    assert free.forecast is not None
    answer = Preview(needs, free.forecast.needs, free.forecast.sized_runs)
    if isinstance(job.state, Held):
        return replace(answer, reasons=(Reason(ReasonCode.HELD, detail=job.state.cause),))
    world = world_of(view, machine, daemon, now=now, rules=rules, sample=sample, others=(job,))
    plan = decide_with_estimates(world)
    if any(start.job_id == job.id for start in plan.starts):
        return replace(answer, starts_now=True, estimated_start_at=now)
    reasons = tuple(
        Reason(ReasonCode.AHEAD, view.ahead(job.spec.priority, job.id), unit=Unit.JOBS)
        if reason.code is ReasonCode.AHEAD
        else reason
        for reason in plan.held[job.id]
    )
    return replace(answer, reasons=reasons, estimated_start_at=plan.estimates.get(job.id))


def start_estimate(
    job: Job,
    view: View,
    machine: MachineView,
    daemon: DaemonStatus,
    *,
    now: float,
    rules: SchedulerSettings,
    sample: Sample,
) -> StartEstimate:
    """What stands behind the place of a waiting job, and when it starts, by running the rules forward."""
    world = world_of(view, machine, daemon, now=now, rules=rules, sample=sample, others=(job,))
    job = world.jobs[job.id]
    made = job.forecast
    assert made is not None
    score, order = factors(world, job.id), waiting_order(world)
    ready = isinstance(job.state, Queued) and not blocked(world, job, {})
    likely = starts_at(world, job.id) if ready else None
    ends = [likely]
    if likely is not None:
        ends += [starts_at(with_runs(world, each), job.id) for each in (-_FOUR_OF_FIVE, _FOUR_OF_FIVE)]
    between = sorted(at for at in ends if at is not None)
    errors = load_errors(view.meta(ESTIMATES))
    return StartEstimate(
        order.index(job.id) + 1 if ready else None,
        max(len(order), view.counts().get(StateName.QUEUED, 0)),
        score.left_s,
        score.share,
        score.usage if len(world.usage) > 1 else 1.0,
        score.age,
        score.priority,
        made.runs,
        made.needs,
        made.sized_runs,
        likely,
        between[0] if between else None,
        between[-1] if between else None,
        None if likely is None or likely <= now else starts_at(with_priority(world, job.id, 1), job.id),
        median(errors) if errors else None,
        len(errors),
    )


def headroom(
    view: View,
    machine: MachineView,
    daemon: DaemonStatus,
    *,
    now: float,
    rules: SchedulerSettings,
    sample: Sample,
) -> Headroom | None:
    """What is free for a job now; None while the machine cannot be read."""
    world = world_of(view, machine, daemon, now=now, rules=rules, sample=sample)
    if not readable(world):
        return None
    room, order = free_resources(world), waiting_order(world)
    keys = {device.uuid: device.key for device in world.capacity.devices}
    return Headroom(
        max(0.0, room.cpus),
        max(0, room.mem_bytes),
        tuple(
            (
                keys[device.uuid],
                max(0, device.free_bytes) if device.share_ok and device.whole_by is None else None,
            )
            for device in room.devices
        ),
        world.jobs[order[0]] if order else None,
    )


def world_of(
    view: View,
    machine: MachineView,
    daemon: DaemonStatus,
    *,
    now: float,
    rules: SchedulerSettings,
    sample: Sample,
    others: Sequence[Job] = (),
) -> World:
    """The scheduler's world as the store and the machine's readings have it, with `others` in it."""
    capacity = machine.capacity(daemon)
    head = view.window(rules.window, by_class=rules.learned_order)
    jobs = {job.id: job for job in view.with_forecasts((*view.active(), *head, *others), capacity, rules)}
    known = machine.sample_of(daemon)
    usage_at, usage, backlog_s = load_shares(view.meta(USAGE))
    return World(
        now,
        capacity,
        rules,
        jobs,
        view.states([after.job_id for job in jobs.values() for after in job.spec.after]),
        sample,
        view.meta("draining") == "1",
        Gate() if known is None else known.gate,
        queued_outside_window=0,
        promised=tuple(
            dict.fromkeys(
                job_id
                for job in jobs.values()
                if isinstance(job.state, Running)
                for job_id in job.state.evict_for
                if job_id in jobs
            )
        ),
        usage=usage,
        usage_at=usage_at,
        backlog_s=backlog_s,
        backlog_at=usage_at,
    )


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
