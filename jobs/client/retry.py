"""The same job again, as it was queued before: whether it can run once more, and what changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from jobs.client.needs import changed, explicit_needs, wrong_values
from jobs.core.jobs import Job, JobId, JobSpec
from jobs.core.ports import BadInput
from jobs.core.requests import NeedsRequest
from jobs.installation.home import Home
from jobs.store import captured_variables
from jobs.store.secrets import wanted


def retried(
    job: Job, request: NeedsRequest | None, newest_retry: Callable[[JobId], JobId], home: Home
) -> JobSpec:
    """The same job again, with the needs that a person changed.

    A dependency on a job that was itself retried becomes one on its newest retry. A trial's retry stands
    alone, for its controller counts its own trials. Raises BadInput when it cannot run as it did.
    """
    _check(job, home)
    request = NeedsRequest() if request is None else request
    if problems := wrong_values(request):
        raise BadInput(" ".join(problems.values()))
    spec = job.spec
    is_trial = spec.group is not None and spec.group[1] == 0
    return replace(
        spec,
        needs=changed(spec.needs, request),
        after=tuple(replace(each, job_id=newest_retry(each.job_id)) for each in spec.after),
        start_held=False,
        retry_of=job.id,
        expected_s=None,
        explicit_needs=tuple(dict.fromkeys((*spec.explicit_needs, *explicit_needs(request)))),
        group=None if is_trial else spec.group,
    )


def _check(job: Job, home: Home) -> None:
    """Raises BadInput."""
    spec = job.spec
    cannot = f"Job {job.id} cannot be retried"
    if not spec.argv:
        raise BadInput(f"{cannot}: its record is damaged.", "Submit it again.")
    if not Path(spec.cwd).is_dir():
        raise BadInput(f"{cannot}: its folder {spec.cwd!r} is gone.", "Submit it again.")
    if not captured_variables.path_of(home.captured_variables, spec.env_digest).exists():
        raise BadInput(f"{cannot}: its environment is gone.", "Submit it again.")
    _, missing = wanted(home.secrets, spec.secrets, {})
    if missing:
        raise BadInput(f"{cannot}. {missing}")
