"""why: what keeps a job waiting, with numbers; works with no scheduler, too."""

from __future__ import annotations

import click

from cro_tui.commands.command_context import now_s, open_client, print_json
from cro_tui.commands.options import job_id, json_option
from cro_tui.present import (
    job_json,
    name_text,
    start_estimate_json,
    start_estimate_lines,
    state_word,
    why_lines,
)
from jobs.core.jobs import JobId


@click.command(short_help="Say why a job waits.")
@click.argument("id_", metavar="ID", type=job_id)
@json_option
def why(id_: JobId, as_json: bool) -> int:
    """Say why a job waits: what it asks for, what is short, and when it should start.

    In the list, x is in the way and v is fine. Below it: what its place among the others comes from, when
    it should start, and what one step more of priority would change.

    \b
      cro-tui why 12
    """
    now = now_s()
    with open_client() as client:
        job, capacity, outlook = (
            client.forecasts.explain(id_),
            client.machine.capacity(),
            client.forecasts.start_estimate(id_),
        )
    lines = why_lines(job, now, capacity)
    more = () if outlook is None else start_estimate_lines(job, outlook, now)
    if as_json:
        table = job_json(job, now)
        keys = ("id", "name", "state", "needs", "reasons", "estimated_start_at", "fate")
        table = {key: table[key] for key in keys}
        table["start_estimate"] = None if outlook is None else start_estimate_json(outlook)
        print_json(table | {"lines": [*(str(line) for line in lines), *more]})
        return 0
    print(f"#{job.id} {name_text(job)}  {state_word(job)}")
    for line in lines:
        print(line)
    if more:
        print()
    for text in more:
        print(f"  {text}")
    return 0
