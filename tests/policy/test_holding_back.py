"""What keeps a job waiting although it would fit: wishes, dependencies, pressure, failed starts."""

from __future__ import annotations

from dataclasses import replace

from jobs.core.jobs import DependencyKind, JobId, Needs, ReasonCode, StateName, Unit
from jobs.core.machine import Pressure
from jobs.core.rules import SchedulerSettings
from jobs.core.world import Gate
from jobs.policy.decide import decide, next_gate
from tests.policy.worlds import NOW, codes, held, only, queued, running, sample, started, world

OK, ANY = DependencyKind.OK, DependencyKind.ANY


def test_a_held_job_says_who_holds_it() -> None:
    reason = only(decide(world(held(1))), 1)
    assert (reason.code, reason.detail) == (ReasonCode.HELD, "held by you")


def test_draining_starts_nothing() -> None:
    plan = decide(replace(world(queued(1)), draining=True))
    assert (plan.starts, codes(plan, 1)) == ((), [ReasonCode.DRAINING])


def test_a_dependency_on_a_job_of_the_world_holds_until_it_ends() -> None:
    plan = decide(world(running(1), queued(2, after={1: OK}), queued(3, after={1: ANY, 2: ANY})))
    assert plan.starts == ()
    assert (only(plan, 2).code, only(plan, 2).jobs) == (ReasonCode.DEPENDENCY, (1,))
    assert only(plan, 3).jobs == (1, 2)


def test_fates_meet_dependencies_or_never_do() -> None:
    job = queued(2, after={1: OK})
    assert started(decide(world(job, fates={1: StateName.SUCCEEDED}))) == [2]
    reason = only(decide(world(job, fates={1: StateName.FAILED})), 2)
    assert (reason.code, reason.jobs, reason.detail) == (ReasonCode.DEPENDENCY_FAILED, (1,), "failed")
    assert started(decide(world(queued(2, after={1: ANY}), fates={1: StateName.LOST}))) == [2]


def test_an_unknown_dependency_is_not_taken_as_met() -> None:
    assert codes(decide(world(queued(2, after={1: ANY}))), 2) == [ReasonCode.DEPENDENCY]


def test_a_failed_start_is_tried_again_after_its_pause_and_others_pass() -> None:
    now = replace(world(queued(1), queued(2)), retry_at={JobId(1): (NOW + 30, "no such file")})
    plan = decide(now)
    assert started(plan) == [2]
    reason = only(plan, 1)
    assert (reason.code, reason.until_at, reason.detail) == (
        ReasonCode.START_FAILED,
        NOW + 30,
        "no such file",
    )
    assert plan.wake_at == NOW + 30
    assert started(decide(replace(now, now=NOW + 10, retry_at={JobId(1): (NOW + 10, "x")}))) == [1, 2]


def test_one_decision_looks_at_a_window_of_the_queue() -> None:
    plan = decide(world(*(queued(i) for i in range(1, 6)), rules=SchedulerSettings(window=3)))
    assert started(plan) == [1, 2, 3]
    reason = only(plan, 5)
    assert (reason.code, reason.needed, reason.unit) == (ReasonCode.AHEAD, 4, Unit.JOBS)


# --- the pressure gate -----------------------------------------------------------------------------------


def gate_after(gate: Gate, at: float, pressure: Pressure, foreign: float = 0.0) -> Gate:
    return next_gate(gate, sample(at=at, pressure=pressure, cpu_foreign=foreign), SchedulerSettings(), 8.0)


def test_memory_stalls_close_the_gate_and_say_with_what_number() -> None:
    gate = gate_after(Gate(), NOW, Pressure(memory_full_avg10=7.25))
    assert gate.closed_at == NOW
    reason = only(decide(replace(world(queued(1)), gate=gate)), 1)
    assert reason.code is ReasonCode.PRESSURE
    assert reason.detail == "full memory stalls 7.2 % of the time, limit 5 %"


def test_the_gate_reopens_only_after_a_stretch_of_calm() -> None:
    gate = gate_after(Gate(), NOW, Pressure(memory_some_avg60=25.0))
    gate = gate_after(gate, NOW + 1, Pressure(memory_some_avg60=12.0))
    assert (gate.closed_at, gate.calm_at) == (NOW, None)
    gate = gate_after(gate, NOW + 2, Pressure(memory_some_avg60=9.0))
    assert gate.calm_at == NOW + 2
    plan = decide(replace(world(queued(1)), gate=gate))
    assert (only(plan, 1).until_at, plan.wake_at) == (NOW + 32, NOW + 32)
    gate = gate_after(gate, NOW + 20, Pressure(memory_some_avg60=11.0))
    assert gate.calm_at is None
    gate = gate_after(gate, NOW + 21, Pressure(memory_some_avg60=1.0))
    assert gate_after(gate, NOW + 50, Pressure(memory_some_avg60=1.0)).closed_at == NOW
    assert gate_after(gate, NOW + 51, Pressure(memory_some_avg60=1.0)) == Gate()


def test_our_own_full_use_of_the_cpus_does_not_close_the_gate() -> None:
    stalled = Pressure(cpu_some_avg60=95.0)
    assert gate_after(Gate(), NOW, stalled, foreign=2.0) == Gate()
    assert gate_after(Gate(), NOW, stalled, foreign=2.1).closed_at == NOW


def test_a_kernel_without_pressure_readings_leaves_the_gate_open() -> None:
    assert gate_after(Gate(), NOW, Pressure()) == Gate()
    assert next_gate(Gate(), None, SchedulerSettings(), 8.0) == Gate()


def test_a_closed_gate_stays_closed_while_nothing_can_be_read() -> None:
    closed = Gate(NOW, NOW + 1, "stalls")
    assert next_gate(closed, None, SchedulerSettings(), 8.0) == closed


def test_reasons_do_not_depend_on_the_order_of_the_mapping() -> None:
    jobs = [running(1, Needs(cpus=8)), *(queued(i) for i in range(2, 6))]
    assert decide(world(*jobs)) == decide(world(*reversed(jobs)))
