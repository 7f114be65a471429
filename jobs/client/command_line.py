"""What a job runs: the command line that a recipe and its parameters make, or the one that was given.

Looks at files, PATH and the catalogue of recipes; runs and writes nothing. What is wrong is one sentence
under its field's name: recipe, command, or a parameter's.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from jobs.client.batch import Batch
from jobs.core.jobs import OnReboot, ParamValue
from jobs.core.ports import BadInput
from jobs.core.requests import NeedsRequest, SubmitRequest

_MOST_WORDS = 100
_NOTEBOOK_ELSEWHERE = (
    "Its packages are not installed here, and a notebook runs with what is: install them or write a script."
)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The words, and what a recipe says of its runs, as far as it says something.

    `framework` is what a warm process would have imported for it; None: it needs a process of its own.
    `secrets` are the variables that it gets from the kept secrets. `input_bytes` is the size of the files
    that it is given: how long it takes and what it uses goes by that.
    """

    argv: tuple[str, ...]
    params: tuple[tuple[str, ParamValue], ...] = ()
    recipe: str | None = None
    framework: str | None = None
    secrets: tuple[str, ...] = ()
    needs: NeedsRequest = field(default_factory=NeedsRequest)
    grace_s: float | None = None
    on_reboot: str = OnReboot.FAIL
    checkpoint: bool = False
    warm: bool = True
    input_bytes: int = 0


def of_recipe(
    request: SubmitRequest, cwd: str, environ: Mapping[str, str], batch: Batch, problems: dict[str, str]
) -> CommandLine:
    """The command line of the request's recipe with its parameters."""
    from jobs.store.secrets import wanted
    from recipes.params import flags, validate

    if request.argv:
        problems["command"] = "Give a recipe or a command, not both."
    recipe = batch.catalogue().usable(request.recipe or "")
    if isinstance(recipe, str):
        problems["recipe"] = recipe
        return CommandLine(())
    python = sys.executable
    try:
        python = batch.python_for(recipe)
    except (BadInput, OSError) as error:
        problems["recipe"] = str(error)
    values, wrong = validate(
        recipe, request.params, cwd=cwd, exists=os.path.exists, home=environ.get("HOME", "")
    )
    problems.update(wrong)
    path = str(recipe.path.absolute())
    argv = (python, path, *flags(recipe, values))
    if recipe.notebook:
        from jobs.kinds.notebook import argv as notebook_argv

        argv = notebook_argv(python, path)
        if unable := _notebooks_missing() or ("" if python == sys.executable else _NOTEBOOK_ELSEWHERE):
            problems["recipe"] = unable
    secrets, missing = wanted(batch.secrets, recipe.secrets, environ)
    if missing:
        problems.setdefault("recipe", missing)
    needs, framework = recipe.needs, recipe.framework.value
    own_process = framework == "none" or recipe.notebook or python != sys.executable
    return CommandLine(
        argv,
        tuple(values.items()),
        recipe.name,
        None if own_process else framework,
        secrets,
        NeedsRequest(needs.cpus, needs.mem_bytes, needs.gpus, needs.gpu_mem_bytes, needs.time_limit_s),
        recipe.grace_s,
        recipe.on_reboot.value,
        recipe.checkpoint,
        recipe.warm,
        _size_bytes(cwd, tuple(values.values())),
    )


def of_words(
    request: SubmitRequest, cwd: str, environ: Mapping[str, str], problems: dict[str, str]
) -> CommandLine:
    """The request's own command line, which is run as it is."""
    argv = tuple(request.argv)
    if request.params:
        problems["recipe"] = "Parameters belong to a recipe: name one, or put them into the command."
    elif not argv or not argv[0]:
        problems["command"] = "There is no command: name a recipe, or a program and its arguments."
    elif any("\0" in word for word in argv):
        problems["command"] = "The command holds a zero byte, which no program can receive."
    elif cannot := _cannot_run(argv[0], cwd, environ.get("PATH", os.defpath)):
        problems["command"] = cannot
    return CommandLine(argv, input_bytes=_size_bytes(cwd, argv[1:]))


def _cannot_run(program: str, cwd: str, path: str) -> str | None:
    """One sentence when the program cannot be run from there, else None."""
    if "/" in program:
        places = [os.path.join(cwd, program)]
    else:
        places = [os.path.join(cwd, folder, program) for folder in path.split(os.pathsep)]
    files = [place for place in places if Path(place).is_file()]
    if any(os.access(place, os.X_OK) for place in files):
        return None
    if files:
        return f"{program!r} may not be run: make it executable, or put its interpreter before it."
    where = f"in {cwd}" if "/" in program else "on the PATH"
    return f"There is no program {program!r} {where}: check its spelling."


def _size_bytes(cwd: str, words: Sequence[ParamValue]) -> int:
    """The size of the files that are named."""
    total = 0
    for word in words[:_MOST_WORDS]:
        if isinstance(word, str) and ("." in word or "/" in word) and "\0" not in word:
            with contextlib.suppress(OSError):
                found = os.stat(os.path.join(cwd, word))
                total += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return total


@cache
def _notebooks_missing() -> str:
    """Why no notebook can be run here; empty where one can."""
    from importlib.util import find_spec

    from jobs.kinds.notebook import INSTALL, MISSING, NEEDS

    return "" if all(find_spec(package) for package in NEEDS) else f"{MISSING} {INSTALL}"
