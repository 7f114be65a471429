"""The only place where the state of a job changes.

`step` is pure: it takes the world and one event, and answers with the next world and the effects that a
shell has to perform. It never acts, never reads a clock and never raises for an event that comes late,
twice or in an unexpected order.
"""

from __future__ import annotations

from jobs.events import Effect, Event
from jobs.world import World


def step(world: World, event: Event) -> tuple[World, tuple[Effect, ...]]:
    """Apply one event; the world's `now` becomes the event's `at`."""
    raise NotImplementedError


def wants_head(world: World) -> bool:
    """Whether so few waiting jobs are left in the world that the store should be asked for HeadLoaded."""
    raise NotImplementedError


def unfinished(world: World) -> tuple[Effect, ...]:
    """What a restarted shell asks of the executor again (stops and pauses that may not have been done)."""
    raise NotImplementedError
