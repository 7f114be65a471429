"""why: what keeps a job waiting, with numbers; works with no scheduler, too."""

from __future__ import annotations

import click

from cro_tui.commands.opened import now_s, opened, print_json
from cro_tui.commands.options import job_id, json_option
from cro_tui.present import job_json, name_text, state_word, why_lines
from jobs.model import JobId


@click.command(short_help="Say why a job waits.")
@click.argument("id_", metavar="ID", type=job_id)
@json_option
def why(id_: JobId, as_json: bool) -> int:
    """Say why a job waits: what it asks for, what is short, and when it should start.

    In the list, x is in the way and v is fine.

    \b
      cro-tui why 12
    """
    now = now_s()
    with opened() as api:
        job, capacity = api.explain(id_), api.capacity()
    lines = why_lines(job, now, capacity)
    if as_json:
        table = job_json(job, now)
        keys = ("id", "name", "state", "needs", "reasons", "estimated_start_at", "fate")
        print_json({key: table[key] for key in keys} | {"lines": [str(line) for line in lines]})
        return 0
    print(f"#{job.id} {name_text(job)}  {state_word(job)}")
    for line in lines:
        print(line)
    return 0
