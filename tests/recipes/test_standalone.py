"""Self-contained copies: the recipe with the parts of the kit that it uses, and the same results."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.client.recipe_check import check, write_copy
from jobs.core.ports import BadInput
from recipes import manifest, skeleton
from recipes.discover import library_folder
from recipes.standalone import CannotInline, standalone

from .conftest import LoadRecipe, RunRecipe

NAMES = sorted(path.stem for path in library_folder().glob("*.py"))
PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_needs_nothing_beside_it(name: str, copies: Path, load_recipe: LoadRecipe) -> None:
    path = copies / f"{name}.py"
    text = path.read_text()
    imported = {
        module.split(".")[0]
        for node in ast.parse(text).body
        for module in (
            [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names
    original = load_recipe(name)
    copied = load_recipe(name, copies)
    assert copied.run.__module__ == copied.main.__module__ != original.run.__module__
    assert copied.arguments().format_help() == original.arguments().format_help()
    headers = [manifest.parse(each.read_text(), path) for each in (path, library_folder() / path.name)]
    assert isinstance(headers[0], manifest.Recipe) and headers[0] == headers[1]
    assert check(path, None) == ()


def test_copies_are_formatted_and_import_what_they_use(copies: Path) -> None:
    config = f"--config={PROJECT / 'pyproject.toml'}"
    for words in (("format", "--check"), ("check", "--no-cache")):
        argv = [sys.executable, "-m", "ruff", *words, config, str(copies)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_copy_has_only_what_it_uses(copies: Path) -> None:
    text = (copies / "sklearn_preprocess.py").read_text()
    assert "def preparation(" in text and "def load(" in text
    assert not re.search(r"Checkpoints|keras|def (report_model|text_column|save_pipeline)\b", text)
    assert len(text.splitlines()) < 400


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("sklearn_linear", ("--data", "wine", "--folds", "2")),
        ("sklearn_search", ("--data", "wine", "--model", "linear", "--size", "2")),
        ("sklearn_clusters", ("--data", "wine", "--n-init", "2")),
    ],
)
def test_a_copy_gives_the_same_metrics(
    name: str, flags: tuple[str, ...], run_here: RunRecipe, copies: Path
) -> None:
    original = run_here(name, *flags, "--seed", 5, folder="original")
    copied = run_here(name, *flags, "--seed", 5, folder="copy", within=copies)
    assert (original.code, copied.code, copied.err) == (0, 0, "")
    assert copied.metrics == original.metrics and len(copied.metrics) >= 3


def test_a_copy_starts_as_a_process_where_another_kit_lies(copies: Path, tmp_path: Path) -> None:
    (tmp_path / "kit.py").write_text("raise SystemExit('the wrong kit')")
    for folder in (copies, library_folder()):
        done = subprocess.run(
            [sys.executable, str(folder / "sklearn_forest.py"), "--help"],
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 and "--n-estimators" in done.stdout, done.stderr


KIT = {
    "low": '''\
"""The low part."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy

HALF = 0.5
# one of a pair
PI = math.pi  # rounded


def area(radius: float) -> numpy.float64:
    """Of a circle."""
    unused = HALF = 1
    return PI * radius**2 * HALF * unused


def other() -> Callable[[], float]:
    return lambda: HALF
''',
    "high": '''\
"""The high part. More of it."""

import json
from functools import cache

from .low import HALF, area


class Round:
    size = HALF

    @staticmethod
    def of(radius):
        return area(radius)


@cache
def described(radius):
    return json.dumps([Round.of(radius)])
''',
}
RECIPE = '''\
# a header
"""What it does."""

import sys
import time
from pathlib import Path

import numpy

from kit.high import described
from kit.low import area

NAME = Path(sys.argv[0]).name


def main():
    print(described(1), area(2), time.time(), numpy)
'''


def test_names_are_followed_and_imports_merged() -> None:
    assert (
        standalone(RECIPE, KIT)
        == '''\
# a header
"""What it does."""

from __future__ import annotations

import json
import math
import sys
import time
from functools import cache
from pathlib import Path

import numpy

# --- The low part ---------------------------------------------------------------------------------

HALF = 0.5
# one of a pair
PI = math.pi  # rounded


def area(radius: float) -> numpy.float64:
    """Of a circle."""
    unused = HALF = 1
    return PI * radius**2 * HALF * unused


# --- The high part. More of it --------------------------------------------------------------------


class Round:
    size = HALF

    @staticmethod
    def of(radius):
        return area(radius)


@cache
def described(radius):
    return json.dumps([Round.of(radius)])


# --- The recipe -----------------------------------------------------------------------------------

NAME = Path(sys.argv[0]).name


def main():
    print(described(1), area(2), time.time(), numpy)
'''
    )


def test_a_recipe_without_a_kit_is_copied_as_it_is() -> None:
    for text in (skeleton.script("mine"), "%matplotlib inline\nfrom kitchen import sink\n"):
        assert standalone(text, KIT) == text


@pytest.mark.parametrize(
    ("recipe", "kit", "message"),
    [
        ("from kit.low import nothing", {}, "kit/low.py does not define nothing."),
        ("from kit.none import area", {}, "There is no kit/none.py beside the recipe."),
        ("import kit.low", {}, "the recipe, line 1: write `from kit.module import name`."),
        ("from kit import low", {}, "the recipe, line 1: write `from kit.module import name`."),
        ("from kit.low import *", {}, "the recipe, line 1: write `from kit.module import name`."),
        ("from kit.low import area as a", {}, "the recipe, line 1: import area by its own name."),
        ("import os\ndef f():\n    from kit.low import area", {}, "Line 3 imports the kit"),
        ("from kit.low import area\ndef (:", {}, "Python cannot read the recipe: "),
        ("from kit.low import area\nPI = 3", {}, "'PI' would mean two things in one file"),
        ("import json as math\nfrom kit.low import area", {}, "'math' would mean two things in one file"),
        ("from kit.bad import x", {"bad": "x = 1\nprint()"}, "kit/bad.py, line 2: only definitions"),
        ("from kit.bad import x", {"bad": "def ("}, "Python cannot read kit/bad.py: "),
        ("from kit.a import x", {"a": "from .b import x", "b": "from .a import x"}, "in a circle: a, b"),
    ],
)
def test_what_cannot_be_inlined_is_one_sentence(recipe: str, kit: dict[str, str], message: str) -> None:
    with pytest.raises(CannotInline) as raised:
        standalone(recipe, KIT | kit)
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    recipe = library_folder() / "sklearn_forest.py"
    made = write_copy(recipe, tmp_path / "new" / "mine.py")
    before = made.read_text()
    with pytest.raises(BadInput, match=r"mine\.py already exists\. Choose another name\."):
        write_copy(recipe, made)
    assert made.read_text() == before
    for target in ("mine", "mine.ipynb", ""):
        with pytest.raises(BadInput, match=r"must end in \.py"):
            write_copy(recipe, tmp_path / target)
    with pytest.raises(BadInput, match="cannot be written"):
        write_copy(recipe, made / "mine.py")
    own = tmp_path / "own.py"
    own.write_text("from kit.data import load\n")
    with pytest.raises(BadInput, match=r"own\.py cannot be copied: There is no kit/data\.py beside"):
        write_copy(own, tmp_path / "copy.py")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "own.py"]


def test_the_command_copies_a_recipe_by_name(tmp_path: Path) -> None:
    environ = {"CRO_HOME": str(tmp_path / "home")}

    def cro(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "cro_tui", *words]
        return subprocess.run(argv, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)

    made = cro("recipe", "copy", "sklearn_forest", "recipes/mine.py")
    assert (made.returncode, made.stderr) == (0, "")
    assert "recipes/mine.py" in made.stdout and "cro-tui recipe check" in made.stdout
    again = cro("recipe", "copy", "mine", "recipes/other.py")
    assert again.returncode == 0, again.stderr
    first, second = ((tmp_path / "recipes" / f"{name}.py").read_text() for name in ("mine", "other"))
    assert first == second, "a copy has no kit, so it is copied as it is"
    refused = cro("recipe", "copy", "sklearn_forest", "recipes/mine.py")
    assert refused.returncode == 2 and "already exists" in refused.stderr
    unknown = cro("recipe", "copy", "sklearn_florist", "x.py")
    assert unknown.returncode == 2 and "sklearn_forest" in unknown.stderr
    assert cro("recipe", "check", "recipes/mine.py", "--no-start").returncode == 0
