"""How good the estimated starts are: what each waiting job was told first, against when it started.

Keeps the last errors in memory; the cycle writes them down. It makes no estimate and decides nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from jobs.core.jobs import Job, JobId, Starting
from jobs.engine.events import ReasonsChanged
from jobs.policy.explain import estimate_error

_SCORED = 100  # estimates
_SOON_S = 5.0  # what starts sooner needs no estimate
_MOST_TOLD = 10_000


class Estimates:
    """`errors`: of the last estimates, each as a share of the wait that was foretold."""

    def __init__(self, errors: Iterable[float]) -> None:
        self.errors = deque(errors, maxlen=_SCORED)
        self._told: dict[JobId, tuple[float, float]] = {}

    def tell(self, told: ReasonsChanged, now: float) -> None:
        """A waiting job was told when it is expected to start; the first time counts."""
        at = told.estimated_start_at
        if at is not None and at - now >= _SOON_S and len(self._told) < _MOST_TOLD:
            self._told.setdefault(told.job_id, (now, at))

    def settle(self, job: Job) -> None:
        """A job starts, or waits no more: what it was told is over."""
        told = self._told.pop(job.id, None)
        if told is not None and isinstance(job.state, Starting):
            self.errors.append(estimate_error(*told, job.state.since_at))
