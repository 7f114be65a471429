"""What all requests of one call have in common, and what they look up, each thing once."""

from __future__ import annotations

import os
import pwd
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.client.connection import Connection
from jobs.client.recipes import Recipes
from jobs.core.jobs import Needs, ParamValue
from jobs.installation.home import Home
from jobs.installation.settings import DefaultSettings
from jobs.store import captured_variables

if TYPE_CHECKING:
    from recipes.manifest import Recipe


@dataclass(frozen=True, slots=True)
class Batch:
    """`environ` is the caller's own, `user` the login name. The others are look-ups:

    `folder_of`       a working directory, absolute, and one sentence where it cannot be entered, else ""
    `cannot_run`      one sentence where a program cannot be run from a folder with that PATH, else ""
    `recipe_of`       the recipe of a name, or one sentence why there is none to run
    `python_of`       the interpreter that a recipe gets; it need not be there yet. Raises BadInput, OSError
    `environment_of`  the key of the environment that an interpreter is of, and whether that is there; None
                      for any other program
    `secrets_of`      those of the named variables that come from the kept secrets, and a sentence where one
                      is nowhere
    `size_of`         the bytes of the file that a word names in a folder; 0 where it names none
    `digest_of`       the name under which variables are kept. Raises StateUnavailable
    `too_large`       what this machine can never give, in words with the numbers; empty where it can
    `advice`          what to do when it cannot
    """

    defaults: DefaultSettings
    environ: Mapping[str, str]
    user: str
    folder_of: Callable[[str], tuple[str, str]]
    cannot_run: Callable[[str, str, str], str]
    recipe_of: Callable[[str], Recipe | str]
    python_of: Callable[[Recipe], str]
    environment_of: Callable[[str], tuple[str, bool] | None]
    secrets_of: Callable[[Sequence[str], Mapping[str, str]], tuple[tuple[str, ...], str | None]]
    size_of: Callable[[str, ParamValue], int]
    digest_of: Callable[[Mapping[str, str]], str]
    too_large: Callable[[Needs], str]
    advice: Callable[[Needs], str]


def batch_of(connection: Connection, recipes: Recipes, *, keep: bool) -> Batch:
    """For one call. With `keep`, variables and what environments have to hold are written down, and an
    environment counts as used; a preview does none of this."""
    home = connection.home
    home.make()
    catalogue = cache(recipes.catalogue)
    pythons: dict[Path, str] = {}
    digests: dict[int, str] = {}

    def python_of(recipe: Recipe) -> str:
        if recipe.path not in pythons:
            pythons[recipe.path] = _python_of(recipe, home, keep=keep)
        return pythons[recipe.path]

    def digest_of(environ: Mapping[str, str]) -> str:
        if id(environ) not in digests:
            digests[id(environ)] = captured_variables.capture(home.captured_variables, environ)
        return digests[id(environ)]

    return Batch(
        defaults=connection.settings.defaults,
        environ=connection.environ,
        user=_user(os.getuid()),
        folder_of=cache(_folder_of),
        cannot_run=cache(_cannot_run),
        recipe_of=lambda name: catalogue().usable(name),
        python_of=python_of,
        environment_of=cache(partial(_environment_of, home=home, keep=keep)),
        secrets_of=partial(_secrets_of, home.secrets),
        size_of=cache(_size_of),
        digest_of=digest_of if keep else lambda _: "",
        too_large=cache(partial(_too_large, connection)),
        advice=partial(_advice, connection),
    )


def _user(uid: int) -> str:
    """The login name; the number where the machine has no name for it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _folder_of(cwd: str) -> tuple[str, str]:
    if not cwd.startswith("/"):
        try:
            cwd = str(Path.cwd() / cwd)
        except FileNotFoundError:
            return "/", "The working directory is gone: change to another one."
    if "\0" in cwd or not os.path.isdir(cwd):
        return cwd, f"The working directory {cwd!r} does not exist: name one that does."
    if not os.access(cwd, os.X_OK):
        return cwd, f"The working directory {cwd!r} cannot be entered: name another one."
    return cwd, ""


def _cannot_run(program: str, cwd: str, path: str) -> str:
    if "/" in program:
        places = [os.path.join(cwd, program)]
    else:
        places = [os.path.join(cwd, folder, program) for folder in path.split(os.pathsep)]
    files = [place for place in places if Path(place).is_file()]
    if any(os.access(place, os.X_OK) for place in files):
        return ""
    if files:
        return f"{program!r} may not be run: make it executable, or put its interpreter before it."
    where = f"in {cwd}" if "/" in program else "on the PATH"
    return f"There is no program {program!r} {where}: check its spelling."


def _python_of(recipe: Recipe, home: Home, *, keep: bool) -> str:
    """This interpreter, or that of an environment, whose contents are then written down for its build."""
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


def _environment_of(python: str, home: Home, *, keep: bool) -> tuple[str, bool] | None:
    if not python.startswith(str(home.recipe_environments)):
        return None
    from jobs.environments import folder
    from jobs.kinds.environment import key_of

    key = key_of(python, str(home.recipe_environments))
    if key is None:
        return None
    digest = folder.digest_for(home.recipe_environments, key)
    if digest is not None and keep:
        folder.touch(home.recipe_environments, digest)
    return key, digest is not None


def _secrets_of(
    folder: Path, names: Sequence[str], environ: Mapping[str, str]
) -> tuple[tuple[str, ...], str | None]:
    from jobs.store.secrets import wanted

    return wanted(folder, names, environ)


def _size_of(folder: str, word: ParamValue) -> int:
    if not isinstance(word, str) or not ("." in word or "/" in word) or "\0" in word:
        return 0
    try:
        found = os.stat(os.path.join(folder, word))
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _too_large(connection: Connection, needs: Needs) -> str:
    from jobs.policy.limits import never_fits

    capacity = connection.machine().capacity(connection.scheduler())
    tight = never_fits(capacity, connection.settings.admission, needs)
    if not tight:
        return ""
    from jobs.client.forecast import sentences

    return sentences(tight)


def _advice(connection: Connection, needs: Needs) -> str:
    if needs.gpus and not connection.machine().capacity(connection.scheduler()).devices:
        return "cro-tui doctor says which GPUs are here, and why they cannot be used."
    return "Ask for less, or use a bigger machine."
