"""daemon: the scheduler in the foreground, and how to look at it, stop it and pause the queue."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from cro_tui.commands.command_context import now_s, open_client, print_json
from cro_tui.commands.options import json_option
from cro_tui.present import daemon_json, daemon_line
from jobs.client import Client
from jobs.core.ports import BadInput, WrongState
from jobs.installation.home import Home


@click.command(short_help="Run, look at or stop the scheduler.")
@click.option("--stop", is_flag=True, help="Ask it to leave; running jobs go on.")
@click.option("--status", is_flag=True, help="Say whether it runs.")
@click.option("--start", is_flag=True, help="Start it in the background, unless it runs.")
@click.option("--drain/--no-drain", default=None, help="Start nothing new / let the queue go on.")
@json_option
def daemon(stop: bool, status: bool, start: bool, drain: bool | None, as_json: bool) -> int:
    """Run the scheduler here until Ctrl-C. Every command starts one when it needs it, so this is rarely
    needed. Jobs outlive it.

    \b
      cro-tui daemon --status
      cro-tui daemon --drain
      cro-tui daemon --stop
    """
    if sum((stop, status, start, drain is not None)) > 1:
        raise BadInput("Say one thing: --stop, --status, --start, --drain or --no-drain.")
    if as_json and not status:
        raise BadInput("--json belongs to --status.", "Try: cro-tui daemon --status --json")
    with open_client() as client:
        if status:
            return _status(client, as_json)
        if stop:
            print("The scheduler has left; jobs go on." if client.scheduler.stop() else "No scheduler ran.")
            return 0
        if drain is not None:
            client.scheduler.drain(drain)
            print("Nothing new starts; running jobs go on." if drain else "The queue goes on.")
            return 0
        if start:
            print(daemon_line(client.scheduler.start(), now_s()).capitalize() + ".")
            return 0
        found = client.scheduler.status()
        if found.running:
            raise WrongState(
                f"A scheduler runs already (process {found.pid}).", "Stop it with: cro-tui daemon --stop"
            )
        home = client.home
    return _become(home)


def _become(home: Home) -> int:
    """Replace this process by the scheduler's."""
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    words = [sys.executable, "-m", "jobs.daemon", "--data", str(home.data)]
    words += ["--settings", str(home.settings_file)]
    sys.stdout.flush()
    os.execve(sys.executable, words, {**os.environ, "PYTHONPATH": os.pathsep.join(paths)})


def _status(client: Client, as_json: bool) -> int:
    found = client.scheduler.status()
    if as_json:
        print_json(daemon_json(found))
        return 0
    process = f" (process {found.pid})" if found.running and found.pid else ""
    print(daemon_line(found, now_s()).capitalize() + process + ".")
    return 0
