"""top: a few lines on load and queue, painted in place, for a corner of a terminal."""

from __future__ import annotations

import sys
import time

import click

from cro_tui.commands.command_context import fit, now_s, open_client
from cro_tui.commands.options import duration_s
from cro_tui.present import counts_line, job_row, machine_lines
from cro_tui.present.headroom import headroom_lines
from jobs.client import Client
from jobs.core.jobs import Active
from jobs.core.ports import BadInput
from jobs.core.requests import JobQuery

_MOST = 8  # jobs
UP, CLEAR = "\x1b[{}A", "\x1b[J"


@click.command(short_help="Watch load and running jobs on a few lines.")
@click.option("--every", type=duration_s, default="1", metavar="TIME", help="Between two looks.")
@click.option("--inline", is_flag=True, hidden=True, expose_value=False)  # it always is
@click.option("--once", is_flag=True, help="Print it once and leave.")
def top(every: float, *, once: bool) -> int:
    """Watch the machine's load and the running jobs on a few lines, painted in place. ctrl+c leaves.

    \b
      cro-tui top
      cro-tui top --every 5s
      cro-tui top --once

    Where the output is no terminal it is printed once.
    """
    if every < 0.2:
        raise BadInput("--every must be 0.2s or more.")
    painted = 0
    with open_client() as client:
        while True:
            lines = [fit(line) for line in _lines(client)]
            if painted:
                sys.stdout.write(UP.format(painted) + "\r" + CLEAR)
            sys.stdout.write("\n".join(lines) + "\n")
            sys.stdout.flush()
            if once or not sys.stdout.isatty():
                return 0
            painted = len(lines)
            time.sleep(every)


def _lines(client: Client) -> list[str]:
    now, snapshot = now_s(), client.jobs.snapshot(JobQuery(limit=200))
    free, following = headroom_lines(client.forecasts.headroom(), snapshot.capacity, snapshot.sample, now)
    lines = [*machine_lines(snapshot.sample, snapshot.capacity), free, following]
    lines.append(f"JOBS  {counts_line(snapshot.counts)}")
    active = [job for job in snapshot.jobs if isinstance(job.state, Active)]
    for job in active[:_MOST]:
        row = job_row(job, now)
        lines.append(
            f" {row.id:>5} {row.state:<5} {row.name:<24.24} {row.cpus:>5} {row.mem:>6} {row.elapsed}"
        )
    if len(active) > _MOST:
        lines.append(f"       and {len(active) - _MOST} more")
    return [line for line in lines if line]
