"""Service jobs, as a front end sees them: a registered model that answers until it is stopped."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from jobs.client.models import Models
from jobs.client.queue import Queueing
from jobs.core.jobs import Active, Job, JobId, StateName
from jobs.core.kinds import JobKind
from jobs.core.requests import JobQuery, NeedsRequest, SubmitRequest

if TYPE_CHECKING:
    from jobs.kinds.service import Service

_MOST = 1_000
_GRACE_S = 12.0
_AT_WORK = frozenset(
    {StateName.QUEUED, StateName.HELD, StateName.STARTING, StateName.RUNNING, StateName.PAUSED}
)


class Serving(Queueing, Models):
    def serve_model(
        self,
        reference: str,
        needs: NeedsRequest,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token_sha256: str = "",
        native: bool = False,
        log_predictions: bool = False,
    ) -> JobId:
        """Queue a service job for what the reference means, now and when its alias moves.

        Raises BadInput (no such model; another address than this machine's own without a token), NeverFits.
        """
        from jobs.kinds.service import ServiceRequest, argv, checked

        self.model(reference)
        models = str(self.home.models)
        asked = checked(
            ServiceRequest(models, reference, host, port, token_sha256, native, log_predictions)
        )
        request = SubmitRequest(
            argv=argv(sys.executable, asked),
            name=f"serve {reference}",
            cwd=str(self.home.models),
            needs=needs,
            grace_s=_GRACE_S,
            on_reboot="requeue",
            kind=JobKind.SERVICE,
        )
        return self.submit([request])[0]

    def services(self) -> tuple[tuple[Job, Service | None], ...]:
        """Every service job that has not ended, and what it says of itself once it is ready."""
        query = JobQuery(states=_AT_WORK, kinds=frozenset({JobKind.SERVICE}), limit=_MOST)
        return tuple((job, self.service(job)) for job in self.jobs(query))

    def service(self, job: Job) -> Service | None:
        """What a service job says of itself; None while it does not run, or is not ready."""
        from jobs.kinds.service import SERVICE, service_of

        if isinstance(job.state, Active):
            with contextlib.suppress(OSError):
                return service_of((self.output_dir(job.id) / SERVICE).read_bytes())
        return None
