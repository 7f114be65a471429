"""status: the machine, the queue and the scheduler on a few lines."""

from __future__ import annotations

import json
import time

import click

from cro_tui.commands.command_context import note, now_s, open_client, print_json
from cro_tui.commands.options import duration_s, json_option
from cro_tui.present import (
    capacity_json,
    counts_json,
    counts_line,
    daemon_json,
    daemon_line,
    job_json,
    machine_lines,
    sample_json,
)
from cro_tui.present.headroom import headroom_lines
from jobs.client import Client
from jobs.core.ports import BadInput
from jobs.core.requests import JobQuery


@click.command(short_help="Show the machine's load and the queue.")
@click.option("--watch", is_flag=True, help="A JSON object on a line of its own, again and again.")
@click.option("--every", type=duration_s, default="1", metavar="TIME", help="Between two lines of --watch.")
@json_option
def status(every: float, *, watch: bool, as_json: bool) -> int:
    """Show the machine's load, what is free for a job and who is next, how many jobs run and wait, and
    whether the scheduler runs.

    \b
      cro-tui status
      cro-tui status --watch --every 5s | jq .free
    """
    if every < 0.2:
        raise BadInput("--every must be 0.2s or more.")
    with open_client() as client:
        while watch:
            print(json.dumps(_table(client)), flush=True)
            time.sleep(every)
        if as_json:
            print_json(_table(client))
            return 0
        snapshot, headroom = client.jobs.snapshot(JobQuery(limit=1)), client.forecasts.headroom()
    for line in machine_lines(snapshot.sample, snapshot.capacity):
        print(line)
    for line in headroom_lines(headroom, snapshot.capacity, None, now_s()):
        print(line)
    print(f"JOBS  {counts_line(snapshot.counts)}")
    print(f"      {daemon_line(snapshot.daemon, now_s())}")
    if snapshot.note:
        note(snapshot.note)
    return 0


def _table(client: Client) -> dict[str, object]:
    snapshot, headroom = client.jobs.snapshot(JobQuery(limit=1)), client.forecasts.headroom()
    following = None if headroom is None else headroom.next_job
    return {
        "at": snapshot.at,
        "counts": counts_json(snapshot.counts),
        "capacity": capacity_json(snapshot.capacity),
        "sample": sample_json(snapshot.sample),
        "free": None
        if headroom is None
        else {
            "cpus": headroom.cpus,
            "mem_bytes": headroom.mem_bytes,
            "gpu_mem_bytes": dict(headroom.devices),
        },
        "next": None if following is None else job_json(following, snapshot.at),
        "daemon": daemon_json(snapshot.daemon),
        "note": snapshot.note,
    }
