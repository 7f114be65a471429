"""Runs a notebook's cells in order, as a job: `python -P -m jobs.programs.notebook FILE`.

What the cells print goes to standard output as it comes, progress to CRO_EVENTS, and the executed notebook
into CRO_OUTPUT_DIR, also when a cell fails or the job is stopped. The kernel is a child of this process,
talks over sockets in a folder of its own, and knows nothing of the person's Jupyter settings. It queues
nothing and never writes the notebook that it reads.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from jobs.kinds.notebook import INSTALL, MISSING, assignments
from recipes.notebook import TAG

CANNOT = 3


def main(words: list[str]) -> int:
    if len(words) != 1:
        print("Usage: python -P -m jobs.programs.notebook FILE", file=sys.stderr)
        return CANNOT
    path = Path(words[0])
    try:
        import nbformat

        from jobs.programs.notebook.client import NotebookClient
        from jobs.programs.notebook.run import NotebookRun

        if path.suffix == ".ipynb":
            notebook = nbformat.read(path, as_version=4)
        else:
            import jupytext

            notebook = jupytext.read(path, fmt="py:percent")
    except ImportError:
        print(f"{MISSING} {INSTALL}", file=sys.stderr)
        return CANNOT
    except (OSError, ValueError, nbformat.ValidationError) as error:
        print(f"{path} cannot be read: {error}", file=sys.stderr)
        return CANNOT
    inject(notebook, json.loads(os.environ.get("CRO_PARAMS") or "{}"))
    with tempfile.TemporaryDirectory(prefix="cro-") as folder:
        os.environ["IPYTHONDIR"] = folder
        os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
        client = NotebookClient(notebook, Path(folder), NotebookRun(path, notebook))
        return asyncio.run(client.run())


def inject(notebook: Any, params: dict[str, Any]) -> None:
    """Put a cell that sets the parameters behind the tagged one; an earlier such cell goes."""
    from nbformat.v4 import new_code_cell

    cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    tagged = [at for at, cell in enumerate(cells) if TAG in cell.metadata.get("tags", [])]
    if params and tagged:
        made = new_code_cell(assignments(params), metadata={"tags": ["injected-parameters"]})
        cells.insert(tagged[0] + 1, made)
    notebook.cells = cells


def ended_by(number: int) -> int:
    """End as whoever is killed by the signal does; the code is for machines where that did not work."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number


if __name__ == "__main__":
    ended = main(sys.argv[1:])
    sys.stdout.flush()
    sys.exit(ended_by(signal.SIGTERM) if ended == 128 + signal.SIGTERM else ended)
