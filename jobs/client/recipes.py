"""Finding, writing and checking recipes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.client.connection import StoreConnection
from jobs.core.jobs import Job, JobSpec
from jobs.core.ports import BadInput

if TYPE_CHECKING:
    from recipes.discover import Catalogue
    from recipes.manifest import Recipe


class Recipes(StoreConnection):
    def recipes(self) -> Catalogue:
        """Every recipe that can be found, and the problems of the broken ones.

        Folders in order: settings, ./recipes, the data folder's, the library; the first of a name wins.
        """
        from recipes.discover import Finder, library_folder

        named = [Path(folder).expanduser() for folder in self.settings.recipes.folders]
        with self._opening:
            self._finder = self._finder or Finder()
            folders = (*named, Path.cwd() / "recipes", self.home.recipes, library_folder())
            return self._finder.catalogue(folders)

    def recipe(self, name: str) -> Recipe:
        """One recipe by name. Raises BadInput naming near misses, or the problems of a broken one."""
        from jobs.client.resolve import usable

        found = usable(self.recipes(), name)
        if isinstance(found, str):
            raise BadInput(found, "List the recipes to see their names.")
        return found

    def new_recipe(self, name: str, folder: str, *, notebook: bool = False) -> Path:
        """Write a recipe to begin with into the folder, a script or a notebook. Raises BadInput."""
        from jobs.client.recipe_check import write_new

        return write_new(name, Path(folder).expanduser(), notebook=notebook)

    def copy_recipe(self, name: str, file: str) -> Path:
        """Write the recipe of that name as one self-contained file. Raises BadInput; overwrites nothing."""
        from jobs.client.recipe_check import write_copy

        return write_copy(self.recipe(name).path, Path(file).expanduser())

    def better_metrics(self, job: Job) -> Mapping[str, str]:
        """Which end of its metrics is better, "max" or "min", as far as its recipe says."""
        return dict(self._better(job.spec))

    def _better(self, spec: JobSpec) -> tuple[tuple[str, str], ...]:
        recipe = None if spec.recipe is None else self.recipes().find(spec.recipe)
        return getattr(recipe, "metrics", ())
