"""Whole workloads from submit to end, in virtual time, with the real decide and step."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from jobs.core.jobs import ENDED, GIB, Dependency, DependencyKind, JobId, Needs, ReasonCode, StateName
from jobs.core.machine import Capacity, Device
from tests.engine.shell import plain
from tests.sim.simulator import Simulator, Work, with_times

BOX = Capacity(8.0, 32 * GIB, tuple(Device(f"GPU-{i}", i, "Test", 16 * GIB) for i in range(2)))


def workload(seed: int, size: int = 60) -> list[Work]:
    """A mixed day: small and large jobs, shared and whole GPUs, chains, cancels, pauses, bad launches."""
    random = Random(seed)
    works, at = [], 0.0
    for job_id in range(1, size + 1):
        at += random.choice([0.0, 0.3, 5.0, 40.0])
        gpus = random.choice([0, 0, 0, 1, 1, 2])
        needs = Needs(
            cpus=random.choice([0.5, 1.0, 2.0, 4.0, 8.0]),
            mem_bytes=random.choice([1, 2, 4, 8, 24]) * GIB,
            gpus=gpus,
            gpu_mem_bytes=random.choice([None, 4 * GIB, 7 * GIB]) if gpus else None,
            time_limit_s=random.choice([None, None, 500.0]),
        )
        run_s = random.choice([0.2, 3.0, 20.0, 90.0, 400.0])
        after: tuple[Dependency, ...] = ()
        if job_id > 3 and random.random() < 0.2:
            kind = random.choice(list(DependencyKind))
            after = (Dependency(JobId(random.randint(1, job_id - 1)), kind),)
        work = Work(
            job_id,
            at,
            plain(needs, after=after, priority=random.choice([40, 50, 50, 60])),
            run_s,
            code=random.choice([0, 0, 0, 0, 1]),
            bad_launches=random.choice([0] * 12 + [1, 5]),
        )
        if random.random() < 0.1:
            work = replace(work, cancel_at=at + random.choice([0.0, 0.02, 10.0, 300.0]))
        if random.random() < 0.1:
            hold_at = at + random.choice([0.02, 12.0])
            work = replace(work, hold_at=hold_at, release_at=hold_at + random.choice([5.0, 200.0]))
        works.append(work)
    return works


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("known", [False, True])
def test_every_job_of_a_mixed_day_ends_as_it_should(seed: int, known: bool) -> None:
    works = with_times(workload(seed)) if known else workload(seed)
    jobs = Simulator(BOX, works).run()
    assert len(jobs) == len(works)
    for work in works:
        job = jobs[JobId(work.job_id)]
        assert job.state.name in ENDED
        if job.state.name is StateName.SUCCEEDED:
            assert work.code == 0
        if job.state.name is StateName.CANCELLED and work.cancel_at is None:
            assert work.spec.after
        if job.state.name is StateName.FAILED:
            assert work.code != 0 or work.bad_launches >= 3


def test_two_runs_are_identical() -> None:
    first, second = Simulator(BOX, workload(3, 30)), Simulator(BOX, workload(3, 30))
    assert first.run() == second.run()
    assert (first.spans, first.shell.story) == (second.spans, second.shell.story)
    assert first.shell.log == second.shell.log


def test_ten_that_fit_fill_the_machine() -> None:
    ten = [Work(i, 0.0, plain(Needs(cpus=1, mem_bytes=GIB)), 30.0) for i in range(1, 11)]
    sim = Simulator(Capacity(10.0, 32 * GIB), ten)
    sim.run()
    assert sim.most_running == 10
    assert {begin for begin, _ in sim.spans.values()} == {0.0}


def test_two_that_do_not_fit_together_never_overlap() -> None:
    big = Needs(cpus=1, mem_bytes=18 * GIB)
    sim = Simulator(BOX, [Work(1, 0.0, plain(big), 50.0), Work(2, 1.0, plain(big), 50.0)])
    jobs = sim.run()
    assert all(job.state.name is StateName.SUCCEEDED for job in jobs.values())
    first, second = sorted(sim.spans.values())
    assert first[1] <= second[0]


@pytest.mark.parametrize("known", [False, True])
def test_a_stream_of_small_jobs_does_not_starve_a_wide_one(known: bool) -> None:
    """Small jobs come faster than they leave; the wide one waits for those before it, and for no other."""
    small = Needs(cpus=2, mem_bytes=GIB)
    works = [Work(i, float(i), plain(small), 9.0) for i in range(1, 200)]
    works[49] = replace(works[49], spec=plain(Needs(cpus=8, mem_bytes=4 * GIB)), run_s=20.0)
    sim = Simulator(BOX, with_times(works) if known else works)
    sim.run()
    wide_began = sim.spans[JobId(50)][0]
    older_end = max(sim.spans[JobId(i)][1] for i in range(1, 50))
    assert wide_began == pytest.approx(older_end, abs=1.1)
    if not known:
        assert all(sim.spans[JobId(i)][0] > wide_began for i in range(51, 200))


def test_a_wide_job_that_came_first_waits_only_for_what_ran_before_it() -> None:
    running = [Work(i, 0.0, plain(Needs(cpus=2, mem_bytes=GIB)), 30.0) for i in range(1, 5)]
    wide = Work(5, 1.0, plain(Needs(cpus=8, mem_bytes=4 * GIB)), 20.0)
    later = [Work(i, 1.0 + i, plain(Needs(cpus=2, mem_bytes=GIB)), 30.0) for i in range(6, 40)]
    sim = Simulator(BOX, [*running, wide, *later])
    sim.run()
    assert sim.spans[JobId(5)][0] == pytest.approx(30.05, abs=1.1)


def test_short_jobs_pass_a_wide_one_without_delaying_it() -> None:
    first = Work(1, 0.0, plain(Needs(cpus=6, mem_bytes=GIB, time_limit_s=100.0)), 100.0)
    wide = Work(2, 1.0, plain(Needs(cpus=8, mem_bytes=GIB)), 20.0)
    short = [
        Work(i, 2.0, plain(Needs(cpus=2, mem_bytes=GIB, time_limit_s=30.0)), 29.0) for i in range(3, 9)
    ]
    sim = Simulator(BOX, [first, wide, *short])
    sim.run()
    passed = [i for i in range(3, 9) if sim.spans[JobId(i)][0] < sim.spans[JobId(2)][0]]
    assert len(passed) == 3
    assert sim.spans[JobId(2)][0] == pytest.approx(100.05, abs=1.1)


def test_foreign_memory_holds_the_queue_and_lets_it_go() -> None:
    sim = Simulator(BOX, [Work(1, 5.0, plain(Needs(cpus=1, mem_bytes=8 * GIB)), 10.0)])
    sim.foreign_mem.append((0.0, 60.0, 26 * GIB))
    jobs = sim.run()
    assert jobs[JobId(1)].state.name is StateName.SUCCEEDED
    assert sim.spans[JobId(1)][0] == pytest.approx(60.0, abs=1.1)


def test_many_short_jobs_go_through_in_order() -> None:
    works = [Work(i, 0.0, plain(Needs(cpus=1, mem_bytes=GIB // 4)), 0.01) for i in range(1, 301)]
    sim = Simulator(Capacity(2.0, 8 * GIB), works)
    sim.run()
    begins = [sim.spans[JobId(i)][0] for i in range(1, 301)]
    assert begins == sorted(begins)
    assert sim.most_running == 2


def test_jobs_that_wait_always_say_why() -> None:
    """At every decision of a mixed day, each waiting job of the head has a reason."""
    sim = Simulator(BOX, workload(1))
    told: set[ReasonCode] = set()
    decide = sim.shell.decide

    def watched(**how: object) -> object:
        effects = decide(**how)  # type: ignore[arg-type]
        for job in sim.shell.world.jobs.values():
            if job.state.name is StateName.QUEUED:
                assert job.reasons, f"{job} waits and does not say why"
                told.update(reason.code for reason in job.reasons)
        return effects

    sim.shell.decide = watched  # type: ignore[method-assign,assignment]
    sim.run()
    assert {ReasonCode.CPUS, ReasonCode.MEMORY, ReasonCode.GPUS, ReasonCode.BACKFILL} <= told
