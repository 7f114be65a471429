"""metrics: the machine and the queue as Prometheus text, on request; no port is opened."""

from __future__ import annotations

import sys

import click

from cro_tui.commands.command_context import open_client
from cro_tui.present.metrics import metrics_text
from jobs.core.jobs import StateName
from jobs.core.requests import JobQuery

_ACTIVE = frozenset({StateName.STARTING, StateName.RUNNING, StateName.PAUSED})


@click.command(short_help="Print the machine and the queue as Prometheus text.")
def metrics() -> int:
    """Print the machine and the queue in the Prometheus text format. No port is opened.

    \b
      cro-tui metrics > /var/lib/node_exporter/cro.prom

    A text collector, or a timer that writes such a file, passes it on.
    """
    with open_client() as client:
        snapshot, headroom = (
            client.jobs.snapshot(JobQuery(states=_ACTIVE, limit=1000)),
            client.forecasts.headroom(),
        )
    sys.stdout.write(metrics_text(snapshot, headroom))
    return 0
