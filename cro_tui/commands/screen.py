"""Opens the screen; what `cro-tui` without a word does."""

from __future__ import annotations

import sys

import click

from cro_tui.commands.opened import opened
from jobs.ports import BadInput


@click.command(short_help="Open the screen.")
def screen() -> int:
    """Open the screen: live load, the queue, the logs. The same as cro-tui alone."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise BadInput("The screen needs a terminal.", "Without one, try: cro-tui status")
    with opened() as api:
        from cro_tui.app import run

        return run(api, api.settings)
