"""Notebooks as recipes, from their text alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recipes import notebook, skeleton
from recipes.discover import Broken, catalogue
from recipes.model import ParamType, Recipe

PATH = Path("study.ipynb")
PERCENT = """\
# %% [markdown]
# # A study
# of something

# %% tags=["parameters"]
trees = 100  # how many trees
rate: float = -0.5
name = "x # y"
fast = True
data = load()
one = two = 3
help = 1

# %%
%matplotlib inline
print(trees)
"""
HEADER = """\
# /// script
# [tool.cro]
# title = "Named"
# [tool.cro.params]
# trees = {{ default = {}, min = 1 }}
# ///"""


def ipynb(*cells: tuple[str, str, list[str]], **about: object) -> str:
    made = [{"cell_type": k, "metadata": {"tags": t}, "source": s} for k, s, t in cells]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5, **about})


def test_the_tagged_cell_gives_the_parameters_with_their_types_and_words() -> None:
    recipe = notebook.parse(PERCENT, Path("study.py"))
    assert isinstance(recipe, Recipe)
    assert (recipe.title, recipe.notebook, recipe.warm) == ("A study", True, False)
    assert [(each.name, each.type, each.default, each.help) for each in recipe.params] == [
        ("trees", ParamType.INT, 100, "how many trees"),
        ("rate", ParamType.FLOAT, -0.5, ""),
        ("name", ParamType.STR, "x # y", ""),
        ("fast", ParamType.BOOL, True, ""),
    ]
    assert notebook.check(PERCENT, Path("study.py")) == ()


def test_a_header_in_a_cell_counts_and_has_to_agree_with_the_tagged_one() -> None:
    cells = [("code", HEADER.format(5), []), ("code", ["trees = 5\n", "more = 1"], ["parameters"])]
    text = ipynb(*cells)  # type: ignore[arg-type]
    recipe = notebook.parse(text, PATH)
    assert isinstance(recipe, Recipe)
    assert recipe.title == "Named"
    assert [(each.name, each.minimum) for each in recipe.params] == [("trees", 1)]
    assert notebook.check(text, PATH) == ()
    (problem,) = notebook.check(text.replace("trees = 5", "trees = 6"), PATH)
    assert "is 5 in the header, 6 in the cell" in problem.message
    (problem,) = notebook.check(ipynb(("code", HEADER.format(5), [])), PATH)
    assert "tag the cell" in problem.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("{}", "format 4"),
        (ipynb(metadata={"kernelspec": {"language": "R\x1b"}}), 'written in "r?"'),
        ('{"cells": [3]}', "Cell 1 is damaged"),
        (ipynb(("code", "x = (", ["parameters"])), "Cell 1: "),
        (ipynb(("code", "x = 1", ["parameters"]), ("code", "x = 1", ["parameters"])), "keep one"),
    ],
)
def test_what_is_wrong_is_one_sentence(text: str, words: str) -> None:
    (problem,) = notebook.check(text, PATH)
    assert words in problem.message


def test_only_those_that_mean_to_be_recipes_are_found(tmp_path: Path) -> None:
    (tmp_path / "plain.ipynb").write_text(ipynb(("code", "x = 1", [])))
    (tmp_path / "script.py").write_text("# %%\nprint(1)\n")
    (tmp_path / "study.ipynb").write_text(ipynb(("code", "x = 1", ["parameters"])))
    (tmp_path / "percent.py").write_text(PERCENT)
    (tmp_path / "torn.ipynb").write_text(ipynb(("code", "x = 1", ["parameters"]))[:-9])
    with (tmp_path / "huge.ipynb").open("wb") as file:
        file.truncate(notebook.LARGEST_BYTES + 2)
    found = catalogue([tmp_path])
    assert [(each.name, isinstance(each, Broken)) for each in found.entries] == [
        ("huge", True),
        ("percent", False),
        ("study", False),
        ("torn", True),
    ]


def test_a_new_notebook_has_nothing_wrong() -> None:
    text = skeleton.notebook("my_study")
    assert notebook.check(text, PATH) == ()
    recipe = notebook.parse(text, PATH)
    assert isinstance(recipe, Recipe)
    assert (recipe.title, [each.name for each in recipe.params]) == ("my study", ["trees", "depth", "seed"])
