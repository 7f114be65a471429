"""The order of the queue as sections, each read by its index: running, then waiting, then ended.

Names tables and columns; reads and decides nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobs.core.jobs import StateName

COLUMNS = (
    "id, state, unmet, priority, name, recipe, submitted_at, finished_at, attempts, spec, detail, reasons, "
    "estimated_start_at, kind"
)
PENDING = (  # submits that the daemon has not read, in the shape of jobs
    "SELECT job_id AS id, iif(instr(body, '\"start_held\":true'), 'held', 'queued') AS state, 0 AS unmet, "
    "priority, name, recipe, at AS submitted_at, NULL AS finished_at, 0 AS attempts, body AS spec, "
    "NULL AS detail, NULL AS reasons, NULL AS estimated_start_at, job_kind AS kind "
    "FROM intents WHERE kind = 'submit'"
)
WAITING_ORDER = "priority DESC, id"
ENDED_ORDER = "finished_at DESC, id DESC"
ALONE = " AND lead IS NULL"  # jobs that belong to no group


@dataclass(frozen=True, slots=True)
class Section:
    """Rows of one kind and their order; `key` sorts rows that were read as the database would.

    `state` None is any of the ended ones. Of `pending` rows the daemon has not read the submit.
    """

    state: StateName | None
    source: str
    order: str
    key: Callable[[sqlite3.Row], tuple[Any, ...]]
    pending: bool = False


def of_group(lead: int) -> str:
    """The condition for the jobs of one group."""
    return f" AND lead = {int(lead)}"


def _by_id(row: sqlite3.Row) -> tuple[Any, ...]:
    return (row["id"],)


def _by_priority(row: sqlite3.Row) -> tuple[Any, ...]:
    return row["unmet"], -row["priority"], row["id"]


def _by_end(row: sqlite3.Row) -> tuple[Any, ...]:
    return -row["finished_at"], -row["id"]


def sections(which: str = "") -> tuple[Section, ...]:
    """The queue's sections of all jobs, or of those that a condition (`ALONE`, `of_group`) lets through."""
    pending = f"FROM ({PENDING}{which}) WHERE state ="
    pending_order = WAITING_ORDER if which in ("", ALONE) else "id"  # a group's were submitted alike
    blocked_order = "unmet, priority DESC, id"
    return (
        Section(StateName.RUNNING, f"FROM jobs WHERE state = 'running'{which}", "id", _by_id),
        Section(StateName.PAUSED, f"FROM jobs WHERE state = 'paused'{which}", "id", _by_id),
        Section(StateName.STARTING, f"FROM jobs WHERE state = 'starting'{which}", "id", _by_id),
        Section(
            StateName.QUEUED,
            f"FROM jobs WHERE state = 'queued' AND unmet = 0{which}",
            WAITING_ORDER,
            _by_priority,
        ),
        Section(StateName.QUEUED, f"{pending} 'queued'", pending_order, _by_priority, pending=True),
        Section(
            StateName.QUEUED,
            f"FROM jobs WHERE state = 'queued' AND unmet > 0{which}",
            blocked_order,
            _by_priority,
        ),
        Section(StateName.HELD, f"FROM jobs WHERE state = 'held'{which}", blocked_order, _by_priority),
        Section(StateName.HELD, f"{pending} 'held'", pending_order, _by_priority, pending=True),
        Section(None, f"FROM jobs WHERE finished_at IS NOT NULL{which}", ENDED_ORDER, _by_end),
    )
