"""`client.recipes`: finding, writing and checking recipes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.client.connection import Connection
from jobs.core.ports import BadInput

if TYPE_CHECKING:
    from recipes.discover import Catalogue, Finder
    from recipes.manifest import Problem, Recipe


class Recipes:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._finding = threading.Lock()
        self._finder: Finder | None = None

    def catalogue(self) -> Catalogue:
        """Every recipe that can be found, and the problems of the broken ones.

        Folders in order: settings, ./recipes, the data folder's, the library; the first of a name wins.
        """
        from recipes.discover import Finder, library_folder

        home, settings = self._connection.home, self._connection.settings
        named = [Path(folder).expanduser() for folder in settings.recipes.folders]
        with self._finding:
            self._finder = self._finder or Finder()
            folders = (*named, Path.cwd() / "recipes", home.recipes, library_folder())
            return self._finder.catalogue(folders)

    def get(self, name: str) -> Recipe:
        """One recipe by name. Raises BadInput naming near misses, or the problems of a broken one."""
        found = self.catalogue().usable(name)
        if isinstance(found, str):
            raise BadInput(found, "List the recipes to see their names.")
        return found

    def create(self, name: str, folder: str, *, notebook: bool = False) -> Path:
        """Write a recipe to begin with into the folder, a script or a notebook. Raises BadInput."""
        from jobs.client.recipe_check import write_new

        return write_new(name, Path(folder).expanduser(), notebook=notebook)

    def copy(self, name: str, file: str) -> Path:
        """Write the recipe of that name as one self-contained file. Raises BadInput; overwrites nothing."""
        from jobs.client.recipe_check import write_copy

        return write_copy(self.get(name).path, Path(file).expanduser())

    def check(
        self, path: str, *, start: bool = True, say: Callable[[str], None] = lambda _: None
    ) -> tuple[Problem, ...]:
        """What is wrong with a recipe's file, by line; `start` tries it with --help, in its environment.

        That is built first where it is not there, which `say` is told. Raises BadInput.
        """
        from jobs.client.recipe_check import check, environment_python

        file, home, environ = Path(path).expanduser(), self._connection.home, self._connection.environ
        python = (lambda: environment_python(file, home, say, environ)) if start else None
        return check(file, python)

    def better_metrics(self, name: str | None) -> Mapping[str, str]:
        """Which end of a recipe's metrics is better, "max" or "min", the main metric first.

        Empty where the recipe does not say, is no longer found, or (None) for a job of no recipe.
        """
        recipe = None if name is None else self.catalogue().find(name)
        return dict(getattr(recipe, "metrics", ()))
