"""recipe new, recipe check: begin a recipe, and compare its header with its code."""

from __future__ import annotations

import click

from cro_tui.commands.command_context import note, open_client, print_json
from cro_tui.commands.options import json_option
from cro_tui.present import clean

WRONG = 1


@click.group(short_help="Begin a recipe, or check one.")
def recipe() -> None:
    """Begin a recipe, or check one. cro-tui recipes lists those that there are."""


@recipe.command(short_help="Write a recipe to begin with.")
@click.argument("name")
@click.option("--folder", default="recipes", metavar="FOLDER", help="Where to (default: ./recipes).")
@click.option("--notebook", is_flag=True, help="A Jupyter notebook, not a script.")
def new(name: str, folder: str, notebook: bool) -> int:
    """Write NAME.py, or NAME.ipynb, into ./recipes: a recipe that runs as it is, to be changed.

    \b
      cro-tui recipe new my_forest
      cro-tui recipe new my_study --notebook
    """
    with open_client() as api:
        path = api.new_recipe(name, folder, notebook=notebook)
    written = clean(str(path), 1000)
    print(f"{written} is written. Change it, then: cro-tui recipe check {written}")
    return 0


@recipe.command(short_help="Compare a recipe's header with its code.")
@click.argument("file")
@click.option("--no-start", is_flag=True, help="Do not start it with --help.")
@json_option
def check(file: str, no_start: bool, as_json: bool) -> int:
    """Check a recipe: its header, its parameters against the code, and that it starts with --help.

    Leaves with 1 when something is wrong.

    \b
      cro-tui recipe check recipes/my_forest.py
    """
    with open_client() as api:
        problems = api.check_recipe(
            file, start=not no_start, say=lambda phase: note(f"its environment: {phase} ...")
        )
    if as_json:
        print_json([{"line": problem.line, "message": problem.message} for problem in problems])
    elif problems:
        for problem in problems:
            note(f"{clean(file, 300)}, line {problem.line}: {problem.message}")
    else:
        print("Nothing wrong was found.")
    return WRONG if problems else 0
