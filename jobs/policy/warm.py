"""Which frameworks are kept imported for the jobs that come, and when that memory is given back.

Pure. A warm process is a convenience: it is started only from memory that nothing waits for, counts as
taken while it lives, and goes as soon as a job waits for memory that it holds.
"""

from __future__ import annotations

from collections.abc import Mapping

from jobs.core.jobs import Job, Queued, ReasonCode, Starting
from jobs.core.world import WarmKey, WarmPlan, World
from jobs.policy.allocations import EXPECTED_WARM_BYTES
from jobs.policy.free_resources import free_resources, readable

_SHORT_OF_MEMORY = frozenset({ReasonCode.MEMORY, ReasonCode.FOREIGN_MEMORY})


def warm_plan(world: World) -> WarmPlan:
    """What to start and stop now; with no readable sample nothing is started."""
    wanted = _wanted(world)
    kept = {process.key: process for process in world.warm}
    if not world.settings.warm_starts:
        return WarmPlan(stop=frozenset(kept), without=dict.fromkeys(wanted, "warm starts are switched off"))
    stop = {
        stack
        for stack, process in kept.items()
        if stack not in wanted and world.now - process.used_at >= world.settings.warm_idle_s
    }
    if any(_waits_for_memory(job) for job in world.jobs.values()):
        stop |= _in_the_way(world, wanted)
    missing = sorted(wanted.keys() - kept.keys())
    start, without = set(), dict.fromkeys(missing, "the machine could not be read")
    if missing and readable(world):
        room = free_resources(world).mem_bytes
        for stack in missing:
            without[stack] = "no room in memory for a warm process"
            if room - EXPECTED_WARM_BYTES[stack.framework] >= wanted[stack]:
                room -= EXPECTED_WARM_BYTES[stack.framework]
                start.add(stack)
    return WarmPlan(frozenset(start), frozenset(stop), without)


def stack_of(job: Job) -> WarmKey | None:
    """What a warm process for this job has imported; None when there is to be none."""
    spec = job.spec
    if (
        spec.framework is None
        or spec.framework not in EXPECTED_WARM_BYTES
        or not spec.warm
        or not spec.argv
    ):
        return None
    return WarmKey(spec.framework, spec.argv[0])


def _wanted(world: World) -> dict[WarmKey, int]:
    """The stacks that jobs at hand would use, with the least memory that one of those waiting asks for."""
    wanted: dict[WarmKey, int] = {}
    for job in world.jobs.values():
        stack = stack_of(job)
        if stack is None:
            continue
        if isinstance(job.state, Starting):
            wanted[stack] = 0
        elif isinstance(job.state, Queued):
            wanted[stack] = min(wanted.get(stack, job.needs.mem_bytes), job.needs.mem_bytes)
    return wanted


def _in_the_way(world: World, wanted: Mapping[WarmKey, int]) -> set[WarmKey]:
    """Those that nobody at hand uses; all of them once nothing else will give memory back."""
    stacks = {process.key for process in world.warm}
    unused = stacks - wanted.keys()
    active = any(not isinstance(job.state, Queued) for job in world.jobs.values())
    return unused if unused or active else stacks


def _waits_for_memory(job: Job) -> bool:
    return isinstance(job.state, Queued) and any(each.code in _SHORT_OF_MEMORY for each in job.reasons)
