"""Groups of jobs, as a front end asks for them: how far one is, its runs, and one wish for all of its jobs.

A group is named by any of its jobs, or by a controller. What is wished for reaches the jobs that it suits
at that moment; those that have just ended are passed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from jobs.client.services import Serving
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


class Grouping(Serving):
    def group(self, job_id: JobId) -> JobGroup:
        """The group that a job belongs to, as its row says it. Raises NoSuchJob, NotNow (to none)."""
        with self._reading().snapshot() as view:
            return _group(view, view.job(job_id))

    def sweep(self, job_id: JobId) -> SweepSummary:
        """The sweep or optimisation that a job belongs to. Raises NoSuchJob, NotNow (to none)."""
        from jobs.core.sweeps import LOOKED_AT, sweep_of

        with self._reading().snapshot() as view:
            group = _group(view, view.job(job_id))
            found = view.members(group.id, LOOKED_AT)
        optimized = group.controller is not None
        judged_by = group.judged_by or self._better(group.foremost.spec)
        counts = Counter(job.state.name for job in found) if optimized else group.counts
        return sweep_of((group.id, group.size), found, counts, judged_by, optimized=optimized)

    def runs(self, job_id: JobId) -> GroupRuns:
        """All runs of its group, in short: what parallel coordinates show. Raises NoSuchJob, NotNow."""
        from jobs.core.sweeps import MOST_RUNS, runs_of

        with self._reading().snapshot() as view:
            group = _group(view, view.job(job_id))
            found = view.runs(group.id, MOST_RUNS)
        judged_by = group.judged_by or self._better(group.foremost.spec)
        return runs_of(group.id, group.name, group.size, found, judged_by)

    def sweep_ids(self, job_id: JobId, states: frozenset[StateName]) -> tuple[JobId, ...]:
        """Those jobs of its group that are in one of these states, of an optimisation its controller first.

        Raises NoSuchJob, NotNow.
        """
        with self._reading().snapshot() as view:
            group = _group(view, view.job(job_id))
            ids = view.ids_in(group.id, states)
            first = [] if group.controller is None else view.get([group.controller])
        return (*(job.id for job in first if job.state.name in states), *ids)

    def cancel_group(self, job_id: JobId) -> int:
        """Stop all of its jobs, and how many that are. Raises NoSuchJob, NotNow."""
        return self._ask_all(IntentKind.CANCEL, job_id)

    def hold_group(self, job_id: JobId) -> int:
        """Keep its queued jobs from starting and pause the running ones. Raises NoSuchJob, NotNow."""
        return self._ask_all(IntentKind.HOLD, job_id)

    def release_group(self, job_id: JobId) -> int:
        """Let its held jobs queue and the paused ones go on. Raises NoSuchJob, NotNow."""
        return self._ask_all(IntentKind.RELEASE, job_id)

    def set_group_priority(
        self, job_id: JobId, value: int | None = None, *, delta: int | None = None
    ) -> int:
        """Set or shift the priority of its waiting jobs, as of single ones.

        Raises BadInput, NoSuchJob, NotNow.
        """
        return self._ask_all(IntentKind.PRIORITY, job_id, self._priority(value, delta))

    def failed_in_group(self, job_id: JobId) -> tuple[Job, ...]:
        """Its jobs that failed and have no retry yet; if none did, those that were stopped.

        Of an optimisation that is its controller, which goes on where it was. Raises NoSuchJob, NotNow.
        """
        with self._reading().snapshot() as view:
            group = _group(view, view.job(job_id))
            if group.controller is not None:
                ended = _FAILED | _STOPPED
                return tuple(job for job in view.get([group.controller]) if job.state.name in ended)
            ids = view.ids_in(group.id, _FAILED, unretried=True)
            return tuple(view.get(ids or view.ids_in(group.id, _STOPPED, unretried=True)))

    def optimization(self, job: Job) -> JobId:
        """The first controller of an optimisation: what its trials are queued under. Raises NotNow."""
        with self._reading().snapshot() as view:
            lead = _lead(view, job)
            if lead is None and job.spec.kind is JobKind.OPTIMIZATION:  # its first trial makes the group
                lead = view.first_of(job.id)
        if lead is None:
            raise WrongState(f"Job {job.id} is no optimisation.", "List the jobs to see which is.")
        return lead

    def trials(self, controller: JobId, ids: Iterable[JobId] | None = None) -> tuple[Job, ...]:
        """The jobs that an optimisation has queued, by id; with `ids` those alone, which is quicker."""
        from jobs.kinds.optimization import MOST_TRIALS

        with self._reading().snapshot() as view:
            return tuple(view.members(controller, MOST_TRIALS) if ids is None else view.get(ids))

    def _ask_all(self, kind: IntentKind, job_id: JobId, body: object = None) -> int:
        ids = self.sweep_ids(job_id, SUITS[kind])
        with self._writer() as intents:
            return intents.control(kind, ids, self._clock(), body, unsuited=True)


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
