"""Opens the screen; what `cro-tui` without a word does."""

from __future__ import annotations

import sys
from dataclasses import replace

import click

from cro_tui.commands.command_context import open_client
from jobs.core.ports import BadInput


@click.command(short_help="Open the screen.")
@click.option("--readonly", is_flag=True, help="Only show: nothing can be queued, stopped or signalled.")
def screen(readonly: bool) -> int:
    """Open the screen: live load, the queue, the logs. The same as cro-tui alone.

    \b
      cro-tui screen --readonly
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise BadInput("The screen needs a terminal.", "Without one, try: cro-tui status")
    with open_client() as client:
        from cro_tui.app import run

        settings = client.settings
        if readonly:
            settings = replace(settings, screen=replace(settings.screen, readonly=True))
        client.connection.readonly = settings.screen.readonly
        return run(client, settings)
