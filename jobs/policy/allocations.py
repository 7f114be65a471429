"""What our jobs and warm processes hold of the machine, and until when they are planned to hold it.

Pure. Plan time and kill time are two things: nothing here ever stops a job, and a job that outlives its
expected time is stretched (Tsafrir, Etsion, Feitelson, TPDS 2007).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jobs.core.jobs import GIB, MIB, Active, Grant, Job, JobId, Needs, Paused, Running, Starting
from jobs.core.machine import Sample
from jobs.core.world import WarmProcess, World

EXPECTED_WARM_BYTES: Mapping[str, int] = {"sklearn": 300 * MIB, "tensorflow": GIB}  # until measured

_STRETCH = 1.5  # a job that outlives its expected time is planned at this multiple of its age


def planned_run_s(job: Job) -> float | None:
    """How long a whole run is planned to take: forecast or expected time if known, else its limit.

    A job without an end, as a service is, has its limit alone.
    """
    limit = job.spec.needs.time_limit_s
    if not job.spec.kind.traits.has_end:
        return limit
    expected = job.spec.expected_s if job.forecast is None else job.forecast.run_s
    if expected is None:
        return limit
    return expected if limit is None else min(expected, limit)


def planned_end_at(job: Job, now: float) -> float | None:
    """When an active job is planned to end, never before `now`; None when that cannot be told."""
    state = job.state
    if isinstance(state, Paused):
        return None
    if isinstance(state, Running):
        asked_at = state.cancel_requested_at or state.evict_requested_at
        if asked_at is not None:
            return max(now, asked_at + job.spec.grace_s)
    started_at = state.started_at if isinstance(state, Running) else now
    run_s = planned_run_s(job)
    if run_s is None:
        return None
    run_s = max(0.0, run_s - job.attained_s)
    age_s = now - started_at
    if age_s >= run_s:
        run_s = _STRETCH * age_s
        if job.spec.needs.time_limit_s is not None:
            run_s = min(run_s, job.spec.needs.time_limit_s)
    return max(now, started_at + run_s)


def warm_bytes(process: WarmProcess) -> int:
    """The memory that counts as taken by a warm process."""
    return (
        EXPECTED_WARM_BYTES.get(process.key.framework, GIB)
        if process.mem_bytes is None
        else process.mem_bytes
    )


@dataclass(frozen=True, slots=True)
class Allocation:
    """What one of our jobs holds. `mem_bytes` is what it reserves or uses, whichever is more.

    `settles_at` is set while its live use is not believed yet; `seen_bytes` is what the machine's reading
    has of it all the same (None: unknown), so that much is counted twice for now.
    """

    job_id: JobId
    needs: Needs
    grant: Grant
    mem_bytes: int
    ends_at: float | None
    settles_at: float | None = None
    seen_bytes: int | None = 0


def allocation_of(world: World, sample: Sample, job: Job) -> Allocation:
    """What an active job holds, going by the reading."""
    state, needs = job.state, job.needs
    assert isinstance(state, Active)
    usage = sample.jobs.get(job.id)
    live = usage.mem_bytes if usage is not None else None
    started_at = state.since_at if isinstance(state, Starting) else state.started_at
    settles_at = started_at + world.settings.settle_s
    settling = live is None or abs(sample.at - started_at) < world.settings.settle_s
    seen = live if live is not None or started_at <= sample.at else 0
    return Allocation(
        job.id,
        needs,
        state.grant,
        max(needs.mem_bytes, live or 0),
        planned_end_at(job, world.now),
        settles_at if settling else None,
        seen,
    )


def withheld_bytes(holding: Allocation) -> int:
    """Reserved and not yet used, as far as that is believed."""
    if holding.settles_at is not None:
        return holding.needs.mem_bytes
    return max(0, holding.needs.mem_bytes - (holding.seen_bytes or 0))
