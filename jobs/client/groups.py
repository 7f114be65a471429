"""`client.groups`: sweeps and optimizations: how far one is, its runs, one request for all of its jobs.

A group is named by any of its jobs, or by a controller: an unknown job raises NoSuchJob, one that belongs
to no group WrongState. A request reaches the jobs that it suits at that moment; those that have just ended
are passed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from jobs.client.connection import Connection
from jobs.client.jobs import priority_change
from jobs.client.recipes import Recipes
from jobs.core.jobs import Job, JobId, StateName
from jobs.core.kinds import JobKind
from jobs.core.ports import WrongState
from jobs.core.requests import JobGroup
from jobs.store.intents import SUITS, IntentKind

if TYPE_CHECKING:
    from jobs.core.sweeps import GroupRuns, SweepSummary
    from jobs.store.queries import View

_FAILED = frozenset({StateName.FAILED, StateName.TIMED_OUT, StateName.OUT_OF_MEMORY, StateName.LOST})
_STOPPED = frozenset({StateName.CANCELLED})


class Groups:
    def __init__(self, connection: Connection, recipes: Recipes) -> None:
        self._connection = connection
        self._recipes = recipes

    def get(self, job_id: JobId) -> JobGroup:
        """The group that a job belongs to: its size, its jobs by state, its best metric."""
        with self._connection.view() as view:
            return _group(view, view.job(job_id))

    def summary(self, job_id: JobId) -> SweepSummary:
        """What came of a sweep or an optimization so far: the parameters that vary, the best jobs."""
        from jobs.core.sweeps import LOOKED_AT, sweep_of

        with self._connection.view() as view:
            group = _group(view, view.job(job_id))
            found = view.members(group.id, LOOKED_AT)
        optimized = group.controller is not None
        counts = Counter(job.state.name for job in found) if optimized else group.counts
        return sweep_of((group.id, group.size), found, counts, self._judged_by(group), optimized=optimized)

    def runs(self, job_id: JobId) -> GroupRuns:
        """All of its runs in short, parameters beside metrics: what parallel coordinates show."""
        from jobs.core.sweeps import MOST_RUNS, runs_of

        with self._connection.view() as view:
            group = _group(view, view.job(job_id))
            found = view.runs(group.id, MOST_RUNS)
        return runs_of(group.id, group.name, group.size, found, self._judged_by(group))

    def ids(self, job_id: JobId, states: frozenset[StateName]) -> tuple[JobId, ...]:
        """Those of its jobs that are in one of these states, of an optimization its controller first."""
        with self._connection.view() as view:
            group = _group(view, view.job(job_id))
            ids = view.ids_in(group.id, states)
            first = [] if group.controller is None else view.get([group.controller])
        return (*(job.id for job in first if job.state.name in states), *ids)

    def failed(self, job_id: JobId) -> tuple[Job, ...]:
        """Its jobs that failed and have no retry yet; if none did, those that were stopped.

        Of an optimization that is its controller, which continues where it was.
        """
        with self._connection.view() as view:
            group = _group(view, view.job(job_id))
            if group.controller is not None:
                ended = _FAILED | _STOPPED
                return tuple(job for job in view.get([group.controller]) if job.state.name in ended)
            ids = view.ids_in(group.id, _FAILED, unretried=True)
            return tuple(view.get(ids or view.ids_in(group.id, _STOPPED, unretried=True)))

    def lead(self, job: Job) -> JobId:
        """The id that an optimization's trials are queued under: its first controller. Raises WrongState
        for a job of none."""
        with self._connection.view() as view:
            lead = _lead(view, job)
            if lead is None and job.spec.kind is JobKind.OPTIMIZATION:  # its first trial makes the group
                lead = view.first_of(job.id)
        if lead is None:
            raise WrongState(f"Job {job.id} is no optimization.", "List the jobs to see which is.")
        return lead

    def trials(self, lead: JobId, ids: Iterable[JobId] | None = None) -> tuple[Job, ...]:
        """The jobs that an optimization has queued, by id; with `ids` those alone, which is quicker."""
        from jobs.kinds.optimization import MOST_TRIALS

        with self._connection.view() as view:
            return tuple(view.members(lead, MOST_TRIALS) if ids is None else view.get(ids))

    def cancel(self, job_id: JobId) -> int:
        """Stop all of its jobs; how many that are."""
        return self._control(IntentKind.CANCEL, job_id)

    def hold(self, job_id: JobId) -> int:
        """Keep its queued jobs from starting and pause the running ones; how many that are."""
        return self._control(IntentKind.HOLD, job_id)

    def release(self, job_id: JobId) -> int:
        """Queue its held jobs and resume the paused ones; how many that are."""
        return self._control(IntentKind.RELEASE, job_id)

    def set_priority(self, job_id: JobId, value: int | None = None, *, delta: int | None = None) -> int:
        """Set (0..100) or shift the priority of its waiting jobs; how many that are. Raises BadInput."""
        return self._control(IntentKind.PRIORITY, job_id, priority_change(value, delta))

    def _control(self, kind: IntentKind, job_id: JobId, body: object = None) -> int:
        ids = self.ids(job_id, SUITS[kind])
        with self._connection.writer() as intents:
            return intents.control(kind, ids, self._connection.now(), body, unsuited=True)

    def _judged_by(self, group: JobGroup) -> tuple[tuple[str, str], ...]:
        """Its metrics, and which end of each is better: as the recipe was when it was queued, if known."""
        return group.judged_by or tuple(self._recipes.better_metrics(group.foremost.spec.recipe).items())


def _lead(view: View, job: Job) -> JobId | None:
    """Under which id its group stands: of a controller that is the first one."""
    if job.spec.group is not None:
        return JobId(job.spec.group[0])
    return view.lead_of_controller(job.id)


def _group(view: View, job: Job) -> JobGroup:
    lead = _lead(view, job)
    found = None if lead is None else view.group(lead)
    if found is None:
        raise WrongState(f"Job {job.id} belongs to no sweep.", "List the jobs to see which do.")
    return found
