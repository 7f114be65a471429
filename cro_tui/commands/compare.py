"""compare: jobs side by side: what differs, and their metrics."""

from __future__ import annotations

import click

from cro_tui.commands.command_context import now_s, open_client, print_json, print_table
from cro_tui.commands.options import ids_argument, json_option
from cro_tui.present.compare import head, rows
from jobs.core.jobs import JobId
from jobs.core.ports import BadInput

_MOST = 12


@click.command(short_help="Show jobs side by side.")
@ids_argument
@json_option
def compare(ids: tuple[JobId, ...], as_json: bool) -> int:
    """Show jobs side by side: what differs of what they were asked for, and all their metrics.

    * marks the best, by what the first job's recipe says about its metrics.

    \b
      cro-tui compare 12 13
    """
    chosen = tuple(dict.fromkeys(ids))
    if not 2 <= len(chosen) <= _MOST:
        raise BadInput(f"Name 2 to {_MOST} jobs to compare.", "cro-tui ls shows their ids.")
    with open_client() as client:
        jobs = [client.jobs.get(job_id) for job_id in chosen]
        better = client.recipes.better_metrics(jobs[0].spec.recipe)
    found = rows(jobs, better, now_s())
    if as_json:
        print_json({"ids": list(chosen), "rows": [list(row) for row in found]})
    else:
        print_table(head(jobs), found, stretch=range(1, len(jobs) + 1))
    return 0
