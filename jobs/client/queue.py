"""Queueing and controlling jobs: a wish is checked, then written as an intent, all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from jobs.client.environments import Environments
from jobs.core.jobs import Ended, GroupRef, Held, Job, JobId, JobSpec, Needs, Queued
from jobs.core.ports import BadInput, NeverFits, WrongState
from jobs.core.requests import NeedsRequest, Preview, SubmitRequest
from jobs.installation import daemon_lock
from jobs.installation.settings import HIGHEST_PRIORITY, LOWEST_PRIORITY
from jobs.store.intents import IntentKind, NewGroup, no_such_job

if TYPE_CHECKING:
    from jobs.client.resolve import Resolver


class Queueing(Environments):
    def submit(
        self, requests: Sequence[SubmitRequest], *, sweep: bool = False, trials_of: JobId | None = None
    ) -> tuple[JobId, ...]:
        """Queue all of them or none, and return their ids in order; as a `sweep` they belong together;
        `trials_of` names the controller of an optimisation, which they then belong to.

        When it returns, the jobs survive a crash and a power cut, with or without a running scheduler
        (it does not start one: see `ensure_daemon`). Raises BadInput with what to type instead, NeverFits
        with the numbers, NoSuchJob for an unknown dependency.
        """
        resolver = self._resolver()
        specs: list[JobSpec] = []
        last: SubmitRequest | None = None
        for number, request in enumerate(requests, 1):
            if request is last:
                specs.append(specs[-1])
                continue
            spec, problems = resolver.resolve(request, keep=True)
            if spec is None:
                which = f"Job {number} of {len(requests)}: " if len(requests) > 1 else ""
                raise BadInput(which + " ".join(problems.values()))
            specs.append(spec)
            last = request
        if trials_of is not None:
            specs = [replace(spec, group=GroupRef(trials_of, 0)) for spec in specs]
        if not sweep:
            return self._queue(specs)
        group = NewGroup(_common_name(specs), len(specs), self._better(specs[0]))
        return self._queue(specs, sweep=True, group=group)

    def preview(self, request: SubmitRequest) -> Preview:
        """What would happen to the request now; wrong fields are its `problems`, never an exception."""
        from jobs.client import forecast

        resolver = self._resolver()
        spec, problems = resolver.resolve(request, keep=False)
        if spec is None:
            return Preview(problems=problems)
        now, machine, status = self._clock(), self._measuring(), daemon_lock.look(self.home.scheduler_lock)
        sample = machine.sample(now, status)
        with self._reading().snapshot() as view:
            known = view.states([after.job_id for after in spec.after])
            unknown = [after.job_id for after in spec.after if after.job_id not in known]
            if unknown:
                return Preview(spec.needs, problems={"after": no_such_job(unknown[0]).title})
            (spec,) = view.with_expected([spec])
            job = Job(view.next_id(), spec, Held(now) if spec.start_held else Queued(now), now)
            found = forecast.preview(
                job, view, machine, status, rules=self.settings.admission, sample=sample
            )
        return replace(found, builds=self._builds(spec))

    def retry(self, ids: Iterable[JobId], needs: NeedsRequest | None = None) -> tuple[JobId, ...]:
        """Queue each ended job again as a new job (`spec.retry_of`), and return the new ids in order.

        `needs` replaces what the person asked for, field by field. A dependency on a job that was itself
        retried becomes one on its newest retry. Raises NoSuchJob, NotNow (it has not ended), BadInput.
        """
        from jobs.client.resolve import retried

        specs = []
        with self._reading().snapshot() as view:
            for job_id in dict.fromkeys(ids):
                job = view.job(job_id)
                if not isinstance(job.state, Ended):
                    state = job.state.name.replace("_", " ")
                    raise WrongState(f"Job {job_id} is {state}: only an ended job can be retried.")
                specs.append(retried(job, needs, view.newest_retry, self.home))
        return self._queue(specs)

    def cancel(self, ids: Iterable[JobId], *, cause: str = "") -> None:
        """Stop running jobs and take waiting ones out; `cause` says why when it was not a person.

        Raises NoSuchJob, NotNow (already ended).
        """
        self._control(IntentKind.CANCEL, ids, cause or None)

    def hold(self, ids: Iterable[JobId]) -> None:
        """Keep queued jobs from starting, and pause running ones. Raises NoSuchJob, NotNow."""
        self._control(IntentKind.HOLD, ids)

    def release(self, ids: Iterable[JobId]) -> None:
        """Let held jobs queue and paused ones go on. Raises NoSuchJob, NotNow."""
        self._control(IntentKind.RELEASE, ids)

    def set_priority(
        self, ids: Iterable[JobId], value: int | None = None, *, delta: int | None = None
    ) -> None:
        """Set (0..100) or shift the priority of waiting jobs; a shift stops at the ends of the range.

        Raises BadInput (outside 0..100, or not exactly one of both), NoSuchJob, NotNow (not waiting).
        """
        self._control(IntentKind.PRIORITY, ids, self._priority(value, delta))

    @staticmethod
    def _priority(value: int | None, delta: int | None) -> dict[str, int | None]:
        """What the scheduler reads. Raises BadInput."""
        if (value is None) == (delta is None):
            raise BadInput("Give either a priority or a shift, not both.")
        if value is not None and not LOWEST_PRIORITY <= value <= HIGHEST_PRIORITY:
            raise BadInput(f"The priority must be a whole number from 0 to 100, not {value}.")
        return {"value": value} if delta is None else {"delta": delta}

    def drain(self, on: bool) -> None:
        """While on, nothing new starts; running jobs go on."""
        with self._writer() as intents:
            intents.drain(on, self._clock())

    def _resolver(self) -> Resolver:
        from jobs.client.resolve import Resolver

        self.home.make()
        return Resolver(self.home, self.settings, self._environ, self.recipes)

    def _queue(
        self, specs: Sequence[JobSpec], *, sweep: bool = False, group: NewGroup | None = None
    ) -> tuple[JobId, ...]:
        from jobs.policy.limits import never_fits

        if not specs:
            return ()
        capacity, rules = self.capacity(), self.settings.admission
        first: dict[Needs, JobSpec] = {}
        for spec in specs:  # the jobs of a sweep mostly ask for the same
            first.setdefault(spec.needs, spec)
        for spec in first.values():
            if tight := never_fits(capacity, rules, spec.needs):
                from jobs.client.forecast import sentences

                which = f"{spec.name}: " if len(specs) > 1 else ""
                advice = "Ask for less, or use a bigger machine."
                if spec.needs.gpus and not capacity.devices:
                    advice = "cro-tui doctor says which GPUs are here, and why they cannot be used."
                raise NeverFits(which + sentences(tight), advice)
        specs = self._built_first(specs)
        with self._reading().snapshot() as view:
            timed = view.with_expected(specs)
        with self._writer() as intents:
            return intents.submit(timed, self._clock(), sweep=sweep, group=group)

    def _control(self, kind: IntentKind, ids: Iterable[JobId], body: object = None) -> None:
        wanted = tuple(dict.fromkeys(ids))
        if wanted:
            with self._writer() as intents:
                intents.control(kind, wanted, self._clock(), body)


def _common_name(specs: Sequence[JobSpec]) -> str:
    """What the jobs of a sweep are called without what differs: "forest depth=3", "forest depth=4"."""
    first, last = (
        name.split(" ") for name in (min(spec.name for spec in specs), max(s.name for s in specs))
    )
    common = [one for one, other in zip(first, last, strict=False) if one == other]
    return " ".join(common) or specs[0].recipe or specs[0].name
