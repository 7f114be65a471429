"""When a framework is kept imported, and when its memory is given back."""

from __future__ import annotations

from dataclasses import replace

from jobs.core.jobs import MIB, Job, Needs, Reason, ReasonCode
from jobs.core.world import WarmKey, WarmProcess, World
from jobs.policy.free_resources import free_resources
from jobs.policy.warm import warm_plan
from tests.policy.worlds import NOW, queued, running, world

SKLEARN, TENSORFLOW = WarmKey("sklearn", "/env/python"), WarmKey("tensorflow", "/env/python")
IDLE = WarmProcess(TENSORFLOW, 700 * MIB, used_at=NOW - 1000)
FRESH = WarmProcess(SKLEARN, 130 * MIB, used_at=NOW - 1)


def recipe(job: Job, stack: str = "sklearn", *, warm: bool = True, python: str = "/env/python") -> Job:
    return replace(job, spec=replace(job.spec, framework=stack, warm=warm, argv=(python, "recipe.py")))


def short(job: Job) -> Job:
    return replace(job, reasons=(Reason(ReasonCode.MEMORY, 1.0, 0.0),))


def with_warm(*jobs: Job, warm: tuple[WarmProcess, ...] = ()) -> World:
    return replace(world(*jobs), warm=warm)


def test_the_stack_of_a_job_at_hand_is_kept_and_no_other() -> None:
    assert warm_plan(with_warm(recipe(queued(1)), queued(2))).start == {SKLEARN}
    assert warm_plan(with_warm(queued(2))).start == frozenset()
    assert warm_plan(with_warm(recipe(queued(1), warm=False))).start == frozenset()
    assert warm_plan(with_warm(recipe(queued(1), "fortran"))).start == frozenset()
    assert warm_plan(with_warm(recipe(queued(1)), warm=(FRESH,))).start == frozenset()


def test_each_environment_has_its_own() -> None:
    here, there = recipe(queued(1)), recipe(queued(2), python="/other/python")
    assert warm_plan(with_warm(here, there)).start == {SKLEARN, WarmKey("sklearn", "/other/python")}
    idle = replace(FRESH, key=WarmKey("sklearn", "/other/python"), used_at=NOW - 1000)
    assert warm_plan(with_warm(here, warm=(FRESH, idle))).stop == {idle.key}


def test_it_goes_after_idling_unless_a_job_at_hand_would_use_it() -> None:
    assert warm_plan(with_warm(warm=(IDLE, FRESH))).stop == {TENSORFLOW}
    assert warm_plan(with_warm(recipe(queued(1), "tensorflow"), warm=(IDLE,))).stop == frozenset()


def test_switched_off_none_is_kept_and_the_reason_is_told() -> None:
    off = with_warm(recipe(queued(1)), warm=(FRESH,))
    plan = warm_plan(replace(off, settings=replace(off.settings, warm_starts=False)))
    assert not plan.start
    assert plan.stop == {SKLEARN}
    assert plan.without == {SKLEARN: "warm starts are switched off"}


def test_without_a_reading_none_is_started() -> None:
    blind = replace(with_warm(recipe(queued(1))), sample=None)
    assert warm_plan(blind).start == frozenset()
    assert warm_plan(blind).without == {SKLEARN: "the machine could not be read"}


def test_its_memory_counts_as_taken() -> None:
    free = free_resources(with_warm()).mem_reserved_free_bytes
    assert free_resources(with_warm(warm=(FRESH,))).mem_reserved_free_bytes == free - 130 * MIB
    starting = WarmProcess(SKLEARN, None, NOW)
    assert (
        free_resources(with_warm(warm=(starting,))).mem_live_free_bytes
        < free_resources(with_warm()).mem_live_free_bytes
    )


def test_it_is_not_started_from_memory_that_the_job_itself_needs() -> None:
    room = free_resources(with_warm()).mem_bytes
    big = recipe(queued(1, Needs(mem_bytes=room - 100 * MIB, mem_is_limit=True)))
    assert warm_plan(with_warm(big)).start == frozenset()
    assert warm_plan(with_warm(big)).without == {SKLEARN: "no room in memory for a warm process"}


def test_a_job_that_waits_for_memory_gets_what_the_unused_hold_first_and_all_when_nothing_else_ends() -> (
    None
):
    waits = short(queued(1))
    user = recipe(queued(2))
    assert warm_plan(with_warm(waits, user, warm=(FRESH, replace(IDLE, used_at=NOW)))).stop == {TENSORFLOW}
    assert warm_plan(with_warm(waits, user, running(3), warm=(FRESH,))).stop == frozenset()
    assert warm_plan(with_warm(waits, user, warm=(FRESH,))).stop == {SKLEARN}
