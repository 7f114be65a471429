"""The registry of models, as a front end sees it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jobs.api.reading import Reading
from jobs.model import JobId

if TYPE_CHECKING:
    from jobs.tracking.model import ModelCard, RegisteredModel
    from jobs.tracking.registry import Registry


class Models(Reading):
    def models(self) -> tuple[RegisteredModel, ...]:
        """Every registered model with its versions."""
        return self._registry().names()

    def model(self, reference: str) -> tuple[ModelCard, RegisteredModel]:
        """The version that `name@alias`, `name:3` or `name` means, and its model. Raises BadInput."""
        registry = self._registry()
        card = registry.card(reference)
        return card, registry.model(card.name)

    def register_model(
        self, job_id: JobId, name: str, *, file: str | None = None, note: str = "", licence: str = ""
    ) -> tuple[ModelCard, bool]:
        """Make a version of what a job left, and say whether it is new. Its files are copied.

        Raises NoSuchJob, NotNow (it has not succeeded), BadInput.
        """
        from jobs.tracking.registering import register

        job = self.job(job_id)
        recipe = None if job.spec.recipe is None else self.recipes().find(job.spec.recipe)
        return register(
            self._registry(),
            job,
            self._attempt(job_id, None),
            name=name,
            file=file,
            note=note,
            licence=licence,
            better=getattr(recipe, "metrics", ()),
            dependencies=getattr(recipe, "dependencies", ()),
            now=self._clock(),
        )

    def promote_model(self, reference: str, alias: str) -> ModelCard:
        """Let the alias mean that version. Raises BadInput."""
        return self._registry().promote(reference, alias)

    def roll_back_model(self, name: str, alias: str) -> ModelCard:
        """Let the alias mean what it meant before. Raises BadInput, NotNow."""
        return self._registry().roll_back(name, alias)

    def export_model(self, reference: str, folder: str) -> Path:
        """Copy a version's files and card into a new folder. Raises BadInput."""
        return self._registry().export(reference, Path(folder).expanduser())

    def _registry(self) -> Registry:
        from jobs.tracking.registry import Registry

        return Registry(self.home.models)
