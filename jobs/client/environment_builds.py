"""The environments of what is queued: a recipe's interpreter, and the builds that go before its jobs.

A build is a job like others; one that is queued already serves all who need what it makes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from jobs.client.connection import Connection
from jobs.core.jobs import MIB, Dependency, Job, JobId, JobSpec, Needs, OnReboot, StateName
from jobs.core.ports import BadInput
from jobs.core.requests import JobQuery
from jobs.installation.home import Home
from jobs.store.intents import no_such_job

if TYPE_CHECKING:
    from recipes.manifest import Recipe

_MEM_BYTES = 512 * MIB
_TIME_LIMIT_S = 3600.0
_GRACE_S = 5.0
_MOST = 1_000
_NOT_ENDED = frozenset(
    {StateName.QUEUED, StateName.HELD, StateName.STARTING, StateName.RUNNING, StateName.PAUSED}
)


def python_for(recipe: Recipe, home: Home, *, keep: bool) -> str:
    """The interpreter for a recipe: this one, or that of an environment which need not be there yet.

    `keep` writes down what that environment has to hold, for the build to come. Raises BadInput for a
    header that cannot be read, OSError.
    """
    if not recipe.dependencies and not recipe.requires_python and not recipe.uv:
        return sys.executable
    from jobs.environments import folder, installed
    from jobs.kinds.environment import python_of

    wanted = installed.wanted_now(recipe, home.run)
    if wanted is None:
        return sys.executable
    if keep:
        folder.remember(home.recipe_environments, wanted)
    return python_of(str(home.recipe_environments), wanted.key)


def is_missing(spec: JobSpec, home: Home) -> bool:
    """Whether the job's environment has to be built before it can start."""
    from jobs.environments import folder
    from jobs.kinds.environment import key_of

    key = key_of(spec.argv[0], str(home.recipe_environments))
    return key is not None and folder.digest_for(home.recipe_environments, key) is None


def built_first(specs: Sequence[JobSpec], connection: Connection) -> list[JobSpec]:
    """The specs, each to start after the build of its environment; builds that are missing are queued.

    Raises NoSuchJob, before any build is queued, for an unknown dependency.
    """
    home = connection.home.recipe_environments
    if not any(spec.argv[0].startswith(str(home)) for spec in specs):
        return list(specs)
    from jobs.environments import folder
    from jobs.kinds.environment import is_build, key_of

    builds, before = _builds_and_dependencies(specs, connection)
    former = {job.id for job in before if is_build(job)}
    made = []
    for spec in specs:
        key = key_of(spec.argv[0], str(home))
        if key is None:
            made.append(spec)
            continue
        after = tuple(each for each in spec.after if each.job_id not in former)
        digest = folder.digest_for(home, key)
        if digest is not None:
            folder.touch(home, digest)
        else:
            if key not in builds:
                builds[key] = _queue_build(spec, key, connection)
            after = (*after, Dependency(builds[key]))
        made.append(replace(spec, after=after))
    return made


def _builds_and_dependencies(
    specs: Sequence[JobSpec], connection: Connection
) -> tuple[dict[str, JobId], list[Job]]:
    """The builds that have not ended, by the key of what they make; the jobs that the specs wait for."""
    from jobs.kinds.environment import build_key

    wanted = {after.job_id for spec in specs for after in spec.after}
    with connection.view() as view:
        found, _ = view.jobs(JobQuery(states=_NOT_ENDED, text="environment", limit=_MOST))
        before = view.get(wanted)
    unknown = wanted - {job.id for job in before}
    if unknown:
        raise no_such_job(min(unknown))
    return {key: job.id for job in found if (key := build_key(job))}, before


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
    )
    with connection.writer() as intents:
        return intents.submit([build], connection.now())[0]
