"""What is reported and kept of a notebook while its cells run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class NotebookRun:
    """What is known and kept of the run while it goes on."""

    def __init__(self, path: Path, notebook: Any) -> None:
        folder = Path(os.environ.get("CRO_OUTPUT_DIR", "."))
        self._target = folder / f"{path.stem}.executed.ipynb"
        self._notebook = notebook
        self._events = os.environ.get("CRO_EVENTS", "")
        code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
        self._left, self._all = len(code), max(1, len(code))

    def begins(self, index: int) -> None:
        self.say(phase=f"cell {index + 1} of {len(self._notebook.cells)}")

    def done(self) -> None:
        """One more cell has run."""
        self._left -= 1
        self.say(progress=(self._all - self._left) / self._all)
        self.save()

    def save(self) -> None:
        """Leave the notebook as it is now, in one step."""
        import nbformat

        part = self._target.with_name(f".{self._target.name}.part")
        nbformat.write(self._notebook, part)
        part.replace(self._target)

    def ends(self) -> None:
        self.save()
        self.say(artifact=self._target.name)

    def say(self, **event: Any) -> None:
        if self._events:
            with open(self._events, "a", encoding="utf-8") as file:
                file.write(json.dumps(event) + "\n")
