"""cancel, hold, release, priority: acts on jobs by id, all of them or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import click

from cro_tui.commands.command_context import open_client, with_scheduler
from cro_tui.commands.options import ids_argument, job_id
from cro_tui.present import counted, jobs_text
from jobs.client import Client
from jobs.core.jobs import JobId, StateName
from jobs.core.ports import BadInput
from jobs.core.requests import JobQuery

_EVERY = 1_000_000_000
_STOPPABLE = frozenset(
    {StateName.QUEUED, StateName.HELD, StateName.STARTING, StateName.RUNNING, StateName.PAUSED}
)
all_option = click.option("--all", "every", is_flag=True, help="Every job that this suits.")

sweep_option = click.option(
    "--sweep", type=job_id, metavar="ID", help="Every job of the sweep that this job belongs to."
)


@click.command(short_help="Stop jobs.")
@ids_argument
@all_option
@sweep_option
def cancel(ids: tuple[JobId, ...], every: bool, sweep: JobId | None) -> int:
    """Stop running jobs and take waiting ones out of the queue.

    A running job gets TERM and, after its grace time, KILL; nothing of its process tree is left.

    \b
      cro-tui cancel 12 13
      cro-tui cancel --all
      cro-tui cancel --sweep 12
    """
    with open_client() as client:
        if sweep is not None:
            return _whole(client, sweep, every or bool(ids), client.groups.cancel, "Stopping")
        chosen = _chosen(client, ids, every, _STOPPABLE)
        client.jobs.cancel(chosen)
        return _done(client, chosen, "Stopping")


@click.command(short_help="Keep jobs from starting; pause running ones.")
@ids_argument
@all_option
@sweep_option
def hold(ids: tuple[JobId, ...], every: bool, sweep: JobId | None) -> int:
    """Keep waiting jobs from starting, and pause running ones where they are.

    A paused job keeps its memory. --all holds every job that waits.

    \b
      cro-tui hold 12
      cro-tui hold --sweep 12
    """
    with open_client() as client:
        if sweep is not None:
            return _whole(client, sweep, every or bool(ids), client.groups.hold, "Holding")
        chosen = _chosen(client, ids, every, frozenset({StateName.QUEUED}))
        client.jobs.hold(chosen)
        return _done(client, chosen, "Holding")


@click.command(short_help="Let held and paused jobs go on.")
@ids_argument
@all_option
@sweep_option
def release(ids: tuple[JobId, ...], every: bool, sweep: JobId | None) -> int:
    """Let held jobs queue again and paused ones go on.

    \b
      cro-tui release 12
      cro-tui release --sweep 12
    """
    with open_client() as client:
        if sweep is not None:
            return _whole(client, sweep, every or bool(ids), client.groups.release, "Releasing")
        chosen = _chosen(client, ids, every, frozenset({StateName.HELD, StateName.PAUSED}))
        client.jobs.release(chosen)
        return _done(client, chosen, "Releasing")


@click.command(
    short_help="Set the priority of waiting jobs.", context_settings={"ignore_unknown_options": True}
)
@ids_argument
@click.argument("value", metavar="VALUE")
@sweep_option
def priority(ids: tuple[JobId, ...], value: str, sweep: JobId | None) -> int:
    """Set the priority of waiting jobs (0 to 100, each step counts double), or shift it.

    \b
      cro-tui priority 12 80
      cro-tui priority 12 13 +5
      cro-tui priority 12 -5
      cro-tui priority --sweep 12 80
    """
    if not ids and sweep is None:
        job_id(value)
        raise BadInput(f"Say which priority job {value} gets.", f"For example: cro-tui priority {value} 80")
    shift = value[:1] in "+-"
    if not (value[1:] if shift else value).isdecimal() or len(value) > 9:
        raise BadInput(f"{value[:40]!r} is no priority: write a number from 0 to 100, or +5 or -5.")
    wanted, delta = (None, int(value)) if shift else (int(value), None)
    with open_client() as client:
        if sweep is not None:
            act = partial(client.groups.set_priority, value=wanted, delta=delta)
            return _whole(client, sweep, bool(ids), act, f"Priority {value} for")
        client.jobs.set_priority(ids, wanted, delta=delta)
        return _done(client, ids, f"Priority {value} for")


def _chosen(
    client: Client, ids: Sequence[JobId], every: bool, suited: frozenset[StateName]
) -> tuple[JobId, ...]:
    if every and ids:
        raise BadInput("Name jobs or say --all, not both.")
    if every:
        return tuple(job.id for job in client.jobs.list(JobQuery(states=suited, limit=_EVERY)))
    if not ids:
        raise BadInput("Name at least one job.", "cro-tui ls shows their ids.")
    return tuple(ids)


def _whole(client: Client, sweep: JobId, others: bool, act: Callable[[JobId], int], what: str) -> int:
    if others:
        raise BadInput("Name jobs, say --all, or name a sweep: only one of them.")
    number = act(sweep)
    print(f"{what} {counted(number, 'job')} of the sweep." if number else "There is no such job now.")
    if number:
        with_scheduler(client)
    return 0


def _done(client: Client, ids: Sequence[JobId], what: str) -> int:
    if not ids:
        print("There is no such job now.")
        return 0
    print(f"{what} {jobs_text(ids)}.")
    with_scheduler(client)
    return 0
