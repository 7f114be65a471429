"""Random worlds try to break what must never happen.

What fits, and when, is worked out here a second time and more simply, so that the policy's own
bookkeeping is not its own witness.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.core.jobs import (
    GIB,
    Forecast,
    Grant,
    Held,
    Job,
    JobId,
    Needs,
    Paused,
    Queued,
    ReasonCode,
    Running,
    Starting,
)
from jobs.core.rules import SchedulerSettings
from jobs.core.world import World
from jobs.policy.decide import decide, decide_with_estimates, waiting_order
from tests.policy.worlds import (
    FIRST_COME,
    NOW,
    gpu,
    held,
    paused,
    queued,
    reading,
    running,
    sample,
    starting,
    world,
)

RULES = FIRST_COME
LEARNED = replace(FIRST_COME, learned_order=True)
EVICTING = replace(LEARNED, evict=True)
MANY = settings(max_examples=150, deadline=None)


@st.composite
def needs(draw: st.DrawFn, *, most_gpus: int = 0) -> Needs:
    gpus = draw(st.integers(0, most_gpus))
    shared = gpus > 0 and draw(st.booleans())
    return Needs(
        cpus=draw(st.sampled_from([0.5, 1.0, 2.0, 3.0, 6.0])),
        mem_bytes=draw(st.integers(1, 24)) * GIB // 2,
        gpus=gpus,
        gpu_mem_bytes=draw(st.integers(1, 10)) * GIB if shared else None,
        time_limit_s=draw(st.sampled_from([None, 60.0, 130.0, 400.0])),
    )


def place(wanted: Needs, holders: Iterable[Job], count: int) -> tuple[str, ...] | None:
    """Any devices that would do, looked for in the plainest way."""
    free = dict.fromkeys((f"GPU-{i}" for i in range(count)), 16 * GIB - int(16 * GIB * 0.04))
    taken: set[str] = set()
    shared: set[str] = set()
    for job in holders:
        assert isinstance(job.state, Starting | Running | Paused)
        for uuid in job.state.grant.device_uuids:
            if job.spec.needs.gpu_mem_bytes is None:
                taken.add(uuid)
            else:
                shared.add(uuid)
                free[uuid] -= job.spec.needs.gpu_mem_bytes
    if wanted.gpu_mem_bytes is None:
        usable = [uuid for uuid in free if uuid not in taken | shared]
    else:
        usable = [uuid for uuid, left in free.items() if uuid not in taken and left >= wanted.gpu_mem_bytes]
    return tuple(usable[: wanted.gpus]) if len(usable) >= wanted.gpus else None


def fits(now: World, wanted: Needs, holders: list[Job]) -> bool:
    """By reservation, on a machine that nobody else uses."""
    headroom = max(GIB, int(now.capacity.mem_bytes * 0.05))
    cpus = sum(job.spec.needs.cpus for job in holders) + wanted.cpus
    mem = sum(job.spec.needs.mem_bytes for job in holders) + wanted.mem_bytes + headroom
    return (
        cpus <= now.capacity.cpus
        and mem <= now.capacity.mem_bytes
        and place(wanted, holders, len(now.capacity.devices)) is not None
    )


@st.composite
def calm_worlds(draw: st.DrawFn) -> World:
    """Nothing foreign, everything settled: reservations tell the whole truth."""
    rules = draw(st.sampled_from([FIRST_COME, LEARNED, EVICTING]))
    count = draw(st.integers(0, 2))
    cpus, gib = draw(st.sampled_from([2.0, 4.0, 8.0])), draw(st.sampled_from([8, 16, 24]))
    active: list[Job] = []
    empty = world(cpus=cpus, gib=gib, devices=[gpu(i) for i in range(count)], rules=rules)
    for job_id in range(100, 100 + draw(st.integers(0, 5))):
        wanted = draw(needs(most_gpus=count))
        on = place(wanted, active, count)
        if on is not None and fits(empty, wanted, active):
            make = draw(st.sampled_from([running, running, running, paused]))
            active.append(_remembered(draw, make(job_id, wanted, on=on), rules))
    waiting = [
        _remembered(
            draw,
            queued(
                job_id,
                draw(needs(most_gpus=count)),
                priority=draw(st.sampled_from([40, 50, 60])),
                expected_s=draw(st.sampled_from([None, None, 30.0, 250.0])),
            ),
            rules,
        )
        for job_id in range(1, 1 + draw(st.integers(1, 7)))
    ]
    if draw(st.booleans()):
        waiting.append(held(50))
    read = sample(
        total_gib=gib,
        available_gib=gib - 0.25 * len(active),
        live_gib={job.id: 0.25 for job in active},
        gpu_live_gib={job.id: 0.25 * len(_grant(job).device_uuids) for job in active},
        devices=[
            reading(i, 0.25 * sum(f"GPU-{i}" in _grant(job).device_uuids for job in active))
            for i in range(count)
        ],
    )
    jobs = {job.id: job for job in (*active, *waiting)}
    usage = draw(st.sampled_from([{}, {"ann": 9000.0, "bo": 100.0}]))
    return replace(empty, jobs=jobs, sample=read, usage=usage, usage_at=NOW)


def _remembered(draw: st.DrawFn, job: Job, rules: SchedulerSettings) -> Job:
    """In the learned order: with a forecast, a user, and perhaps the promise to save."""
    if not rules.learned_order:
        return job
    spec = replace(
        job.spec, checkpoint=draw(st.integers(0, 3)) > 0, user=draw(st.sampled_from(["ann", "bo"]))
    )
    run_s = draw(st.sampled_from([5.0, 90.0, 500.0, 50_000.0]))
    state = job.state
    if isinstance(state, Running):
        state = replace(state, started_at=NOW - draw(st.sampled_from([100.0, 301.0])))
    forecast = Forecast(run_s, run_s / 50, draw(st.integers(0, 3)))
    return replace(job, spec=spec, state=state, forecast=forecast)


@st.composite
def rough_worlds(draw: st.DrawFn) -> World:
    """The same with foreign load, fresh jobs, missing readings and use beyond what was reserved."""
    now = draw(calm_worlds())
    assert now.sample is not None
    jobs = dict(now.jobs)
    for job in list(jobs.values()):
        if isinstance(job.state, Running) and draw(st.booleans()):
            on = job.state.grant.device_uuids
            jobs[job.id] = draw(
                st.sampled_from(
                    [
                        starting(job.id, job.spec.needs, on=on),
                        running(job.id, job.spec.needs, on=on, started_at=NOW - 3),
                    ]
                )
            )
    live: dict[int, float] = {
        job.id: draw(st.sampled_from([0.25, 1.0, 9.0]))
        for job in jobs.values()
        if _active(job) and draw(st.booleans())
    }
    count = len(now.capacity.devices)
    read = sample(
        at=NOW - draw(st.sampled_from([0.0, 2.0, 14.0, 20.0])),
        total_gib=now.capacity.mem_bytes / GIB,
        available_gib=draw(st.one_of(st.none(), st.floats(0, now.capacity.mem_bytes / GIB))),
        cpu_foreign=draw(st.one_of(st.none(), st.floats(0, 2 * now.capacity.cpus))),
        live_gib=live,
        devices=[
            reading(
                i,
                draw(st.one_of(st.none(), st.floats(0, 16))),
                foreign_gib=draw(st.sampled_from([None, 0.0, 0.3, 3.0])),
                foreign_processes=draw(st.sampled_from([None, 0, 1])),
            )
            for i in range(count)
            if draw(st.integers(0, 9))
        ],
    )
    return replace(
        now,
        jobs=jobs,
        sample=read,
        draining=draw(st.integers(0, 19)) == 0,
        gate=now.gate,
        queued_outside_window=0,
    )


def _active(job: Job) -> bool:
    return isinstance(job.state, Starting | Running | Paused)


def after_starts(now: World) -> list[Job]:
    """The active jobs once the plan is carried out."""
    plan = decide(now)
    begun = [
        replace(now.jobs[s.job_id], state=Starting(now.now, 1, s.grant), attempts=1) for s in plan.starts
    ]
    return [*(job for job in now.jobs.values() if _active(job)), *begun]


# --- safety --------------------------------------------------------------------------------------------


@MANY
@given(rough_worlds())
def test_reservations_never_exceed_the_machine(now: World) -> None:
    plan = decide(now)
    if not plan.starts:
        return
    holders = after_starts(now)
    assert sum(job.spec.needs.cpus for job in holders) <= now.capacity.cpus + 1e-6
    headroom = max(GIB, int(now.capacity.mem_bytes * 0.05))
    assert sum(job.spec.needs.mem_bytes for job in holders) <= now.capacity.mem_bytes - headroom
    for start in plan.starts:
        wanted = now.jobs[start.job_id].spec.needs
        assert len(set(start.grant.device_uuids)) == len(start.grant.device_uuids) == wanted.gpus
        for uuid in start.grant.device_uuids:
            on_it = [job for job in holders if uuid in _grant(job).device_uuids]
            if any(job.spec.needs.gpu_mem_bytes is None for job in on_it):
                assert len(on_it) == 1
            assert sum(job.spec.needs.gpu_mem_bytes or 0 for job in on_it) <= 16 * GIB * 0.96 + 1


@MANY
@given(rough_worlds())
def test_a_start_never_exceeds_live_headroom(now: World) -> None:
    plan = decide(now)
    if not plan.starts:
        return
    read = now.sample
    assert read is not None and read.mem_available_bytes is not None
    assert abs(now.now - read.at) <= RULES.max_sample_age_s
    withheld = 0
    for job in now.jobs.values():
        if _active(job):
            since = _since(job)
            usage = read.jobs.get(job.id)
            believed = (usage.mem_bytes or 0) if usage and since <= read.at - RULES.settle_s else 0
            withheld += max(0, job.spec.needs.mem_bytes - believed)
    begun = sum(now.jobs[start.job_id].spec.needs.mem_bytes for start in plan.starts)
    headroom = max(GIB, int(now.capacity.mem_bytes * 0.05))
    assert begun + withheld <= read.mem_available_bytes - headroom
    readings = {device.uuid: device for device in read.devices}
    for start in plan.starts:
        gpu_mem = now.jobs[start.job_id].spec.needs.gpu_mem_bytes
        for uuid in start.grant.device_uuids:
            device = readings[uuid]
            if gpu_mem is None:
                assert (device.foreign_mem_bytes or 0) <= 0.05 * 16 * GIB
            else:
                assert device.mem_used_bytes is not None
                assert gpu_mem <= 16 * GIB * 0.96 + 1 - device.mem_used_bytes


# --- a passed job is not delayed -------------------------------------------------------------------------


@dataclass(frozen=True)
class Planned:
    at: float  # infinite where it cannot be told
    short: frozenset[str]


def planned_start(now: World, wanted: Needs, holders: list[Job], ends: Mapping[JobId, float]) -> Planned:
    short = set()
    for name, part in (
        ("cpus", Needs(wanted.cpus, 0)),
        ("mem", Needs(0, wanted.mem_bytes)),
        ("gpus", Needs(0, 0, wanted.gpus, wanted.gpu_mem_bytes)),
    ):
        if not fits(now, part, holders):
            short.add(name)
    for at in sorted({end for end in ends.values() if end < math.inf}):
        if fits(now, wanted, [job for job in holders if ends[job.id] > at]):
            return Planned(at, frozenset(short))
    return Planned(math.inf, frozenset(short))


def end_of(job: Job, *, begins: bool) -> float:
    limit = math.inf if job.spec.needs.time_limit_s is None else job.spec.needs.time_limit_s
    expected = job.spec.expected_s if job.forecast is None else job.forecast.run_s
    length = min(math.inf if expected is None else expected, limit)
    if begins:
        return NOW + length
    if isinstance(job.state, Paused):
        return math.inf
    assert isinstance(job.state, Running)
    age = NOW - job.state.started_at
    if age >= length:
        length = min(1.5 * age, limit)
    return max(NOW, job.state.started_at + length)


@settings(max_examples=300, deadline=None)
@given(calm_worlds())
def test_a_backfilled_job_never_delays_the_planned_start_of_the_job_it_passed(now: World) -> None:
    if now.settings.evict and all(job.can_save for job in now.jobs.values()):
        return  # whoever is passed can have its place at any time: none is kept
    plan = decide(now)
    order = [now.jobs[job_id] for job_id in waiting_order(now)]
    started = {start.job_id: start.grant for start in plan.starts}
    holders = [job for job in now.jobs.values() if _active(job)]
    ends = {job.id: end_of(job, begins=False) for job in holders}
    passed: Job | None = None
    before = Planned(math.inf, frozenset())
    for job in order:
        if job.id in started:
            if passed is not None and before.at == math.inf:
                taken = {
                    "cpus": job.spec.needs.cpus,
                    "mem": job.spec.needs.mem_bytes,
                    "gpus": job.spec.needs.gpus,
                }
                assert not [name for name in before.short if taken[name] > 0]
            begun = replace(job, state=Starting(NOW, 1, started[job.id]))
            holders.append(begun)
            ends[job.id] = end_of(job, begins=True)
            if passed is not None:
                after = planned_start(now, passed.spec.needs, holders, ends)
                assert after.at <= before.at
                assert before.at < math.inf or after.short == before.short
        elif passed is None and ReasonCode.TOO_BIG not in {reason.code for reason in plan.held[job.id]}:
            passed = job
            before = planned_start(now, job.spec.needs, holders, ends)
            assert not fits(now, job.spec.needs, holders)
    if passed is not None:
        told = {reason.until_at for reason in plan.held[passed.id]}
        assert all(at is None or at >= NOW for at in told)


@MANY
@given(calm_worlds())
def test_whatever_fits_by_order_starts(now: World) -> None:
    """Progress: going through the queue, no job is left behind that fits and that nobody waits before."""
    plan = decide(now)
    holders = [job for job in now.jobs.values() if _active(job)]
    started = {start.job_id: start.grant for start in plan.starts}
    for job in [now.jobs[job_id] for job_id in waiting_order(now)]:
        if job.id not in started:
            assert not fits(now, job.spec.needs, holders)
            break
        holders.append(replace(job, state=Starting(NOW, 1, started[job.id])))


# --- eviction --------------------------------------------------------------------------------------------


@MANY
@given(st.one_of(calm_worlds(), rough_worlds()))
def test_only_a_job_that_saves_and_had_its_turn_makes_room_and_not_for_nobody(now: World) -> None:
    plan = decide(now)
    if not now.settings.evict:
        assert plan.evictions == ()
    for eviction in plan.evictions:
        job = now.jobs[eviction.job_id]
        assert job.can_save
        assert isinstance(job.state, Running)
        assert now.now - job.state.started_at >= now.settings.trial_s
        assert eviction.for_jobs
        assert all(job_id in plan.held for job_id in eviction.for_jobs)


@MANY
@given(calm_worlds())
def test_who_is_evicted_makes_no_room_again_before_it_has_run_on(now: World) -> None:
    """No thrash: evicted, started again at once, and asked at every moment of its next trial time."""
    for eviction in decide(now).evictions:
        job = now.jobs[eviction.job_id]
        assert isinstance(job.state, Running)
        for ran_s in (0.0, 1.0, now.settings.trial_s - 1):
            again = replace(
                job, state=replace(job.state, started_at=now.now - ran_s), evictions=job.evictions + 1
            )
            later = replace(now, jobs={**now.jobs, job.id: again})
            assert job.id not in {each.job_id for each in decide(later).evictions}


# --- honesty -------------------------------------------------------------------------------------------


@MANY
@given(st.one_of(calm_worlds(), rough_worlds()))
def test_every_waiting_job_starts_or_has_reasons_with_numbers_that_are_short(now: World) -> None:
    plan = decide(now)
    starts = {start.job_id for start in plan.starts}
    waiting = {job.id for job in now.jobs.values() if isinstance(job.state, Queued | Held)}
    assert starts.isdisjoint(plan.held)
    assert starts | set(plan.held) == waiting
    assert all(isinstance(now.jobs[job_id].state, Queued) for job_id in starts)
    reserved = sum(job.spec.needs.cpus for job in after_starts(now))
    for job_id, reasons in plan.held.items():
        assert reasons
        wanted = now.jobs[job_id].spec.needs
        for reason in reasons:
            if reason.needed is not None and reason.free is not None:
                assert reason.needed > reason.free >= 0
                assert reason.unit is not None
            if reason.code is ReasonCode.CPUS:
                assert reason.needed == wanted.cpus
                foreign = (now.sample.cpu_foreign or 0.0) if now.sample else 0.0
                taken = max(0.0, foreign - 0.25 * now.capacity.cpus)
                assert math.isclose(
                    reason.free or 0.0, max(0.0, now.capacity.cpus - reserved - taken), abs_tol=1e-6
                )
            if reason.code is ReasonCode.BACKFILL:
                assert reason.jobs and reason.jobs[0] in plan.held
            assert set(reason.jobs) <= set(now.jobs)


@MANY
@given(st.one_of(calm_worlds(), rough_worlds()))
def test_estimates_are_of_held_jobs_and_never_before_now(now: World) -> None:
    plan = decide_with_estimates(now)
    assert set(plan.estimates) <= set(plan.held)
    assert all(at >= now.now for at in plan.estimates.values())
    assert plan.wake_at is None or plan.wake_at > now.now


@MANY
@given(st.one_of(calm_worlds(), rough_worlds()), st.randoms(use_true_random=False))
def test_equal_worlds_give_equal_plans_whatever_the_order_of_the_mapping(
    now: World, random: Random
) -> None:
    jobs = list(now.jobs.items())
    random.shuffle(jobs)
    plan, again = decide_with_estimates(now), decide_with_estimates(replace(now, jobs=dict(jobs)))
    assert plan == again


def _since(job: Job) -> float:
    assert isinstance(job.state, Starting | Running | Paused)
    return job.state.since_at if isinstance(job.state, Starting) else job.state.started_at


def _grant(job: Job) -> Grant:
    assert isinstance(job.state, Starting | Running | Paused)
    return job.state.grant
