"""Which running jobs save and stop so that shorter ones get their turn. Pure; names only those that can.

The best waiting jobs may take the place of jobs whose remaining box time is several times as large. A job
that has never run is judged by the least that it plausibly needs, so every new job soon has a short
trial: what outlives it goes back behind the rest (as in Kairos and Tiresias, NSDI 2019, which know no
history). Each eviction costs a restart, so a job is left alone until it has run for `trial_s`, and no more
is ever spent on restarts of it than a small share of its progress. A job that needs the places of many has
a round of its own: with a fixed number for each round, one that wants the whole machine for a second would
never get it.
"""

from __future__ import annotations

from collections.abc import Sequence

from jobs.core.jobs import Job, Queued, Running
from jobs.core.rules import SchedulerSettings
from jobs.core.world import Eviction, World
from jobs.policy.backfill import new_allocation
from jobs.policy.free_resources import FreeResources
from jobs.policy.order import Order, attained_s, overdue, overdue_after_s, waited_s

_CLAIMANTS = 8  # of the waiting jobs, the best
_LEAST_RESTART_S = 1.0
_FOR_OVERDUE = 2.0  # times the usual share of progress may go into restarts for an overdue job


def evictions(
    world: World, room: FreeResources, waiting: Sequence[Job], order: Order
) -> tuple[Eviction, ...]:
    """Who makes room now and for whom. `room` is what the start pass has left, `waiting` whom it left."""
    rules = world.settings
    if not rules.evict or not waiting or under_way(world):
        return ()
    victims = sorted(
        ((order.remaining(job), job) for job in world.jobs.values() if had_its_turn(job, world.now, rules)),
        key=lambda each: (-each[0], each[1].id),
    )
    if not victims:
        return ()
    late = overdue(world)
    protected = {job.id for job in late}
    waits = {job.id for job in waiting}
    others = [
        each
        for each in victims
        if each[1].id not in protected
        and worth_a_restart(each[1], world.now, rules, _FOR_OVERDUE * rules.restart_share)
    ]
    for job in late[:_CLAIMANTS]:
        if job.id in waits and job.id not in world.promised:
            taken = _make_room(room.settled(), job, others, len(others))
            if taken is not None:
                return tuple(Eviction(victim.id, (job.id,)) for victim in taken[1])
    victims = [each for each in victims if worth_a_restart(each[1], world.now, rules, rules.restart_share)]
    claims = sorted(
        ((order.claim(job), job.submitted_at, job.id), job) for job in _one_of_each(world, waiting)
    )
    gone: dict[int, list[int]] = {}
    scratch = room.settled()
    for (claim, _, _), job in claims[:_CLAIMANTS]:
        dear = rules.evict_ratio * claim
        very_dear = rules.overdue_ratio * claim
        affordable = [
            each
            for each in victims
            if each[1].id not in gone and each[0] >= (very_dear if each[1].id in protected else dear)
        ]
        most = rules.evictions_at_once - len(gone) if gone else len(affordable)
        taken = _make_room(scratch, job, affordable, most)
        if taken is None:
            continue
        scratch = taken[0]
        for victim in taken[1]:
            gone.setdefault(victim.id, []).append(job.id)
        if len(gone) >= rules.evictions_at_once:
            break
    return tuple(Eviction(job_id, tuple(for_jobs)) for job_id, for_jobs in gone.items())  # type: ignore[arg-type]


def askable(job: Job) -> Running | None:
    """Its state, where it runs, can save, and nobody has asked it to stop."""
    state = job.state
    if not isinstance(state, Running) or not job.can_save:
        return None
    return state if state.cancel_requested_at is None and state.evict_requested_at is None else None


def had_its_turn(job: Job, now: float, rules: SchedulerSettings) -> bool:
    """Whether it can be asked to save and stop, and has had its turn."""
    running = askable(job)
    return running is not None and now - running.started_at >= rules.trial_s


def worth_a_restart(job: Job, now: float, rules: SchedulerSettings, share: float) -> bool:
    """Whether its restarts, with one more, cost no more than a share of its progress.

    What one costs is measured; until then it is what the rules reckon with.
    """
    measured_s = None if job.forecast is None else job.forecast.restart_cost_s
    each_s = rules.restart_cost_s if measured_s is None else max(measured_s, _LEAST_RESTART_S)
    return (job.evictions + 1) * each_s <= max(each_s, share * attained_s(job, now))


def may_change_at(world: World) -> float | None:
    """When the answer can change although nothing happens: a trial is over, a round is due again."""
    rules, moments = world.settings, []
    if not rules.evict:
        return None
    if world.evicted_at is not None:
        moments.append(world.evicted_at + rules.evict_every_s)
    after_s = overdue_after_s(world)
    waited = (waited_s(job, world.now) for job in world.jobs.values() if isinstance(job.state, Queued))
    if (longest_s := max((each for each in waited if each < after_s), default=None)) is not None:
        moments.append(world.now + after_s - longest_s)
    moments += [
        job.state.started_at + rules.trial_s
        for job in world.jobs.values()
        if isinstance(job.state, Running) and job.can_save and job.state.evict_requested_at is None
    ]
    return min((moment for moment in moments if moment > world.now), default=None)


def under_way(world: World) -> bool:
    """Whether somebody is saving and stopping, or was asked to so lately that nobody else is now."""
    if world.evicted_at is not None and 0 <= world.now - world.evicted_at < world.settings.evict_every_s:
        return True
    return any(
        isinstance(job.state, Running) and job.state.evict_requested_at is not None
        for job in world.jobs.values()
    )


def _one_of_each(world: World, waiting: Sequence[Job]) -> list[Job]:
    """The waiting jobs that may claim a place: of jobs on trial, one of a kind and user at a time."""
    kinds = {
        _kind(job)
        for job in world.jobs.values()
        if isinstance(job.state, Running)
        and job.attempts == 1
        and job.forecast is not None
        and job.forecast.runs == 0
    }
    found = []
    for job in waiting:
        if job.id in world.promised:
            continue
        if job.attempts == 0 and job.forecast is not None and job.forecast.runs == 0:
            if _kind(job) in kinds:
                continue
            kinds.add(_kind(job))
        found.append(job)
    return found


def _kind(job: Job) -> tuple[object, ...]:
    return job.spec.user, job.spec.recipe, job.spec.argv, job.spec.params


def _make_room(
    room: FreeResources, job: Job, victims: Sequence[tuple[float, Job]], most: int
) -> tuple[FreeResources, list[Job]] | None:
    """The room with the job in it and those who made way, as few as can be; None when that is too dear."""
    needs = job.needs
    scratch, taken = room.copy(), list[Job]()
    for _, victim in victims:
        holding = scratch.allocations.get(victim.id)
        if holding is None:
            continue
        if len(taken) >= most:
            return None
        scratch.release(holding)
        taken.append(victim)
        grant = scratch.place(needs)
        if grant is None:
            continue
        scratch.take(new_allocation(job.id, needs, grant, None, 0.0))
        for spared in taken[:]:
            back = room.allocations[spared.id]
            if scratch.holds(back):
                scratch.take(back)
                taken.remove(spared)
        return scratch, taken
    return None
