"""The loop of a controller: queues what Optuna proposes, tells it what came of it, stops what is worse.

It decides nothing about when a trial runs: it keeps a few waiting, and the scheduler starts them. It has no
state of its own; a new one reads the trials from the store and tells Optuna everything again.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Mapping, Sequence
from types import FrameType

from jobs.client import Client
from jobs.core.jobs import PRUNED, Ended, Job, JobId, Running, Waiting
from jobs.core.ports import BadInput, StateUnavailable, WrongState
from jobs.core.requests import NeedsRequest, SubmitRequest
from jobs.installation.notify import Subscription
from jobs.kinds.optimization import AHEAD, OptimizationPlan, outcome, plan_of, trial_name, why_failed
from jobs.programs.optimizer.study import Study
from jobs.records.curves import read_curves
from jobs.records.report import report
from jobs.runtime import job_folder
from jobs.store import captured_variables

LOOK_EVERY_S = 0.5  # at what trials report; ends ring
STOPPED = 143


def run(client: Client, me: JobId) -> int:
    """0 when at least one trial ended well, 1 when none did, 143 when told to stop. Raises BadInput."""
    job = client.jobs.get(me)
    plan = plan_of(job)
    if plan is None:
        raise BadInput(f"The plan of job {me} cannot be read.", "Submit it again.")
    controller = Controller(client, job, plan)
    with contextlib.closing(client.scheduler.watch()) as watcher:
        return controller.run(watcher)


class Controller:
    def __init__(self, client: Client, job: Job, plan: OptimizationPlan) -> None:
        self._client, self._me, self._plan = client, job.id, plan
        kept = captured_variables.path_of(client.home.captured_variables, job.spec.env_digest)
        self._environ: Mapping[str, str] = json.loads(kept.read_text(encoding="utf-8"))
        self._stopped = False
        self._phase = ""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        self._stopped = self._is_cancelled()  # a signal before this was not heard
        self._group = client.groups.lead(job)
        self._begin()

    def _begin(self) -> None:
        """Read all trials, and tell a new study what is known of them."""
        found = self._client.groups.trials(self._group)
        self._study = Study(self._plan, len(found))
        self._numbers: dict[JobId, int] = {}
        self._told: set[JobId] = set()
        self._pruned = self._failed = 0
        self._sizes: dict[JobId, int] = {}
        self._best: tuple[float, JobId] | None = None
        for job in found:
            self._numbers[job.id], _ = self._study.ask(dict(job.spec.params))
        if found:
            _say(f"{len(found)} trials are there already")

    def run(self, watcher: Subscription) -> int:
        while not self._stopped:
            try:
                if self._look():
                    return 0 if self._best else 1
            except StateUnavailable as error:
                _say(str(error))
                with contextlib.suppress(StateUnavailable):
                    self._begin()
            watcher.wait(LOOK_EVERY_S)
        return self._leave()

    def _look(self) -> bool:
        """Take in what happened and queue what is missing; whether all is done."""
        jobs = self._client.groups.trials(self._group, self._numbers.keys() - self._told)
        for job in jobs:
            if isinstance(job.state, Ended):
                self._tell(job)
            elif isinstance(job.state, Running) and job.state.cancel_requested_at is None:
                self._watch(job)
        waiting = sum(isinstance(job.state, Waiting) for job in jobs)
        left = self._plan.trials - len(self._numbers)
        wanted = min(AHEAD - waiting, left)
        if wanted > 0 and not self._is_cancelled():  # trials that are cancelled with it get no successors
            for _ in range(wanted):
                self._queue()
        self._publish(jobs)
        return len(self._told) >= self._plan.trials

    def _queue(self) -> None:
        number, params = self._study.ask()
        request = SubmitRequest(
            **{
                **self._plan.request,
                "recipe": self._plan.recipe,
                "params": {**self._plan.fixed, **params},
                "name": trial_name(self._plan, number + 1, params),
                "env": self._environ,
                "needs": NeedsRequest(**self._plan.needs),
            }
        )
        (job_id,) = self._client.jobs.submit([request], trials_of=self._group)
        self._numbers[job_id] = number
        _say(f"#{job_id} {request.name}")

    def _watch(self, job: Job) -> None:
        """Read what a running trial reports, and stop it when the pruner says so."""
        number = self._numbers[job.id]
        self._report(job)
        if self._study.is_worse(number):
            cause = f"{PRUNED}: others did better"
            with contextlib.suppress(WrongState):
                self._client.jobs.cancel([job.id], cause=cause)
                _say(f"#{job.id} {cause}")

    def _report(self, job: Job) -> None:
        path = self._client.home.attempt(job.id, max(1, job.attempts)) / job_folder.EVENTS
        with contextlib.suppress(OSError):
            size = path.stat().st_size
            if size != self._sizes.get(job.id):
                self._sizes[job.id] = size
                curve = read_curves(path, None).get(self._plan.metric, ())
                points = {int(at): value for at, value in reversed(curve) if at >= 0}  # the first of a step
                self._study.report(self._numbers[job.id], dict(sorted(points.items())))

    def _tell(self, job: Job) -> None:
        if job.id in self._told:
            return
        self._report(job)
        found = outcome(job, self._plan.metric)
        self._study.tell(self._numbers[job.id], found)
        self._told.add(job.id)
        value = found.value
        if value is None:
            if found.pruned:
                self._pruned += 1
            else:
                self._failed += 1
                _say(f"#{job.id} counts for nothing: {why_failed(job, self._plan.metric)}")
        else:
            sign = 1 if self._plan.better == "max" else -1
            if self._best is None or sign * value > sign * self._best[0]:
                self._best = value, job.id
            _say(f"#{job.id} {self._plan.metric} {value:.6g}, best #{self._best[1]} {self._best[0]:.6g}")

    def _publish(self, jobs: Sequence[Job]) -> None:
        """How far it is, for lists and screens; the best value becomes the controller's own metric."""
        running = sum(isinstance(job.state, Running) for job in jobs)
        said = [f"{len(self._told)}/{self._plan.trials}"]
        if self._best is not None:
            said.append(f"best #{self._best[1]}")
        counts = {"running": running, "pruned": self._pruned, "failed": self._failed}
        phase = ", ".join(said + [f"{count} {name}" for name, count in counts.items() if count])
        if phase == self._phase:
            return
        self._phase = phase
        event: dict[str, object] = {"progress": len(self._told) / self._plan.trials, "phase": phase}
        if self._best is not None:
            event[self._plan.metric] = self._best[0]
        report(event)

    def _leave(self) -> int:
        """Told to stop: when a person asked for it, the trials are stopped as well."""
        if self._is_cancelled():
            for job in self._client.groups.trials(self._group):
                if not isinstance(job.state, Ended):
                    with contextlib.suppress(WrongState):
                        self._client.jobs.cancel([job.id], cause="its optimization was cancelled")
        _say("stopped")
        return STOPPED

    def _is_cancelled(self) -> bool:
        """Whether somebody has asked for this job to be stopped."""
        state = self._client.jobs.get(self._me).state
        return isinstance(state, Running) and state.cancel_requested_at is not None

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopped = True


def _say(text: str) -> None:
    print(text, flush=True)


def own_job() -> JobId:
    """Which job this process is. Raises BadInput outside of the queue."""
    try:
        return JobId(int(os.environ["CRO_JOB_ID"]))
    except (KeyError, ValueError):
        raise BadInput("This runs as a job.", "Use: cro-tui submit RECIPE --optimize METRIC") from None
