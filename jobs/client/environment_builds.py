"""The builds of environments, queued before the jobs that need them.

A build is a job like others; one that is queued already serves all who need what it makes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from jobs.client.connection import Connection
from jobs.core.jobs import MIB, Dependency, JobId, JobSpec, Needs, OnReboot, StateName
from jobs.core.kinds import JobKind
from jobs.core.ports import BadInput
from jobs.core.requests import JobQuery
from jobs.store.intents import no_such_job

_MEM_BYTES = 512 * MIB
_TIME_LIMIT_S = 3600.0
_GRACE_S = 5.0
_MOST = 1_000
_NOT_ENDED = frozenset(
    {StateName.QUEUED, StateName.HELD, StateName.STARTING, StateName.RUNNING, StateName.PAUSED}
)


def built_first(
    specs: Sequence[JobSpec],
    environments: Mapping[str, tuple[str, bool] | None],
    connection: Connection,
) -> list[JobSpec]:
    """The specs, each to start after the build of its environment; builds that are missing are queued.

    `environments` has the key of one by its interpreter, and whether it is there; None for any other
    program. Raises NoSuchJob, before any build is queued, for an unknown dependency.
    """
    builds, former = _builds(specs, connection)
    made = []
    for spec in specs:
        environment = environments[spec.argv[0]]
        if environment is None:
            made.append(spec)
            continue
        key, is_there = environment
        after = tuple(each for each in spec.after if each.job_id not in former)
        if not is_there:
            if key not in builds:
                builds[key] = _queue_build(spec, key, connection)
            after = (*after, Dependency(builds[key]))
        made.append(replace(spec, after=after))
    return made


def _builds(specs: Sequence[JobSpec], connection: Connection) -> tuple[dict[str, JobId], frozenset[JobId]]:
    """The builds that have not ended, by the key of what they make; those that the specs wait for already,
    as retries do. Raises NoSuchJob."""
    from jobs.kinds.environment import build_key

    wanted = {after.job_id for spec in specs for after in spec.after}
    with connection.view() as view:
        found, _ = view.jobs(
            JobQuery(states=_NOT_ENDED, kinds=frozenset({JobKind.ENVIRONMENT}), limit=_MOST)
        )
        before = view.get(wanted)
    unknown = wanted - {job.id for job in before}
    if unknown:
        raise no_such_job(min(unknown))
    builds = {key: job.id for job in found if (key := build_key(job))}
    return builds, frozenset(job.id for job in before if job.spec.kind is JobKind.ENVIRONMENT)


def _queue_build(spec: JobSpec, key: str, connection: Connection) -> JobId:
    from jobs.kinds.environment import NAME, argv

    home = connection.home
    if not os.path.exists(home.recipe_environments / "wanted" / f"{key}.py"):
        raise BadInput(
            f"What the environment of {spec.name} has to hold is no longer known.", "Submit it again."
        )
    name = spec.recipe or spec.name
    build = JobSpec(
        name=f"{NAME}{name}",
        argv=argv(sys.executable, str(home.data), str(home.settings_file), key, name),
        cwd=str(home.data),
        env_digest=spec.env_digest,
        needs=Needs(min(1.0, spec.needs.cpus), _MEM_BYTES, time_limit_s=_TIME_LIMIT_S),
        priority=spec.priority,
        grace_s=_GRACE_S,
        on_reboot=OnReboot.REQUEUE,
        user=spec.user,
        kind=JobKind.ENVIRONMENT,
    )
    with connection.writer() as intents:
        return intents.submit([build], connection.now())[0]
