"""Each shipped recipe's header and its real argparse agree, and the shared parts are the same text."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import pytest

from recipes.discover import catalogue, library_folder
from recipes.manifest import Framework, Kind, Param, ParamType, ParamValue, Recipe
from recipes.params import flags, validate

from .conftest import LoadRecipe

RECIPES = catalogue([library_folder()]).recipes
SHARED = re.compile(
    r"# --- (shared by [a-zA-Z -]+), word for word -+\n.*?\n# --- end of the [a-zA-Z -]+ -+\n", re.S
)
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
    helped = parser.format_help()
    assert all(param.flag in helped for param in recipe.params)
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
    assert recipe.checkpoint == (recipe.kind is Kind.TRAIN), "the others are over in seconds"
    needs = recipe.needs
    assert needs.cpus and needs.mem_bytes and needs.time_limit_s and needs.gpus == 0
    framework = "tensorflow" if recipe.framework is Framework.TENSORFLOW else "scikit-learn"
    assert any(dependency.startswith(framework) for dependency in recipe.dependencies)
    assert {"seed", "data"} <= {param.name for param in recipe.params}


def test_shared_parts_are_word_for_word_the_same() -> None:
    parts: dict[str, set[str]] = {}
    owners: dict[str, list[str]] = {}
    for recipe in RECIPES:
        for match in SHARED.finditer(recipe.path.read_text()):
            parts.setdefault(match[1], set()).add(match[0])
            owners.setdefault(match[1], []).append(recipe.name)
    assert {name: len(texts) for name, texts in parts.items()} == dict.fromkeys(parts, 1)
    assert {name: len(names) for name, names in owners.items()} == {
        "shared by every recipe of the library": 15,
        "shared by the training recipes": 11,
        "shared by the evaluating recipes": 2,
        "shared by the text recipes": 2,
        "shared by the recipes of groups": 2,
        "shared by the scikit-learn recipes": 8,
        "shared by the scikit-learn training recipes": 6,
        "shared by the scikit-learn linear recipes": 2,
        "shared by the TensorFlow recipes": 7,
        "shared by the TensorFlow training recipes": 5,
        "shared by the TensorFlow recipes that stop early": 4,
        "shared by the recipes that read a network": 2,
    }


@BY_NAME
def test_a_recipe_is_a_plain_script(recipe: Recipe) -> None:
    text = recipe.path.read_text()
    assert not re.search(r"^\s*(?:import|from) (?:recipes|jobs|cro_tui)\b", text, re.M)
    top = set(re.findall(r"^(?:import|from) (\w+)", text, re.M))
    assert top <= set(sys.stdlib_module_names)
    own = SHARED.sub("", text).splitlines()
    assert len(own) < 180 and Path(recipe.path).stem == recipe.name
