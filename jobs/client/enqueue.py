"""Puts resolved jobs into the queue: all of them or none, in one write.

What can never fit this machine is refused first; then environments that are missing get their builds.
"""

from __future__ import annotations

from collections.abc import Sequence

from jobs.client.batch import Batch
from jobs.client.connection import Connection
from jobs.client.environment_builds import built_first
from jobs.core.jobs import JobId, JobSpec, Needs
from jobs.core.ports import NeverFits
from jobs.store.intents import NewGroup


def enqueue(
    specs: Sequence[JobSpec],
    batch: Batch,
    connection: Connection,
    *,
    sweep: bool = False,
    group: NewGroup | None = None,
) -> tuple[JobId, ...]:
    """Queue the jobs, and return their ids in order: as a `sweep` they are a group of their own, else the
    first of them may be the controller of a `group`.

    Raises NeverFits with the numbers, NoSuchJob for an unknown dependency, StateUnavailable.
    """
    if not specs:
        return ()
    first: dict[Needs, JobSpec] = {}
    for spec in specs:  # the jobs of a sweep mostly ask for the same
        first.setdefault(spec.needs, spec)
    for spec in first.values():
        if too_large := batch.too_large(spec.needs):
            which = f"{spec.name}: " if len(specs) > 1 else ""
            raise NeverFits(which + too_large, batch.advice(spec.needs))
    if sweep:
        recipe = batch.recipe_of(specs[0].recipe or "")
        group = NewGroup(_common_name(specs), len(specs), getattr(recipe, "metrics", ()))
    environments = {python: batch.environment_of(python) for python in {spec.argv[0] for spec in specs}}
    if any(environments.values()):
        specs = built_first(specs, environments, connection)
    with connection.view() as view:
        specs = view.with_expected(specs)
    with connection.writer() as intents:
        return intents.submit(specs, connection.now(), sweep=sweep, group=group)


def _common_name(specs: Sequence[JobSpec]) -> str:
    """What the jobs of a sweep are called without what differs: "forest depth=3", "forest depth=4"."""
    names = [spec.name for spec in specs]
    words = zip(min(names).split(" "), max(names).split(" "), strict=False)
    common = [first for first, last in words if first == last]
    return " ".join(common) or specs[0].recipe or specs[0].name
