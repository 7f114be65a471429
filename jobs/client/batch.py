"""What all requests of one call have in common, looked up once however many there are."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.client.connection import Connection
from jobs.client.environment_builds import python_for
from jobs.client.recipes import Recipes
from jobs.installation.settings import DefaultSettings
from jobs.store import captured_variables

if TYPE_CHECKING:
    from recipes.discover import Catalogue
    from recipes.manifest import Recipe


@dataclass(frozen=True, slots=True)
class Batch:
    """`environ` is the caller's own, `user` the login name. `python_for` says which interpreter a recipe
    gets (raises BadInput, OSError), `digest_of` under which name variables are kept (raises
    StateUnavailable)."""

    defaults: DefaultSettings
    environ: Mapping[str, str]
    secrets: Path
    user: str
    catalogue: Callable[[], Catalogue]
    python_for: Callable[[Recipe], str]
    digest_of: Callable[[Mapping[str, str]], str]


def batch_of(connection: Connection, recipes: Recipes, *, keep: bool) -> Batch:
    """For one call. `keep` writes the variables and what environments have to hold, which a preview does
    not."""
    home = connection.home
    home.make()
    pythons: dict[Path, str] = {}
    digests: dict[int, str] = {}

    def python(recipe: Recipe) -> str:
        if recipe.path not in pythons:
            pythons[recipe.path] = python_for(recipe, home, keep=keep)
        return pythons[recipe.path]

    def digest(environ: Mapping[str, str]) -> str:
        if id(environ) not in digests:
            digests[id(environ)] = captured_variables.capture(home.captured_variables, environ)
        return digests[id(environ)]

    return Batch(
        connection.settings.defaults,
        connection.environ,
        home.secrets,
        _user(os.getuid()),
        cache(recipes.catalogue),
        python,
        digest if keep else lambda _: "",
    )


def _user(uid: int) -> str:
    """The login name; the number where the machine has no name for it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
