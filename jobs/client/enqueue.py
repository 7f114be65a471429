"""Puts resolved jobs into the queue: all of them or none, in one write.

What can never fit this machine is refused first; then environments that are missing get their builds.
"""

from __future__ import annotations

from collections.abc import Sequence

from jobs.client.connection import Connection
from jobs.client.environment_builds import built_first
from jobs.core.jobs import JobId, JobSpec, Needs
from jobs.core.ports import NeverFits
from jobs.store.intents import NewGroup


def enqueue(
    specs: Sequence[JobSpec],
    connection: Connection,
    *,
    sweep: bool = False,
    group: NewGroup | None = None,
) -> tuple[JobId, ...]:
    """Queue the jobs, and return their ids in order. See `Intents.submit` for `sweep` and `group`.

    Raises NeverFits with the numbers, NoSuchJob for an unknown dependency, StateUnavailable.
    """
    if not specs:
        return ()
    _refuse_what_never_fits(specs, connection)
    specs = built_first(specs, connection)
    with connection.view() as view:
        specs = view.with_expected(specs)
    with connection.writer() as intents:
        return intents.submit(specs, connection.now(), sweep=sweep, group=group)


def common_name(specs: Sequence[JobSpec]) -> str:
    """What the jobs of a sweep are called without what differs: "forest depth=3", "forest depth=4"."""
    names = [spec.name for spec in specs]
    words = zip(min(names).split(" "), max(names).split(" "), strict=False)
    common = [first for first, last in words if first == last]
    return " ".join(common) or specs[0].recipe or specs[0].name


def _refuse_what_never_fits(specs: Sequence[JobSpec], connection: Connection) -> None:
    """Raises NeverFits."""
    from jobs.policy.limits import never_fits

    capacity = connection.machine().capacity(connection.scheduler())
    first: dict[Needs, JobSpec] = {}
    for spec in specs:  # the jobs of a sweep mostly ask for the same
        first.setdefault(spec.needs, spec)
    for spec in first.values():
        if tight := never_fits(capacity, connection.settings.admission, spec.needs):
            from jobs.client.forecast import sentences

            which = f"{spec.name}: " if len(specs) > 1 else ""
            advice = "Ask for less, or use a bigger machine."
            if spec.needs.gpus and not capacity.devices:
                advice = "cro-tui doctor says which GPUs are here, and why they cannot be used."
            raise NeverFits(which + sentences(tight), advice)
