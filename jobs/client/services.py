"""`client.services`: registered models that answer over HTTP, each as a job, until it is cancelled."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from typing import TYPE_CHECKING

from jobs.client.connection import Connection
from jobs.client.jobs import Jobs
from jobs.client.models import Models
from jobs.client.runs import Runs
from jobs.core.jobs import Active, Ended, Job, JobId, StateName
from jobs.core.kinds import JobKind
from jobs.core.ports import StateUnavailable
from jobs.core.requests import JobQuery, NeedsRequest, SubmitRequest

if TYPE_CHECKING:
    from jobs.kinds.service import Service

_MOST = 1_000
_GRACE_S = 12.0
_LOOK_EVERY_S = 0.1  # whether it answers: nobody rings when it does
_ANY_NEEDS = NeedsRequest()
_NOT_ENDED = frozenset(
    {StateName.QUEUED, StateName.HELD, StateName.STARTING, StateName.RUNNING, StateName.PAUSED}
)


class Services:
    def __init__(self, connection: Connection, jobs: Jobs, runs: Runs, models: Models) -> None:
        self._connection = connection
        self._models_folder = str(connection.home.models)
        self._jobs = jobs
        self._runs = runs
        self._models = models

    def serve(
        self,
        reference: str,
        needs: NeedsRequest = _ANY_NEEDS,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token_sha256: str = "",
        native: bool = False,
        log_predictions: bool = False,
    ) -> JobId:
        """Queue a service job for what the reference means, now and when its alias moves.

        `port` 0 takes a free one; `token_sha256` is the hexadecimal digest of the token that requests have
        to send; `native` keeps the model as it is instead of compiling it. Raises BadInput (no such model;
        another address than this machine's own without a token), NeverFits.
        """
        from jobs.kinds.service import ServiceRequest, argv, checked

        self._models.get(reference)
        service = checked(
            ServiceRequest(
                self._models_folder, reference, host, port, token_sha256, native, log_predictions
            )
        )
        request = SubmitRequest(
            argv=argv(sys.executable, service),
            name=f"serve {reference}",
            cwd=self._models_folder,
            needs=needs,
            grace_s=_GRACE_S,
            on_reboot="requeue",
            kind=JobKind.SERVICE,
        )
        return self._jobs.submit([request])[0]

    def wait(self, job_id: JobId, timeout_s: float | None = None) -> Service | None:
        """What a service says of itself, as soon as it answers; None when its job ends first, and at the
        time-out.

        Raises NoSuchJob, and StateUnavailable while no scheduler runs that could start it.
        """
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while True:
            job = self._jobs.get(job_id)
            service = self.of_job(job)
            if service is not None or isinstance(job.state, Ended) or time.monotonic() >= deadline:
                return service
            if not self._connection.scheduler().running:
                raise StateUnavailable(
                    f"Job {job_id} waits, and no scheduler runs.", "Start one: cro-tui daemon"
                )
            time.sleep(_LOOK_EVERY_S)

    def list(self) -> tuple[tuple[Job, Service | None], ...]:
        """Every service job that has not ended, and what it says of itself once it is ready."""
        query = JobQuery(states=_NOT_ENDED, kinds=frozenset({JobKind.SERVICE}), limit=_MOST)
        return tuple((job, self.of_job(job)) for job in self._jobs.list(query))

    def of_job(self, job: Job) -> Service | None:
        """What a service job says of itself, its `url` among it; None until it is ready, and once it has
        ended."""
        from jobs.kinds.service import SERVICE, service_of

        if isinstance(job.state, Active):
            with contextlib.suppress(OSError):
                return service_of((self._runs.output_dir(job.id) / SERVICE).read_bytes())
        return None
