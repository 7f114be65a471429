"""Waiting for jobs to end, woken by a bell instead of asking again and again.

One look at one job per ring, however many jobs are waited for. Reads only.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import get_args

from jobs.client.connection import Connection
from jobs.core.jobs import Ended, JobId
from jobs.core.ports import StateUnavailable
from jobs.installation.notify import Subscription
from jobs.store.intents import no_such_job

ENDED = frozenset(kind.name for kind in get_args(Ended))
_LOOK_EVERY_S = 1.0  # without a ring


def until_ended(
    ids: Sequence[JobId], connection: Connection, subscription: Subscription, timeout_s: float | None
) -> bool:
    """Whether all of them ended within the time. Raises NoSuchJob, and StateUnavailable without a
    scheduler."""
    left = list(dict.fromkeys(ids))[::-1]
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    with connection.view() as view:
        known = view.states(left)
    for job_id in ids:
        if job_id not in known:
            raise no_such_job(job_id)
    while True:
        with connection.view() as view:
            while left and view.states(left[-1:]).get(left[-1]) in ENDED:
                left.pop()
        rest_s = _LOOK_EVERY_S if deadline is None else min(_LOOK_EVERY_S, deadline - time.monotonic())
        if not left or rest_s <= 0:
            return not left
        if not subscription.wait(rest_s) and not connection.scheduler().running:
            raise StateUnavailable(
                f"Job {left[-1]} cannot end: the scheduler is not running.", "Start it with: cro-tui daemon"
            )
