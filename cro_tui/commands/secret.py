"""secret ...: values that recipes name and that nothing shows: set, list, remove."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from cro_tui.commands.command_context import note, now_s, open_client, print_json, print_table
from cro_tui.commands.options import json_option
from cro_tui.present import ago, clean


@click.group(short_help="Set, list, remove values that recipes name.")
def secret() -> None:
    """Values that nobody may see, like tokens: a recipe names them, its jobs are given them."""


@secret.command("set", short_help="Keep a value, typed unseen or piped in.")
@click.argument("name")
def set_(name: str) -> int:
    """Keep a value for all recipes that name it. It is typed unseen, or read from standard input.

    It is never an argument, which others could see in the list of processes. Jobs that wait are given the
    newest value when they start.

    \b
      cro-tui secret set HF_TOKEN
      pass show hf | cro-tui secret set HF_TOKEN
    """
    if sys.stdin.isatty():
        value = click.prompt(
            f"{clean(name, 64)} (not shown)", hide_input=True, default="", show_default=False
        )
    else:
        value = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    with open_client() as client:
        client.secrets.set(name, value)
    print(f"{name} is set.")
    return 0


@secret.command("list", short_help="Name the secrets that are kept.")
@json_option
def list_(as_json: bool) -> int:
    """Name the secrets that are kept. Their values are shown nowhere.

    \b
      cro-tui secret list
    """
    with open_client() as client:
        found = client.secrets.list()
    if as_json:
        print_json([asdict(each) for each in found])
    elif found:
        print_table(
            ("SECRET", "SET"), [(clean(each.name, 64), ago(each.set_at, now_s())) for each in found]
        )
    else:
        note("No secrets. cro-tui secret set NAME keeps one.")
    return 0


@secret.command(short_help="Forget a secret.")
@click.argument("name")
def remove(name: str) -> int:
    """Forget a secret. Jobs that name it and wait will fail with a sentence that says so.

    \b
      cro-tui secret remove HF_TOKEN
    """
    with open_client() as client:
        client.secrets.remove(name)
    print(f"{name} is removed.")
    return 0
