"""environments: what recipes whose packages are not installed here run in: list them, remove them."""

from __future__ import annotations

from dataclasses import asdict

import click

from cro_tui.commands.command_context import note, now_s, open_client, print_json, print_table
from cro_tui.commands.options import json_option
from cro_tui.present import ago, bytes_text, clean


@click.command(short_help="List or remove the environments of recipes.")
@click.option("--remove", "removed", multiple=True, metavar="DIGEST", help="Remove this one.")
@click.option("--prune", is_flag=True, help="Remove the longest unused beyond the size of the settings.")
@json_option
def environments(removed: tuple[str, ...], prune: bool, as_json: bool) -> int:
    """List the environments that were built for recipes whose packages are not installed here.

    One that a waiting or running job needs is never removed; the first characters name one.

    \b
      cro-tui environments
      cro-tui environments --remove 3fa2
    """
    with open_client() as client:
        gone = [each.digest for each in client.environments.remove(removed)] if removed else []
        if prune:
            gone += client.environments.prune()
        left = client.environments.list()
    if as_json:
        print_json([asdict(each) for each in left])
        return 0
    for digest in gone:
        print(f"{digest} is removed.")
    rows = [
        (
            each.digest,
            str(each.packages),
            bytes_text(each.size_bytes),
            ago(each.used_at, now_s()),
            clean(", ".join(each.recipes), 100) + (" (needed)" if each.needed else ""),
        )
        for each in left
    ]
    if rows:
        print_table(("DIGEST", "PACKAGES", "SIZE", "USED", "FOR"), rows, stretch=(4, 0))
    else:
        note("No environments: recipes run with what is installed here.")
    return 0
