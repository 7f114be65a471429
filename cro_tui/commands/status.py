"""status: the machine, the queue and the scheduler on a few lines."""

from __future__ import annotations

import click

from cro_tui.commands.opened import note, now_s, opened, print_json
from cro_tui.commands.options import json_option
from cro_tui.present import (
    capacity_json,
    counts_json,
    counts_line,
    daemon_json,
    daemon_line,
    machine_lines,
    sample_json,
)
from jobs.views import JobQuery


@click.command(short_help="Show the machine's load and the queue.")
@json_option
def status(as_json: bool) -> int:
    """Show the machine's load, how many jobs run and wait, and whether the scheduler runs.

    \b
      cro-tui status
    """
    with opened() as api:
        snapshot = api.snapshot(JobQuery(limit=1))
    if as_json:
        print_json(
            {
                "at": snapshot.at,
                "counts": counts_json(snapshot.counts),
                "capacity": capacity_json(snapshot.capacity),
                "sample": sample_json(snapshot.sample),
                "daemon": daemon_json(snapshot.daemon),
                "note": snapshot.note,
            }
        )
        return 0
    for line in machine_lines(snapshot.sample, snapshot.capacity):
        print(line)
    print(f"JOBS  {counts_line(snapshot.counts)}")
    print(f"      {daemon_line(snapshot.daemon, now_s())}")
    if snapshot.note:
        note(snapshot.note)
    return 0
