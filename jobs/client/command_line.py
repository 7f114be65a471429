"""What a job runs: the command line that a recipe and its parameters make, or the one that was given.

Runs and writes nothing. What is wrong is one sentence under its field's name:
recipe, command, or a parameter's.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from jobs.client.batch import Batch
from jobs.core.jobs import ParamValue
from jobs.core.kinds import JobKind
from jobs.core.ports import BadInput
from jobs.core.requests import SubmitRequest

if TYPE_CHECKING:
    from recipes.manifest import Recipe

_NOTEBOOK_ELSEWHERE = (
    "Its packages are not installed here, and a notebook runs with what is: install them or write a script."
)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The words, and of a recipe its parameters as they were understood.

    `framework` is what a warm process would have imported for it; None: it needs a process of its own.
    `secrets` are the variables that it gets from the kept secrets.
    """

    argv: tuple[str, ...]
    kind: JobKind
    params: tuple[tuple[str, ParamValue], ...] = ()
    framework: str | None = None
    secrets: tuple[str, ...] = ()


def of_recipe(
    recipe: Recipe,
    request: SubmitRequest,
    batch: Batch,
    problems: dict[str, str],
    *,
    cwd: str,
    environ: Mapping[str, str],
) -> CommandLine:
    """The command line of a recipe with the request's parameters."""
    from recipes.params import flags, validate

    if request.argv:
        problems["command"] = "Give a recipe or a command, not both."
    python = sys.executable
    try:
        python = batch.python_of(recipe)
    except (BadInput, OSError) as error:
        problems["recipe"] = str(error)
    secrets, missing = batch.secrets_of(recipe.secrets, environ)
    if missing:
        problems.setdefault("recipe", missing)
    path, framework = str(recipe.path.absolute()), recipe.framework.value
    if recipe.notebook and (cannot := _no_notebook(python)):
        problems["recipe"] = cannot
    values, wrong = validate(
        recipe, request.params, cwd=cwd, exists=os.path.exists, home=environ.get("HOME", "")
    )
    problems.update(wrong)
    argv, kind = (python, path, *flags(recipe, values)), JobKind.RECIPE
    if recipe.notebook:
        from jobs.kinds import notebook

        argv, kind = notebook.argv(python, path), JobKind.NOTEBOOK
    own_process = framework == "none" or recipe.notebook or python != sys.executable
    return CommandLine(
        argv, kind, tuple(values.items()), framework=None if own_process else framework, secrets=secrets
    )


def of_words(
    request: SubmitRequest,
    batch: Batch,
    problems: dict[str, str],
    *,
    cwd: str,
    environ: Mapping[str, str],
) -> CommandLine:
    """The request's own command line, which is run as it is."""
    argv = tuple(request.argv)
    if request.params:
        problems["recipe"] = "Parameters belong to a recipe: name one, or put them into the command."
    elif not argv or not argv[0]:
        problems["command"] = "There is no command: name a recipe, or a program and its arguments."
    elif any("\0" in word for word in argv):
        problems["command"] = "The command holds a zero byte, which no program can receive."
    elif cannot := batch.cannot_run(argv[0], cwd, environ.get("PATH", os.defpath)):
        problems["command"] = cannot
    return CommandLine(argv, request.kind)


def _no_notebook(python: str) -> str:
    """Why no notebook can be run with this interpreter; empty where one can."""
    return _notebooks_missing() or ("" if python == sys.executable else _NOTEBOOK_ELSEWHERE)


@cache
def _notebooks_missing() -> str:
    from importlib.util import find_spec

    from jobs.kinds.notebook import INSTALL, MISSING, NEEDS

    return "" if all(find_spec(package) for package in NEEDS) else f"{MISSING} {INSTALL}"
