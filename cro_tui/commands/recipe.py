"""recipe new, copy, check: create a recipe, and compare its header with its code."""

from __future__ import annotations

import click

from cro_tui.commands.command_context import note, open_client, print_json
from cro_tui.commands.options import json_option
from cro_tui.present import clean

WRONG = 1


@click.group(short_help="Create a recipe, or check one.")
def recipe() -> None:
    """Create or check a recipe. `cro-tui recipes` lists the recipes that exist."""


@recipe.command(short_help="Write a new recipe to edit.")
@click.argument("name")
@click.option(
    "--folder", default="recipes", metavar="FOLDER", help="Folder to write to (default: ./recipes)."
)
@click.option("--notebook", is_flag=True, help="Write a Jupyter notebook instead of a script.")
def new(name: str, folder: str, notebook: bool) -> int:
    """Write NAME.py, or NAME.ipynb, to ./recipes: a small recipe that already runs, to edit.

    \b
      cro-tui recipe new my_forest
      cro-tui recipe new my_study --notebook
    """
    with open_client() as client:
        path = client.recipes.create(name, folder, notebook=notebook)
    written = clean(str(path), 1000)
    print(f"Wrote {written}. Edit it, then: cro-tui recipe check {written}")
    return 0


@recipe.command(short_help="Copy a recipe into one file to edit.")
@click.argument("name")
@click.argument("file")
def copy(name: str, file: str) -> int:
    """Write the recipe NAME to FILE, one self-contained file to edit.

    The shipped recipes share a kit; the copy holds the parts of it that the recipe uses, and gives the
    same results. An existing file is never overwritten.

    \b
      cro-tui recipe copy sklearn_forest recipes/my_forest.py
    """
    with open_client() as client:
        path = client.recipes.copy(name, file)
    written = clean(str(path), 1000)
    print(f"Wrote {written}. Edit it, then: cro-tui recipe check {written}")
    print("A recipe in ./recipes can be queued by its name.")
    return 0


@recipe.command(short_help="Compare a recipe's header with its code.")
@click.argument("file")
@click.option("--no-start", is_flag=True, help="Do not start it with --help.")
@json_option
def check(file: str, no_start: bool, as_json: bool) -> int:
    """Check a recipe: its header, its parameters against the code, and that it starts with --help.

    Exits with 1 if something is wrong.

    \b
      cro-tui recipe check recipes/my_forest.py
    """
    with open_client() as client:
        problems = client.recipes.check(
            file, start=not no_start, say=lambda phase: note(f"its environment: {phase} ...")
        )
    if as_json:
        print_json([{"line": problem.line, "message": problem.message} for problem in problems])
    elif problems:
        for problem in problems:
            note(f"{clean(file, 300)}, line {problem.line}: {problem.message}")
    else:
        print("No problems found.")
    return WRONG if problems else 0
