"""The environments of recipes, as a front end sees them; and their builds, queued before who needs them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.client.recipes import Recipes
from jobs.core.jobs import MIB, Dependency, JobId, JobSpec, Needs, OnReboot, StateName
from jobs.core.kinds import JobKind
from jobs.core.ports import BadInput, WrongState
from jobs.core.requests import JobQuery
from jobs.store.intents import no_such_job

if TYPE_CHECKING:
    from jobs.kinds.environment import Environment
    from recipes.manifest import Problem, Recipe

_MEM_BYTES = 512 * MIB
_TIME_LIMIT_S = 3600.0
_GRACE_S = 5.0
_MOST = 1_000
_AT_WORK = frozenset(
    {StateName.QUEUED, StateName.HELD, StateName.STARTING, StateName.RUNNING, StateName.PAUSED}
)


class Environments(Recipes):
    def environments(self) -> tuple[Environment, ...]:
        """Those that are complete, the last used first."""
        from jobs.environments import folder
        from jobs.environments.in_use import needed

        if not self.home.recipe_environments.exists():
            return ()
        self._reading()
        return folder.environments(self.home.recipe_environments, needed(self.home.database))

    def remove_environments(self, digests: Sequence[str]) -> tuple[Environment, ...]:
        """Remove these, named by their first characters; all or none. Raises BadInput, NotNow."""
        from jobs.environments import folder

        known, going = self.environments(), []
        for text in digests:
            found = [each for each in known if text and each.digest.startswith(text)]
            if len(found) != 1:
                which = "There is no environment" if not found else "More than one environment is named by"
                raise BadInput(f"{which} {text[:40]!r}.", "List them: cro-tui environments")
            if found[0].needed:
                raise WrongState(
                    f"Environment {found[0].digest} is needed by a job that waits or runs.",
                    "Cancel the job, or wait for its end.",
                )
            going += found
        for each in going:
            folder.remove(self.home.recipe_environments, each.digest)
        return tuple(going)

    def prune_environments(self) -> tuple[str, ...]:
        """Remove the longest unused beyond the size of the settings; which ones went."""
        from jobs.environments import folder
        from jobs.environments.in_use import needed

        if not self.home.recipe_environments.exists():
            return ()
        self._reading()
        most = self.settings.environments.max_bytes
        return folder.prune(self.home.recipe_environments, needed(self.home.database), most)

    def environment_of(self, job_id: JobId) -> tuple[str, tuple[str, ...]]:
        """The digest of the environment that the latest attempt ran in, and its exact packages.

        Two empty ones for a job that ran in none, and for one that has not started.
        """
        from jobs.environments import folder
        from jobs.runtime import job_folder

        record = job_folder.read_json(str(self._attempt(job_id, None) / job_folder.SPEC)) or {}
        words = record.get("argv")
        program = (
            Path(words[0]) if isinstance(words, list) and words and isinstance(words[0], str) else Path()
        )
        digest = (
            program.parent.parent.name
            if program.parent.parent.parent == self.home.recipe_environments
            else ""
        )
        return digest, folder.packages_of(self.home.recipe_environments, digest) if digest else ()

    def recipe_environment(self, recipe: Recipe) -> tuple[str, tuple[str, ...]]:
        """Where a recipe would run: "here", "ready" or "build", and the requirements that this installation
        lacks. Raises BadInput for a header that cannot be read."""
        from jobs.environments import folder, installed

        wanted = installed.wanted(recipe)
        if wanted is None:
            return "here", ()
        ready = folder.digest_for(self.home.recipe_environments, wanted.key) is not None
        return "ready" if ready else "build", installed.missing(recipe)

    def check_recipe(
        self, path: str, *, start: bool = True, say: Callable[[str], None] = lambda _: None
    ) -> tuple[Problem, ...]:
        """What is wrong with a recipe's file, by line; `start` tries it with --help, in its environment.

        That is built first where it is not there, which `say` is told. Raises BadInput.
        """
        from jobs.client.recipe_check import check
        from jobs.environments import folder, installed
        from jobs.environments.build import build
        from recipes.manifest import parse

        file = Path(path).expanduser()

        def python() -> str:
            found = parse(file.read_text(encoding="utf-8"), file)
            wanted = None if found is None or isinstance(found, tuple) else installed.wanted(found)
            if wanted is None:
                return sys.executable
            self.home.make()
            key = folder.remember(self.home.recipe_environments, wanted)
            digest = build(self.home.recipe_environments, key, file.stem, say=say, environ=self._environ)
            return str(self.home.recipe_environments / digest / "bin" / "python")

        return check(file, python if start else None)

    # --- for those who queue -----------------------------------------------------------------------------

    def _builds(self, spec: JobSpec) -> int | None:
        """How many packages the header names whose environment has to be built first."""
        from jobs.environments import folder
        from jobs.kinds.environment import key_of

        key = key_of(spec.argv[0], str(self.home.recipe_environments))
        if (
            key is None
            or folder.digest_for(self.home.recipe_environments, key) is not None
            or spec.recipe is None
        ):
            return None
        return len(self.recipe(spec.recipe).dependencies)

    def _built_first(self, specs: Sequence[JobSpec]) -> list[JobSpec]:
        """The specs, each after the build of its environment; builds that are missing are queued."""
        venvs = str(self.home.recipe_environments)
        if not any(spec.argv[0].startswith(venvs) for spec in specs):
            return list(specs)
        from jobs.environments import folder
        from jobs.kinds.environment import build_key, key_of

        query = JobQuery(states=_AT_WORK, kinds=frozenset({JobKind.ENVIRONMENT}), limit=_MOST)
        with self._reading().snapshot() as view:
            found, _ = view.jobs(query)
            before = view.get({after.job_id for spec in specs for after in spec.after})
        known = {job.id for job in before}
        for after in (after for spec in specs for after in spec.after):
            if after.job_id not in known:  # before a build is queued for nothing
                raise no_such_job(after.job_id)
        at_work = {key: job.id for job in found if (key := build_key(job))}
        former = {job.id for job in before if job.spec.kind is JobKind.ENVIRONMENT}
        made = []
        for spec in specs:
            key = key_of(spec.argv[0], venvs)
            if key is None:
                made.append(spec)
                continue
            kept = tuple(each for each in spec.after if each.job_id not in former)
            digest = folder.digest_for(self.home.recipe_environments, key)
            if digest is not None:
                folder.touch(self.home.recipe_environments, digest)
            else:
                if key not in at_work:
                    at_work[key] = self._queue_build(spec, key)
                kept = (*kept, Dependency(at_work[key]))
            made.append(replace(spec, after=kept))
        return made

    def _queue_build(self, spec: JobSpec, key: str) -> JobId:
        from jobs.kinds.environment import NAME, argv

        if not os.path.exists(self.home.recipe_environments / "wanted" / f"{key}.py"):
            raise BadInput(
                f"What the environment of {spec.name} is to hold is not known any more.", "Submit it again."
            )
        name = spec.recipe or spec.name
        home = self.home
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
        with self._writer() as intents:
            return intents.submit([build], self._clock())[0]
