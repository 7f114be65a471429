"""`client.models`: the registry: what jobs, or others, have left for good under a name."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.client.connection import Connection
from jobs.client.recipes import Recipes
from jobs.core.jobs import JobId
from jobs.core.ports import BadInput

if TYPE_CHECKING:
    from jobs.core.tracking import ModelCard, RegisteredModel
    from jobs.registry.inspect import ModelFileReport
    from jobs.registry.store import Registry


class Models:
    def __init__(self, connection: Connection, recipes: Recipes) -> None:
        self._connection = connection
        self._recipes = recipes

    def list(self) -> tuple[RegisteredModel, ...]:
        """Every registered model with its versions, the newest first, and its aliases."""
        return self._registry().names()

    def get(self, reference: str) -> tuple[ModelCard, RegisteredModel]:
        """The version that `name@alias`, `name:3` or `name` means, and its model. Raises BadInput."""
        registry = self._registry()
        card = registry.card(reference)
        return card, registry.model(card.name)

    def register(
        self, job_id: JobId, name: str, *, file: str | None = None, note: str = "", licence: str = ""
    ) -> tuple[ModelCard, bool]:
        """Make a version of what a job left, and say whether it is new. Its files are copied.

        Raises NoSuchJob, WrongState (it has not succeeded), BadInput.
        """
        from jobs.registry.register import register

        with self._connection.view() as view:
            job = view.job(job_id)
        recipe = None if job.spec.recipe is None else self._recipes.catalogue().find(job.spec.recipe)
        return register(
            self._registry(),
            job,
            self._connection.attempt_folder(job_id, None),
            name=name,
            file=file,
            note=note,
            licence=licence,
            better=getattr(recipe, "metrics", ()),
            dependencies=getattr(recipe, "dependencies", ()),
            now=self._connection.now(),
        )

    def inspect(self, path: str) -> ModelFileReport:
        """What a file from elsewhere, or an exported folder, would load. Raises BadInput."""
        from jobs.registry.imports import main_file
        from jobs.registry.inspect import inspect_file

        return inspect_file(main_file(Path(path).expanduser()))

    def import_file(
        self,
        seen: ModelFileReport,
        name: str,
        *,
        trusted: bool = False,
        sample: str | None = None,
        note: str = "",
        licence: str = "",
    ) -> tuple[ModelCard, bool]:
        """Make a version of a file that no job left, and say whether it is new. `trusted`: a person was
        shown what it would load, and agreed. `sample` is a JSON file with rows that it takes.

        Raises BadInput, WrongState (it needs that trust).
        """
        from jobs.registry.imports import import_model

        return import_model(
            self._registry(),
            seen,
            name=name,
            trusted=trusted,
            sample=Path(sample).expanduser() if sample else None,
            note=note,
            licence=licence,
            now=self._connection.now(),
        )

    def promote(self, reference: str, alias: str) -> ModelCard:
        """Let the alias mean that version. Raises BadInput."""
        return self._registry().promote(reference, alias)

    def roll_back(self, name: str, alias: str) -> ModelCard:
        """Let the alias mean what it meant before. Raises BadInput, WrongState."""
        return self._registry().roll_back(name, alias)

    def export(self, reference: str, folder: str) -> Path:
        """Copy a version's files and card into a new folder. Raises BadInput."""
        return self._registry().export(reference, Path(folder).expanduser())

    def share(self, reference: str, folder: str) -> Path:
        """Write a version into a new folder in forms for others, none of which is a pickle; takes seconds.

        Raises BadInput.
        """
        from jobs.client.share import shared

        card = self._registry().card(reference)
        place = Path(folder).expanduser().absolute()
        try:
            place.mkdir(parents=True)
        except FileExistsError:
            raise BadInput(f"There is {place} already.", "Name another folder with --to.") from None
        except OSError as error:
            raise BadInput(f"{place} cannot be made: {error.strerror}.", "Name another one.") from error
        try:
            shared(self._connection.home.models, f"{card.name}:{card.version}", place)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        return place

    def _registry(self) -> Registry:
        from jobs.registry.store import Registry

        return Registry(self._connection.home.models)
