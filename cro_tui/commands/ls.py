"""ls: the jobs, running ones first, then those that wait, by priority and age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from cro_tui.commands.command_context import note, now_s, open_client, print_json, print_table
from cro_tui.commands.options import json_option, whole
from cro_tui.present import MISSING, STATE_WORDS, cut, job_json, job_row, percent_text, reported_text
from cro_tui.present.groups import group_row
from jobs.client import Client
from jobs.core.jobs import Job, Running, StateName
from jobs.core.ports import BadInput
from jobs.core.requests import JobGroup, JobQuery, ListRow, SortKey
from jobs.records.events import read
from jobs.records.logs import LogFile
from jobs.records.text import progress_of_lines

_DEFAULT_LIMIT, _EVERY = 50, 1_000_000_000
_WAITING = frozenset({StateName.QUEUED, StateName.HELD})
_ACTIVE = frozenset({StateName.STARTING, StateName.RUNNING, StateName.PAUSED})
_GROUPS = {
    "waiting": _WAITING,
    "active": _ACTIVE,
    "ended": frozenset(StateName) - _WAITING - _ACTIVE,
    "done": frozenset({StateName.SUCCEEDED}),
    "wait": frozenset({StateName.QUEUED}),
}
_HEADS = ("ID", "STATE", "NAME", "PRI", "WHY", "CPU", "MEM", "ELAPSED", "ETA")


@click.command(short_help="List the jobs.")
@click.argument("text", required=False, default="")
@click.option(
    "--state", "states", multiple=True, metavar="STATE", help="running, queued, failed, waiting, ended, ..."
)
@click.option("--all", "every", is_flag=True, help="Every job there ever was.")
@click.option(
    "--limit", type=whole("limit", "20"), metavar="N", help=f"At most so many (default {_DEFAULT_LIMIT})."
)
@click.option(
    "--sort", type=click.Choice([key.value for key in SortKey]), default="queue", show_default=True
)
@click.option("--unfold", is_flag=True, help="Every job of a sweep in a line of its own.")
@json_option
def ls(  # noqa: PLR0917 - click calls it by keyword
    text: str,
    states: tuple[str, ...],
    every: bool,
    limit: int | None,
    sort: str,
    unfold: bool,
    as_json: bool,
) -> int:
    """List jobs: running, then waiting by priority and age, then ended, newest first.

    A sweep, or an optimization with its trials, is one line (+), but where TEXT, --state, --sort,
    --unfold or --json ask for jobs. TEXT keeps those that have it in their name, recipe, state or id.

    \b
      cro-tui ls
      cro-tui ls forest --state failed --sort finished
      cro-tui ls --state running,waiting --json
    """
    if limit is not None and limit < 1:
        raise BadInput(f"The limit must be 1 or more, not {limit}.")
    most = limit or (_EVERY if every else _DEFAULT_LIMIT)
    query = JobQuery(states=_states(states), text=text, sort=SortKey(sort), limit=most + 1)
    query = replace(query, folded=not unfold and not as_json)
    with open_client() as client:
        found = client.jobs.rows(query)
        active = client.jobs.list(JobQuery(states=_ACTIVE, limit=_EVERY)) if query.folds else ()
        rows = [] if as_json else [_row(client, row, now_s(), active) for row in found[:most]]
        idle = not found and not text and not states
    now = now_s()
    if as_json:
        print_json([job_json(job, now) for job in found[:most] if isinstance(job, Job)])
    elif found:
        print_table(_HEADS, rows, right=(0, 3, 5, 6, 7, 8), stretch=(4, 2))
    else:
        note("No jobs. Queue one: cro-tui submit sklearn_forest" if idle else "No job matches.")
    if len(found) > most:
        note(f"The first {most} are shown; --all shows every one.")
    return 0


def _row(client: Client, job: ListRow, now: float, active: Sequence[Job]) -> tuple[str, ...]:
    if isinstance(job, JobGroup):
        of_it = [each for each in active if each.spec.group is not None and each.spec.group[0] == job.id]
        row = group_row(job, now, of_it)
        row = replace(row, name=f"+ {row.name}")
    else:
        row = job_row(job, now)
    why = row.why
    if isinstance(job, Job) and not why and isinstance(job.state, Running):
        reported = read(client.runs.events_path(job.id), ended=False)
        progress = reported.progress
        if progress is None:
            progress = _progress(client.runs.log_path(job.id))
        share = percent_text(progress).replace(MISSING, "")
        why = "  ".join(filter(None, [share, reported_text(reported)]))
    return (
        row.id,
        row.state,
        cut(row.name, 40),
        row.priority,
        why,
        row.cpus,
        row.mem,
        row.elapsed,
        row.eta,
    )


def _progress(path: Path) -> float | None:
    """How far the last lines of a log say that the work is."""
    with LogFile(path) as log:
        log.refresh(0)
        return progress_of_lines(log.tail(8))


def _states(words: tuple[str, ...]) -> frozenset[StateName]:
    """State names, the words of the list (RUN, WAIT), or groups; parted by commas. Raises BadInput."""
    by_word = {word.lower(): frozenset({name}) for name, word in STATE_WORDS.items()}
    known = {**by_word, **{name.value: frozenset({name}) for name in StateName}, **_GROUPS}
    found: frozenset[StateName] = frozenset()
    for word in (part.strip().lower() for each in words for part in each.split(",") if part.strip()):
        if word not in known:
            names = ", ".join([*StateName, "waiting", "active", "ended"])
            raise BadInput(f"There is no state {word[:40]!r}: write one of {names}.")
        found |= known[word]
    return found
