"""A recipe's command: from the values that a person chose to the words that are run.

Looks whether files are there, and whether notebooks can be run here; runs nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from jobs.core.jobs import ParamValue
from jobs.core.requests import SubmitRequest

if TYPE_CHECKING:
    from recipes.manifest import Recipe


def command_line(  # noqa: PLR0917
    recipe: Recipe,
    python: str,
    request: SubmitRequest,
    cwd: str,
    environ: Mapping[str, str],
    problems: dict[str, str],
) -> tuple[tuple[tuple[str, ParamValue], ...], tuple[str, ...]]:
    """Its parameters and its argv; what is wrong goes into `problems` by field."""
    from recipes.params import flags, validate

    values, wrong = validate(
        recipe, request.params, cwd=cwd, exists=os.path.exists, home=environ.get("HOME", "")
    )
    problems.update(wrong)
    if wrong:
        return (), ()
    path = str(recipe.path.absolute())
    if recipe.notebook:
        from jobs.kinds.notebook import argv

        if missing := _notebooks_missing():
            problems["recipe"] = missing
        elif python != sys.executable:
            problems["recipe"] = _NOTEBOOK_ELSEWHERE
        return tuple(values.items()), argv(sys.executable, path)
    return tuple(values.items()), (python, path, *flags(recipe, values))


_NOTEBOOK_ELSEWHERE = (
    "Its packages are not installed here, and a notebook runs with what is: install them or write a script."
)


@cache
def _notebooks_missing() -> str:
    """Why no notebook can be run here; empty where one can."""
    from importlib.util import find_spec

    from jobs.kinds.notebook import INSTALL, MISSING, NEEDS

    return "" if all(find_spec(package) for package in NEEDS) else f"{MISSING} {INSTALL}"
