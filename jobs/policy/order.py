"""Who goes first: the score of a job, lower is sooner. Pure; it starts and stops nothing.

Smallest area first, where area is the box time that is still to be done: expected seconds left times the
share of the machine. Priority, fair share and ageing are factors of it; the last two count for less where
jobs cannot be made to wait, as what goes first is not undone there. An order by expected size needs only
rough sizes (Dell'Amico, arXiv 1907.04824); eviction takes the harm out of sizes that were guessed too
small. Shares are dominant shares (Ghodsi et al., NSDI 2011), usage halves in
`SchedulerSettings.usage_half_life_s`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from jobs.core.jobs import Job, Needs, Queued, Running
from jobs.core.machine import Capacity
from jobs.core.world import World
from jobs.policy.allocations import planned_run_s
from jobs.policy.runtime_model import UNKNOWN_RUN_S

_USUAL_PRIORITY = 50
_SMALLEST_SHARE = 1e-6
_MOST_SKEW = 2.0  # standard deviations of the logarithm that are believed
_PATIENCE = 10.0  # times as long whoever waits is put off where nobody can be made to wait
_BACKLOG_EVERY_S = 60.0
_BACKLOG_HALF_LIFE_S = 14 * 86_400.0  # how long a long queue is remembered after it has gone
_LONGEST_S = 30 * 86_400.0  # whatever is at hand: a sweep for years makes nobody else wait as long


def dominant_share(needs: Needs, capacity: Capacity) -> float:
    """The largest part of any one resource that the needs take, 0..1."""
    shares = [needs.cpus / max(capacity.cpus, 1e-9), needs.mem_bytes / max(capacity.mem_bytes, 1)]
    if needs.gpus > 0 and capacity.devices:
        each = 1.0
        if needs.gpu_mem_bytes is not None:
            each = needs.gpu_mem_bytes / max(device.mem_bytes for device in capacity.devices)
        shares.append(needs.gpus * min(1.0, each) / len(capacity.devices))
    return max(_SMALLEST_SHARE, *shares)


def attained_s(job: Job, now: float) -> float:
    """The run time that is done and kept, with that of the present attempt."""
    state = job.state
    return job.attained_s + (max(0.0, now - state.started_at) if isinstance(state, Running) else 0.0)


def left_s(job: Job, now: float, *, optimistic: bool = False) -> float:
    """How long it is still expected to run; what has outlived that, for half as long again.

    `optimistic`: of a job that has never run, the least that is plausible.
    """
    done_s = attained_s(job, now)
    run_s = planned_run_s(job)
    if run_s is None:
        run_s = UNKNOWN_RUN_S
    if optimistic and job.attempts == 0 and job.forecast is not None:
        run_s = job.forecast.shortest_s
    return max(run_s - done_s, 0.5 * done_s, 1.0)


def waited_s(job: Job, now: float) -> float:
    """All the time in which it was ready to run and made no progress that is kept."""
    return max(0.0, now - job.submitted_at - job.idle_s - attained_s(job, now))


def overdue(world: World) -> list[Job]:
    """The jobs that have waited for too long, running ones included, who has waited longest first.

    Too long is longer than the longest wait that first come, first served would lately have made: that is
    the work at hand as it was at its most. What such a job then does to others is bounded by the same work,
    so nobody waits much longer than in the order of arrival, while most wait far shorter.
    """
    rules, now = world.settings, world.now
    if not rules.learned_order or rules.overdue_times <= 0:
        return []
    after_s = overdue_after_s(world)
    late = [
        (-waited_s(job, now), job.id, job)
        for job in world.jobs.values()
        if isinstance(job.state, Queued | Running) and waited_s(job, now) >= after_s
    ]
    return [job for _, _, job in sorted(late, key=lambda each: each[:2])]


def overdue_after_s(world: World) -> float:
    """The wait after which a job is overdue.

    Who goes first holds up all others for as long as its place takes to become free: see `patience`.
    """
    rules = world.settings
    return patience(world) * max(rules.overdue_s, rules.overdue_times * world.backlog_s)


def patience(world: World) -> float:
    """How many times as long it takes until a wait, or what others have used, counts against the order by
    size: 1 where every job can be made to wait at any time, more with each that cannot."""
    return 1.0 + (_PATIENCE - 1.0) * _cannot_wait(world) / max(len(world.jobs), 1)


def all_can_wait(world: World) -> bool:
    """Whether every job of the world can be made to wait at any time."""
    return _cannot_wait(world) == 0


def _cannot_wait(world: World) -> int:
    return sum(not (world.settings.evict and job.can_save) for job in world.jobs.values())


def _mean_left_s(job: Job, now: float) -> float:
    made = job.forecast
    if made is None:
        return left_s(job, now)
    done_s = attained_s(job, now)
    limit_s = job.spec.needs.time_limit_s
    mean_s = made.run_s * math.exp(min(made.spread, _MOST_SKEW) ** 2 / 2)
    if limit_s is not None:
        mean_s = min(mean_s, limit_s)
    return max(mean_s - done_s, 0.5 * done_s, 1.0)


def work_at_hand_s(world: World) -> float:
    """How long the most wanted resource takes for all that runs and waits, as far as the world knows it.

    Run times are skewed: their sum goes by means, of a log-normal, where an order goes by what is usual.
    """
    cpus = mem = gpus = 0.0
    seen = sum(isinstance(job.state, Queued) for job in world.jobs.values())
    as_many = 1.0 + (world.queued_outside_window or 0) / max(
        seen, 1
    )  # each that is seen stands for so many that wait
    for job in world.jobs.values():
        if not isinstance(job.state, Queued | Running):
            continue
        left, needs = _mean_left_s(job, world.now), job.needs
        if isinstance(job.state, Queued):
            left *= as_many
        cpus += left * needs.cpus
        mem += left * needs.mem_bytes
        gpus += left * needs.gpus
    capacity = world.capacity
    return max(
        cpus / max(capacity.cpus, 1e-9),
        mem / max(capacity.mem_bytes, 1),
        gpus / max(len(capacity.devices), 1),
    )


def with_backlog(world: World) -> World:
    """The world with its backlog brought up to its moment, once a minute."""
    now = world.now
    passed_s = now - world.backlog_at
    if 0 <= passed_s < _BACKLOG_EVERY_S:
        return world
    left = 0.5 ** (max(0.0, passed_s) / _BACKLOG_HALF_LIFE_S)
    most_s = max(world.backlog_s * left, work_at_hand_s(world))
    return replace(world, backlog_s=min(_LONGEST_S, most_s), backlog_at=now)


@dataclass(frozen=True, slots=True)
class Score:
    """Why a job stands where it does: `value` is the product of the rest, `age` divides."""

    left_s: float
    share: float
    usage: float  # 1 for who has used little, up to 3
    age: float  # 1 for who has just come, rising with the wait
    priority: float  # halves with each step

    @property
    def value(self) -> float:
        return self.left_s * self.share * self.usage / self.age * self.priority


@dataclass(slots=True)
class Order:
    """Scores jobs of one world; what is the same for many jobs is worked out once."""

    now: float
    capacity: Capacity
    ageing_s: float
    fair_weight: float
    _heavy: Mapping[str, float]
    _shares: dict[tuple[float, int, int, int | None], float]

    @staticmethod
    def of(world: World) -> Order:
        rules, times = world.settings, patience(world)
        weight = rules.fair_weight / times
        heavy = _heaviness(world.usage, weight)
        return Order(world.now, world.capacity, rules.ageing_s * times, weight, heavy, {})

    def score(self, job: Job, *, optimistic: bool = False) -> Score:
        left = left_s(job, self.now, optimistic=optimistic)
        waited_s = max(0.0, self.now - job.state.since_at) if isinstance(job.state, Queued) else 0.0
        run_s = planned_run_s(job) or UNKNOWN_RUN_S
        return Score(
            left,
            self.share(job.needs),
            self._heavy.get(job.spec.user, 1.0),
            1.0 + waited_s / max(20 * run_s, self.ageing_s),
            2.0 ** (_USUAL_PRIORITY - job.spec.priority),
        )

    def share(self, needs: Needs) -> float:
        key = needs.cpus, needs.mem_bytes, needs.gpus, needs.gpu_mem_bytes
        if key not in self._shares:
            self._shares[key] = dominant_share(needs, self.capacity)
        return self._shares[key]

    def sort_key(self, job: Job) -> tuple[float, float, int]:
        return self.score(job).value, job.submitted_at, job.id

    def claim(self, job: Job) -> float:
        """How much box time a waiting job at least needs: what it may claim from those that run."""
        score = self.score(job, optimistic=True)
        return score.left_s * score.share * score.usage * score.priority

    def remaining(self, job: Job) -> float:
        """How much box time a running job is still expected to take."""
        score = self.score(job)
        return score.left_s * score.share * score.priority


def _heaviness(usage: Mapping[str, float], weight: float) -> Mapping[str, float]:
    """By user: 1, and more for those who used more than the mean of the active ones."""
    active = [used for used in usage.values() if used > 1.0]
    if not active:
        return {}
    mean = max(1.0, sum(sorted(active)) / len(active))
    return {user: 1.0 + weight * min(8.0, used / mean) for user, used in usage.items()}


def accrued(world: World, now: float) -> Mapping[str, float]:
    """Each user's decayed dominant-share seconds at `now`, with those of what has run since."""
    passed_s = max(0.0, now - world.usage_at)
    decay = 0.5 ** (passed_s / world.settings.usage_half_life_s)
    later = {user: left for user, used in world.usage.items() if (left := used * decay) > 0.01}
    for job in world.jobs.values():
        if isinstance(job.state, Running):
            share = dominant_share(job.needs, world.capacity)
            later[job.spec.user] = later.get(job.spec.user, 0.0) + share * passed_s
    return later
