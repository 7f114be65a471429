"""retry: queue ended jobs again, perhaps with other needs."""

from __future__ import annotations

from typing import Any

import click

from cro_tui.commands.command_context import EXIT_CODES_HELP, now_s, open_client, print_json, with_scheduler
from cro_tui.commands.options import ids_argument, job_id, json_option, needs_options, needs_request
from cro_tui.present import job_json, name_text
from jobs.core.jobs import JobId
from jobs.core.ports import BadInput


@click.command(short_help="Queue ended jobs again.", epilog=f"With --wait: {EXIT_CODES_HELP}")
@ids_argument
@click.option(
    "--sweep", type=job_id, metavar="ID", help="The jobs that failed of the sweep that this job belongs to."
)
@needs_options
@click.option("--wait", "waits", is_flag=True, help="Wait for the end and leave with the fate.")
@json_option
def retry(ids: tuple[JobId, ...], sweep: JobId | None, waits: bool, as_json: bool, **needs: Any) -> int:
    """Queue ended jobs again as new jobs, with the same command, folder and environment.

    `show` of such a job says whether its metrics came out the same, and if not what was
    another: parameters, the files it was given, packages, the machine.

    \b
      cro-tui retry 12
      cro-tui retry 12 --mem 16G
      cro-tui retry --sweep 40
    """
    if bool(ids) == (sweep is not None):
        raise BadInput("Name at least one job, or a sweep.", "cro-tui ls shows their ids.")
    with open_client() as client:
        if sweep is not None:
            ids = tuple(job.id for job in client.groups.failed(sweep))
            if not ids:
                print("No job of the sweep failed, or was stopped, that has no retry.")
                return 0
        new_ids = client.jobs.retry(ids, needs_request(needs))
        if not (as_json and waits):
            jobs, now = [client.jobs.get(new_id) for new_id in new_ids], now_s()
            if as_json:
                print_json([job_json(job, now) for job in jobs])
            else:
                for job in jobs:
                    print(f"#{job.id} {name_text(job)} queued, a retry of #{job.spec.retry_of}.")
        if waits:
            from cro_tui.commands.wait import wait_for
            from cro_tui.present.compare import outcome_sentence

            code = wait_for(client, new_ids, as_json=as_json)
            for job in () if as_json else map(client.jobs.get, new_ids):
                if told := outcome_sentence(job, client.runs.retry_origin(job)):
                    print(f"#{job.id} has {told}.")
            return code
        with_scheduler(client)
        return 0
