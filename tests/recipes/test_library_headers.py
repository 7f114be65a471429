"""Each shipped recipe's header and its real argparse agree, and it is a script that a person can read."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys

import pytest

from recipes.discover import catalogue, library_folder
from recipes.manifest import Framework, Kind, Param, ParamType, ParamValue, Recipe
from recipes.params import flags, validate

from .conftest import LoadRecipe

RECIPES = catalogue([library_folder()]).recipes
BY_NAME = pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)


def settle(recipe: Recipe, **values: ParamValue) -> dict[str, ParamValue]:
    """All parameters with these values; a required path is `/there`."""
    needed = {param.name: "/there" for param in recipe.params if param.required}
    typed, problems = validate(recipe, {**needed, **values}, cwd="/", exists=lambda _: True)
    assert problems == {}
    return typed


@BY_NAME
def test_flags_of_the_defaults_are_the_parsers_own_defaults(
    recipe: Recipe, load_recipe: LoadRecipe
) -> None:
    parser: argparse.ArgumentParser = load_recipe(recipe.name).arguments()
    typed = settle(recipe)
    assert vars(parser.parse_args(flags(recipe, typed))) == typed
    given = [f"{param.flag}=/there" for param in recipe.params if param.required]
    assert vars(parser.parse_args(given)) == typed
    helped = {action.dest: action.help for action in parser._actions}
    assert all(helped[param.name] == param.help for param in recipe.params if param.name != "data")
    assert all(param.help for param in recipe.params)


@BY_NAME
def test_bounds_and_choices_agree(
    recipe: Recipe, load_recipe: LoadRecipe, capsys: pytest.CaptureFixture[str]
) -> None:
    parser: argparse.ArgumentParser = load_recipe(recipe.name).arguments()

    def accepts(param: Param, value: ParamValue) -> bool:
        needed = [f"{each.flag}=/there" for each in recipe.params if each.required]
        try:
            parsed = parser.parse_args([*needed, f"{param.flag}={value}"])
        except SystemExit as end:
            assert end.code == 2
            return False
        return bool(getattr(parsed, param.name) == value)

    for param in recipe.params:
        if param.type in (ParamType.INT, ParamType.FLOAT):
            assert param.minimum is not None and param.maximum is not None
            step = 1 if param.type is ParamType.INT else max(1e-9, abs(param.minimum) / 1000)
            assert accepts(param, param.minimum) and accepts(param, param.maximum)
            assert not accepts(param, param.minimum - step) and not accepts(param, param.maximum + step)
            assert not accepts(param, "many")
        if param.type is ParamType.CHOICE:
            assert all(accepts(param, choice) for choice in param.choices)
            assert not accepts(param, "something else")
    capsys.readouterr()


@BY_NAME
def test_headers_are_complete(recipe: Recipe) -> None:
    assert recipe.framework is not Framework.NONE and recipe.kind is not Kind.OTHER
    assert recipe.description and recipe.requires_python == ">=3.11" and recipe.repeatable
    assert recipe.checkpoint == (recipe.kind is Kind.TRAIN), "the others finish in seconds"
    needs = recipe.needs
    assert needs.cpus and needs.mem_bytes and needs.time_limit_s and needs.gpus == 0
    framework = "tensorflow" if recipe.framework is Framework.TENSORFLOW else "scikit-learn"
    assert any(dependency.startswith(framework) for dependency in recipe.dependencies)
    assert {"seed", "data"} <= {param.name for param in recipe.params}


@BY_NAME
def test_a_recipe_is_a_script_to_read(recipe: Recipe) -> None:
    """Short, and with nothing heavy imported at its top; its name is its file's."""
    text = recipe.path.read_text()
    assert not re.search(r"^\s*(?:import|from) (?:recipes|jobs|cro_tui)\b", text, re.M)
    top = set(re.findall(r"^(?:import|from) (\w+)", text, re.M))
    assert top <= {*sys.stdlib_module_names, "kit"}
    assert 60 <= len(text.splitlines()) <= 150
    assert recipe.path.stem == recipe.name


def test_the_kit_is_no_recipe_and_loads_nothing_heavy() -> None:
    kit = library_folder() / "kit"
    assert {entry.path.parent for entry in catalogue([library_folder()]).entries} == {library_folder()}
    assert catalogue([kit]).entries == ()
    names = [path.stem for path in kit.glob("*.py") if path.stem != "__init__"]
    code = f"import sys\nfrom kit import {', '.join(names)}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=library_folder(), capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"numpy", "pandas", "sklearn", "tensorflow", "keras", "joblib", "matplotlib"}
