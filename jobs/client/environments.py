"""`client.environments`: the environments (venvs) that recipes' headers ask for, what they hold, what goes.

They are built by jobs, which `client.jobs` queues before those that need them: see `environment_builds`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.client.connection import Connection
from jobs.core.jobs import JobId
from jobs.core.ports import BadInput, WrongState

if TYPE_CHECKING:
    from jobs.kinds.environment import Environment
    from recipes.manifest import Recipe


class Environments:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._folder = connection.home.recipe_environments

    def list(self) -> tuple[Environment, ...]:
        """Those that are complete, the last used first."""
        from jobs.environments import folder
        from jobs.environments.in_use import needed

        if not self._folder.exists():
            return ()
        self._connection.queries()  # so that there is a database
        return folder.environments(self._folder, needed(self._connection.home.database))

    def remove(self, digests: Sequence[str]) -> tuple[Environment, ...]:
        """Remove these, named by their first characters; all or none.

        Raises BadInput (none or several of that name), WrongState (a job that waits or runs needs it).
        """
        from jobs.environments import folder

        known, going = self.list(), []
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
            folder.remove(self._folder, each.digest)
        return tuple(going)

    def prune(self) -> tuple[str, ...]:
        """Remove the longest unused beyond the size of the settings; the digests of those that went."""
        from jobs.environments import folder
        from jobs.environments.in_use import needed

        if not self._folder.exists():
            return ()
        self._connection.queries()  # so that there is a database
        most_bytes = self._connection.settings.environments.max_bytes
        return folder.prune(self._folder, needed(self._connection.home.database), most_bytes)

    def of_job(self, job_id: JobId) -> tuple[str, tuple[str, ...]]:
        """The digest of the environment that the latest attempt ran in, and its packages (`name==version`).

        Two empty ones for a job that ran in none, and for one that has not started. Raises NoSuchJob.
        """
        from jobs.environments import folder
        from jobs.runtime import job_folder

        record = self._connection.attempt_folder(job_id, None) / job_folder.SPEC
        words = (job_folder.read_json(str(record)) or {}).get("argv")
        if not (isinstance(words, list) and words and isinstance(words[0], str)):
            return "", ()
        venv = Path(words[0]).parent.parent
        if venv.parent != self._folder:
            return "", ()
        return venv.name, folder.packages_of(self._folder, venv.name)

    def of_recipe(self, recipe: Recipe) -> tuple[str, tuple[str, ...]]:
        """Where a recipe would run: "here", "ready" or "build", and the requirements that this installation
        lacks. Raises BadInput for a header that cannot be read."""
        from jobs.environments import folder, installed

        wanted = installed.wanted(recipe)
        if wanted is None:
            return "here", ()
        ready = folder.digest_for(self._folder, wanted.key) is not None
        return "ready" if ready else "build", installed.missing(recipe)
