"""What front ends write: intents, and nothing else.

A submit is acknowledged when its transaction is on the disk (synchronous FULL), whether or not a
scheduler runs. Job rows belong to the daemon alone; here they are only looked at, in the same transaction,
so that nobody can ask for what cannot be.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from jobs.core.jobs import GroupRef, JobId, JobSpec, StateName
from jobs.core.ports import NoSuchJob, WrongState
from jobs.store import codec, schema


class IntentKind(StrEnum):
    SUBMIT = "submit"
    CANCEL = "cancel"
    HOLD = "hold"
    RELEASE = "release"
    PRIORITY = "priority"
    DRAIN = "drain"


LARGEST_ID = 2**63 - 1
BUSY_S = 10.0
LOOK_S = 0.002
_NAMES = frozenset(StateName)
_WAITING = frozenset({StateName.QUEUED, StateName.HELD})
_ACTIVE = frozenset({StateName.STARTING, StateName.RUNNING, StateName.PAUSED})
SUITS: Mapping[IntentKind, frozenset[StateName]] = {
    IntentKind.CANCEL: _WAITING | _ACTIVE,
    IntentKind.HOLD: frozenset({StateName.QUEUED, StateName.RUNNING}),
    IntentKind.RELEASE: frozenset({StateName.HELD, StateName.PAUSED}),
    IntentKind.PRIORITY: _WAITING,
}
_REFUSALS: Mapping[IntentKind, str] = {
    IntentKind.CANCEL: "cannot be cancelled",
    IntentKind.HOLD: "cannot be held",
    IntentKind.RELEASE: "is neither held nor paused",
    IntentKind.PRIORITY: "no longer waits, so its priority means nothing",
}


@dataclass(frozen=True, slots=True)
class NewGroup:
    """A group of jobs: how many it is to have, and the metrics that judge them, the main one first.

    `optimized`: the first job of the submit is the controller, and it queues them.
    """

    name: str
    size: int
    judged_by: Sequence[tuple[str, str]] = ()
    optimized: bool = False


class Intents:
    """A writer's connection. Not for threads at the same time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = schema.connect(path, busy_s=BUSY_S)
        self._connection.execute("PRAGMA synchronous = FULL")

    def close(self) -> None:
        self._connection.close()

    def submit(
        self, specs: Sequence[JobSpec], now: float, *, sweep: bool = False, group: NewGroup | None = None
    ) -> tuple[JobId, ...]:
        """Queue all or none; ids are dense and in order. Raises NoSuchJob for an unknown dependency.

        `sweep` makes the jobs know that they belong together: see `JobSpec.sweep`. `group` is theirs, or
        the one whose controller is the first of them.
        """
        with self._transaction() as connection:
            (first,) = connection.execute(
                "UPDATE meta SET value = CAST(value AS INTEGER) + ? WHERE key = 'next_job_id' "
                "RETURNING CAST(value AS INTEGER) - ?",
                (len(specs), len(specs)),
            ).fetchone()
            if sweep:
                specs = [replace(spec, group=GroupRef(JobId(first), len(specs))) for spec in specs]
            _refuse_unknown(connection, {after.job_id for spec in specs for after in spec.after}, first)
            if group is not None:
                _begin_group(connection, first, group)
            connection.executemany(
                "INSERT INTO intents"
                "(at, kind, job_id, priority, name, recipe, retry_of, body, lead, job_kind) "
                "VALUES (?, 'submit', ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (now, job_id, spec.priority, printable(spec.name), spec.recipe, spec.retry_of,
                     codec.dump_spec(spec), lead_of(spec), spec.kind.value)
                    for job_id, spec in enumerate(specs, first)
                ),
            )  # fmt: skip
            connection.execute(
                "INSERT INTO tallies(state, jobs) VALUES ('not_seen', ?) "
                "ON CONFLICT(state) DO UPDATE SET jobs = jobs + excluded.jobs",
                (len(specs),),
            )
            _count_in(connection, specs)
        return tuple(JobId(job_id) for job_id in range(first, first + len(specs)))

    def control(
        self,
        kind: IntentKind,
        ids: Sequence[JobId],
        now: float,
        body: object = None,
        *,
        unsuited: bool = False,
    ) -> int:
        """Ask one thing of each job, or of none, and answer with their number. Raises NoSuchJob, NotNow.

        With `unsuited`, those that it does not suit are passed over: they may just have ended.
        """
        with self._transaction() as connection:
            states = states_of(connection, ids)
            if unsuited:
                ids = [job_id for job_id in ids if states.get(job_id) in SUITS[kind]]
            for job_id in ids:
                state = states.get(job_id)
                if state is None:
                    raise no_such_job(job_id)
                if state not in SUITS[kind]:
                    raise WrongState(f"Job {job_id} is {state.replace('_', ' ')}: it {_REFUSALS[kind]}.")
            connection.executemany(
                "INSERT INTO intents(at, kind, job_id, body) VALUES (?, ?, ?, ?)",
                ((now, kind, job_id, codec.dump(body)) for job_id in ids),
            )
        return len(ids)

    def drain(self, on: bool, now: float) -> None:
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO intents(at, kind, body) VALUES (?, ?, ?)",
                (now, IntentKind.DRAIN, codec.dump(on)),
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        try:
            _begin(connection)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise schema.unreachable(self._path, error) from error


def lead_of(spec: JobSpec) -> int | None:
    """The group that a job belongs to."""
    return None if spec.group is None else spec.group[0]


def _begin_group(connection: sqlite3.Connection, first: int, group: NewGroup) -> None:
    connection.execute(
        "INSERT INTO groups(id, name, size, controller, judged_by) VALUES (?, ?, ?, ?, ?)",
        (
            first,
            printable(group.name),
            group.size,
            first if group.optimized else None,
            codec.dump([list(each) for each in group.judged_by]),
        ),
    )


def _count_in(connection: sqlite3.Connection, specs: Sequence[JobSpec]) -> None:
    """Tell the groups of the jobs that are coming."""
    leads = Counter(lead for spec in specs if (lead := lead_of(spec)) is not None)
    connection.executemany(
        "INSERT INTO group_tallies(lead, state, jobs) VALUES (?, 'not_seen', ?) "
        "ON CONFLICT(lead, state) DO UPDATE SET jobs = jobs + excluded.jobs",
        leads.items(),
    )


def _begin(connection: sqlite3.Connection) -> None:
    """Take the turn to write. A scheduler that reads a long sweep leaves short gaps only, and SQLite's own
    waiting looks for one ten times a second."""
    until = time.monotonic() + BUSY_S
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                    raise
            time.sleep(LOOK_S)
    finally:
        connection.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")


def no_such_job(job_id: int) -> NoSuchJob:
    return NoSuchJob(f"There is no job {job_id}.", "List the jobs to see their ids.")


def printable(text: str) -> str:
    """Text that a column can hold: bytes that were no UTF-8 arrive as lone surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")


def states_of(connection: sqlite3.Connection, ids: Sequence[int]) -> dict[JobId, StateName]:
    """Where each job stands, the submitted but unread ones included; unknown ids are left out."""
    states: dict[JobId, StateName] = {}
    for start in range(0, len(ids), 500):
        some = [int(job_id) for job_id in ids[start : start + 500] if 0 < job_id <= LARGEST_ID]
        marks = ",".join("?" * len(some))
        for job_id, body in connection.execute(
            f"SELECT job_id, body FROM intents WHERE kind = 'submit' AND job_id IN ({marks})", some
        ):
            held = '"start_held":true' in body
            states[JobId(job_id)] = StateName.HELD if held else StateName.QUEUED
        for job_id, state in connection.execute(f"SELECT id, state FROM jobs WHERE id IN ({marks})", some):
            if state in _NAMES:
                states[JobId(job_id)] = StateName(state)
    return states


def _refuse_unknown(connection: sqlite3.Connection, ids: set[JobId], first: int) -> None:
    known = states_of(connection, sorted(ids))
    for job_id in sorted(ids):
        if job_id >= first or job_id not in known:
            raise no_such_job(job_id)
