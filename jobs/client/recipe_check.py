"""Recipes on the disk that are being written: a new one, and whether one agrees with itself.

A check reads the file and may start it with `--help`, in a process of its own that ends after a while.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from jobs.core.ports import BadInput
from jobs.environments import installed
from jobs.environments.build import BuildFailed, build
from jobs.environments.folder import remember
from jobs.installation.home import Home
from recipes import lint, notebook, skeleton, standalone
from recipes.manifest import parse
from recipes.model import Problem

START_S = 60.0
_LARGEST_BYTES = 4 << 20


def write_new(name: str, folder: Path, *, notebook: bool = False) -> Path:
    """Write a recipe to begin with, a script or a notebook.

    Raises BadInput for a name that cannot be one, or is taken.
    """
    if not skeleton.NAME.fullmatch(name):
        raise BadInput(f"{name[:40]!r} cannot name a recipe.", "Use letters, digits and _, a letter first.")
    path = folder / f"{name}.{'ipynb' if notebook else 'py'}"
    return _created(path, skeleton.notebook(name) if notebook else skeleton.script(name))


def write_copy(recipe: Path, target: Path) -> Path:
    """Write the recipe as one file that needs no kit beside it. Raises BadInput; overwrites nothing."""
    if target.suffix != recipe.suffix:
        raise BadInput(f"{target} must end in {recipe.suffix}, as the recipe does.", "Name another file.")
    try:
        text = recipe.read_text(encoding="utf-8")
        kit = {each.stem: each.read_text(encoding="utf-8") for each in _kit_of(recipe)}
        text = standalone.standalone(text, kit)
    except standalone.CannotInline as error:
        raise BadInput(f"{recipe} cannot be copied: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{recipe} or the kit beside it cannot be read: {error}.") from error
    return _created(target, text)


def _created(path: Path, text: str) -> Path:
    """Write a new file, in a folder that may be new as well. Raises BadInput."""
    cannot = f"{path} cannot be written"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{cannot}: {error.strerror}.", "Choose another folder.") from error
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise BadInput(f"{path} already exists.", "Choose another name.") from None
    except OSError as error:
        raise BadInput(f"{cannot}: {error.strerror}.", "Choose another folder.") from error
    return path


def _kit_of(recipe: Path) -> list[Path]:
    """The modules of the kit beside a recipe."""
    return [each for each in (recipe.parent / standalone.KIT).glob("*.py") if each.stem != "__init__"]


def check(path: Path, python: Callable[[], str] | None) -> tuple[Problem, ...]:
    """What is wrong with the recipe, by line.

    A start is tried only when its text is right, with the interpreter that `python` finds, or builds; None:
    no start. Raises BadInput.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_BYTES).decode("utf-8")
    except UnicodeDecodeError:
        return (Problem(1, "It is no UTF-8 text: save it as UTF-8."),)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.", "Name the file of a recipe.") from error
    if path.suffix == ".ipynb" or notebook.is_percent(text):
        return notebook.check(text, path)
    problems = lint.check(text, path)
    if problems or python is None or not lint.has_parser(text):
        return problems
    try:
        return _started(path, python())
    except (BadInput, BuildFailed) as error:
        return (Problem(1, str(error)),)


def environment_python(
    file: Path, home: Home, say: Callable[[str], None], environ: Mapping[str, str]
) -> str:
    """The interpreter that a recipe's file runs with: this one, or that of its environment, which is built
    first where it is not there. Raises BadInput, BuildFailed."""
    recipe = parse(file.read_text(encoding="utf-8"), file)
    wanted = None if recipe is None or isinstance(recipe, tuple) else installed.wanted(recipe)
    if wanted is None:
        return sys.executable
    home.make()
    key = remember(home.recipe_environments, wanted)
    digest = build(home.recipe_environments, key, file.stem, say=say, environ=environ)
    return str(home.recipe_environments / digest / "bin" / "python")


def _started(path: Path, python: str) -> tuple[Problem, ...]:
    argv = [python, str(path.absolute()), "--help"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CRO_")}
    try:
        done = subprocess.run(
            argv, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=START_S, check=False
        )
    except subprocess.TimeoutExpired:
        return (
            Problem(1, f"Started with --help it has not ended after {START_S:g} s: parse the flags first."),
        )
    if done.returncode == 0:
        return ()
    last = (done.stderr.decode(errors="replace").strip().splitlines() or ["it printed nothing"])[-1]
    return (Problem(1, f"Started with --help it ends with {done.returncode}: {last[:300]}"),)
