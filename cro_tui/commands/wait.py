"""wait: stay until jobs have ended, and leave with their fate."""

from __future__ import annotations

import click

from cro_tui.commands.command_context import (
    EXIT_CODES_HELP,
    exit_code_of_all,
    has_ended,
    note,
    now_s,
    open_client,
    print_json,
)
from cro_tui.commands.options import duration_s, ids_argument, json_option
from cro_tui.present import job_json, jobs_text, name_text, result_sentence
from jobs.client import Client
from jobs.core.jobs import Job, JobId
from jobs.core.ports import BadInput


@click.command(
    short_help="Wait for jobs and leave with their fate.",
    epilog=f"{EXIT_CODES_HELP} Of several jobs, the first that did not succeed counts. 4: time is up.",
)
@ids_argument
@click.option(
    "--timeout", type=duration_s, metavar="TIME", help="Give up after so long, like 10m; the jobs go on."
)
@json_option
def wait(ids: tuple[JobId, ...], timeout: float | None, as_json: bool) -> int:
    """Wait until jobs have ended and leave with their exit code. Ctrl-C leaves them running.

    \b
      cro-tui wait 12 && echo trained
      cro-tui wait 12 13 14 --timeout 2h
    """
    if not ids:
        raise BadInput("Name at least one job.", "cro-tui ls shows their ids.")
    with open_client() as client:
        return wait_for(client, ids, timeout_s=timeout, as_json=as_json)


def wait_for(
    client: Client,
    ids: tuple[JobId, ...],
    *,
    timeout_s: float | None = None,
    as_json: bool = False,
    one: bool = False,
) -> int:
    """The exit code that stands for their fates; `one` prints the JSON of a single job, not an array."""
    try:
        jobs = tuple(client.jobs.get(job_id) for job_id in ids)
        if not all(has_ended(job) for job in jobs):
            client.scheduler.start()
            jobs = client.jobs.wait(ids, timeout_s)
    except KeyboardInterrupt:
        goes = "goes" if len(ids) == 1 else "go"
        note(f"{jobs_text(ids)} {goes} on. Come back with: cro-tui wait {' '.join(map(str, ids))}")
        raise
    if as_json:
        now = now_s()
        tables = [job_json(job, now) for job in jobs]
        print_json(tables[0] if one else tables)
    else:
        for job in jobs:
            print(ending(job))
    return exit_code_of_all(jobs)


def ending(job: Job) -> str:
    """ "#12 sklearn_forest: failed: exit code 7"."""
    return f"#{job.id} {name_text(job)}: {result_sentence(job) or 'still ' + job.state.name.value}"
