"""What is reported and kept of a notebook while its cells run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jobs.records.report import report
from jobs.runtime import atomic_write


class NotebookRun:
    """What is known and kept of the run while it goes on."""

    def __init__(self, path: Path, notebook: Any) -> None:
        folder = Path(os.environ.get("CRO_OUTPUT_DIR", "."))
        self._target = folder / f"{path.stem}.executed.ipynb"
        self._notebook = notebook
        code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
        self._left, self._all = len(code), max(1, len(code))

    def begins(self, index: int) -> None:
        report({"phase": f"cell {index + 1} of {len(self._notebook.cells)}"})

    def done(self) -> None:
        """One more cell has run."""
        self._left -= 1
        report({"progress": (self._all - self._left) / self._all})
        self.save()

    def save(self) -> None:
        """Leave the notebook as it is now, in one step."""
        import nbformat

        atomic_write.replace(self._target, nbformat.writes(self._notebook) + "\n", 0o666)

    def ends(self) -> None:
        self.save()
        report({"artifact": self._target.name})
