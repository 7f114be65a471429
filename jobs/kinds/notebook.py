"""How a notebook's job is called, and what is put into the notebook. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from jobs.core.jobs import ParamValue

PROGRAM = ("-P", "-m", "jobs.programs.notebook")
NEEDS = ("nbclient", "ipykernel", "jupytext")
MISSING = "Notebooks need nbclient, ipykernel and jupytext, which are not installed here."
INSTALL = "Install cro-tui with its extra: cro-tui[notebook]."
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def argv(python: str, path: str) -> tuple[str, ...]:
    """The command of a notebook's job; the values of its parameters come by CRO_PARAMS."""
    return (python, *PROGRAM, path)


def assignments(params: Mapping[str, ParamValue]) -> str:
    """The code that sets the parameters, for a cell behind the one tagged `parameters`."""
    return "\n".join(["# Parameters", *(f"{name} = {value!r}" for name, value in params.items())])


def failure(number: int, error: str, value: str) -> str:
    """One line: which cell failed, and of what."""
    first = _ANSI.sub("", value).strip().splitlines()[:1]
    return f"cell {number} failed: {error}" + (f": {first[0][:300]}" if first else "")
