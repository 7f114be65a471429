"""doctor: is everything in order, line by line, with what to do about what is not."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from cro_tui.commands.command_context import print_json
from cro_tui.commands.options import json_option
from cro_tui.present import clean
from jobs.installation.home import Home

if TYPE_CHECKING:
    from jobs.client.doctor import Finding

SMALLEST = (80, 24)


@click.command(short_help="Check this installation.", epilog="Exit code: 1 when a check fails, else 0.")
@json_option
def doctor(as_json: bool) -> int:
    """Check this installation: Python, files, database, scheduler, GPUs, terminal, recipes.

    Each line is ok, warn or fail, and says what to do.

    \b
      cro-tui doctor
    """
    from jobs.client.doctor import Severity, examine

    findings = [*examine(Home.find()), *_terminal()]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            print(f"{finding.level.value:<4}  {finding.check:<9}  {clean(finding.text, 1000)}")
            if finding.remedy:
                print(f"{'':<17}{clean(finding.remedy, 1000)}")
    return int(any(finding.level is Severity.FAIL for finding in findings))


def _terminal() -> Iterator[Finding]:
    from jobs.client.doctor import Finding, Severity

    if not sys.stdout.isatty():
        yield Finding("terminal", Severity.OK, "output goes to no terminal; nothing to check")
        return
    size = shutil.get_terminal_size()
    term = os.environ.get("TERM", "")
    inside = ", inside tmux" if os.environ.get("TMUX") else ""
    if size.columns < SMALLEST[0] or size.lines < SMALLEST[1]:
        yield Finding(
            "terminal",
            Severity.WARN,
            f"{size.columns} columns and {size.lines} lines are few for the screen.",
            "Make the window at least 80 by 24.",
        )
    elif term in ("", "dumb"):
        yield Finding(
            "terminal", Severity.WARN, "TERM names no terminal.", "Set it, for example: TERM=xterm-256color"
        )
    else:
        yield Finding("terminal", Severity.OK, f"{term}, {size.columns} by {size.lines}{inside}")
    if (sys.stdout.encoding or "").lower().replace("-", "") != "utf8":
        yield Finding(
            "letters",
            Severity.WARN,
            f"The terminal's encoding is {sys.stdout.encoding}, not UTF-8.",
            'Set LANG=C.UTF-8, or graph = "ascii" under [screen] in the settings.',
        )
