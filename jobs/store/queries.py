"""What front ends read: consistent snapshots by index, never the whole table where it can be helped.

Each read is one transaction that blocks nobody and waits for nobody longer than a blink. A damaged row
reads as a job that says so. Nothing here writes.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from jobs.machine import Capacity
from jobs.model import (
    Held,
    Job,
    JobId,
    JobSpec,
    Lost,
    Queued,
    Reason,
    ReasonCode,
    StateName,
    Unit,
)
from jobs.policy.predict import forecast, runtime_keys
from jobs.rules import Rules
from jobs.store import schema
from jobs.store.codec import dump
from jobs.store.intents import LARGEST_ID, no_such_job, printable, states_of
from jobs.store.pasts import pasts, runtimes
from jobs.store.rows import read_job
from jobs.views import HistoryEntry, JobQuery, SortKey

_COLUMNS = (
    "id, state, unmet, priority, name, recipe, submitted_at, finished_at, attempts, spec, detail, reasons, "
    "estimated_start_at"
)
_PENDING = (  # submits that the daemon has not read, in the shape of jobs
    "SELECT job_id AS id, iif(instr(body, '\"start_held\":true'), 'held', 'queued') AS state, 0 AS unmet, "
    "priority, name, recipe, at AS submitted_at, NULL AS finished_at, 0 AS attempts, body AS spec, "
    "NULL AS detail, NULL AS reasons, NULL AS estimated_start_at FROM intents WHERE kind = 'submit'"
)
_ALL = f"SELECT {_COLUMNS} FROM jobs UNION ALL {_PENDING}"
_THESE = "IN (SELECT value FROM json_each(?1))"  # in each arm: over the union no index would be used
_SOME = f"SELECT {_COLUMNS} FROM jobs WHERE id {_THESE} UNION ALL {_PENDING} AND job_id {_THESE}"
_WAITING_ORDER = "priority DESC, id"
_ENDED_ORDER = "finished_at DESC, id DESC"
_Section = tuple[StateName | None, str, str]  # None: any of the states
_QUEUE_SECTIONS: tuple[_Section, ...] = (
    (StateName.RUNNING, "FROM jobs WHERE state = 'running'", "id"),
    (StateName.PAUSED, "FROM jobs WHERE state = 'paused'", "id"),
    (StateName.STARTING, "FROM jobs WHERE state = 'starting'", "id"),
    (StateName.QUEUED, "FROM jobs WHERE state = 'queued' AND unmet = 0", _WAITING_ORDER),
    (StateName.QUEUED, f"FROM ({_PENDING}) WHERE state = 'queued'", _WAITING_ORDER),
    (StateName.QUEUED, "FROM jobs WHERE state = 'queued' AND unmet > 0", "unmet, priority DESC, id"),
    (StateName.HELD, "FROM jobs WHERE state = 'held'", "unmet, priority DESC, id"),
    (StateName.HELD, f"FROM ({_PENDING}) WHERE state = 'held'", _WAITING_ORDER),
    (None, "FROM jobs WHERE finished_at IS NOT NULL", _ENDED_ORDER),
)
_NEWEST_SECTIONS: tuple[_Section, ...] = (
    (None, f"FROM ({_PENDING})", "id DESC"),  # read in order, so all of them are newer than any job
    (None, "FROM jobs", "id DESC"),
)
_UNENDED = frozenset(section[0] for section in _QUEUE_SECTIONS)
_ORDERS = {
    SortKey.QUEUE: "CASE state WHEN 'running' THEN 0 WHEN 'paused' THEN 1 WHEN 'starting' THEN 2 "
    "WHEN 'queued' THEN 3 + (unmet > 0) WHEN 'held' THEN 5 ELSE 6 END, finished_at DESC, "
    "iif(state IN ('queued', 'held'), -priority, 0), iif(finished_at IS NULL, id, -id)",
    SortKey.ID: "id DESC",
    SortKey.NAME: "name COLLATE NOCASE, id",
    SortKey.PRIORITY: _WAITING_ORDER,
    SortKey.STATE: "state, id DESC",
    SortKey.FINISHED: _ENDED_ORDER,
}
_RANKED = 3  # counting who is ahead costs a walk over the index for each job


class Queries:
    """A reader's connection; threads may share it. `busy_s` bounds every wait for a lock."""

    def __init__(self, path: Path, *, busy_s: float = 0.25) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection = schema.connect(path, busy_s=busy_s)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA query_only = ON")

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def snapshot(self) -> Iterator[View]:
        """One consistent view; all reads inside it see the same moment."""
        with self._lock:
            try:
                self._connection.execute("BEGIN")
                try:
                    yield View(self._connection)
                finally:
                    self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                raise schema.unreachable(self._path, error) from error

    def data_version(self) -> int:
        """Changes whenever another connection has committed."""
        with self._lock:
            try:
                return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
            except sqlite3.Error as error:
                raise schema.unreachable(self._path, error) from error


def classes(connection: sqlite3.Connection, limit: int) -> tuple[list[int], int]:
    """At most `limit` classes of jobs that are ready, and how many jobs of each are to be looked at."""
    found = [
        int(row[0])
        for row in connection.execute(
            "WITH RECURSIVE found(class) AS ("
            "SELECT min(class) FROM jobs WHERE state = 'queued' AND unmet = 0 UNION ALL "
            "SELECT (SELECT min(class) FROM jobs WHERE state = 'queued' AND unmet = 0 "
            "AND class > found.class) FROM found WHERE found.class IS NOT NULL) "
            "SELECT class FROM found WHERE class IS NOT NULL LIMIT ?",
            (limit,),
        )
    ]
    return found, max(2, limit // max(len(found), 1))


class View:
    """Reads of one moment; of no use outside its `with`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def meta(self, key: str) -> str:
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else ""

    def counts(self) -> dict[StateName, int]:
        """How many jobs are in each state that has any."""
        counts: dict[StateName, int] = {}
        for name, number in self._connection.execute("SELECT state, jobs FROM tallies WHERE jobs > 0"):
            if name == "blocked":  # they are queued, and counted there
                continue
            state = StateName.QUEUED if name == "not_seen" else StateName(name)
            counts[state] = counts.get(state, 0) + number
        return counts

    def counts_within(self, ids: range) -> dict[StateName, int]:
        """How many of these jobs are in each state that has any."""
        rows = self._connection.execute(
            "SELECT state, count(*) FROM (SELECT state FROM jobs WHERE id BETWEEN ?1 AND ?2 UNION ALL "
            f"SELECT state FROM ({_PENDING} AND job_id BETWEEN ?1 AND ?2)) GROUP BY state ORDER BY state",
            (ids[0], ids[-1]),
        )
        return {StateName(state): count for state, count in rows}

    def ids_within(self, ids: range, states: Iterable[StateName]) -> tuple[JobId, ...]:
        """Which of these jobs are in one of these states, in order."""
        rows = self._connection.execute(
            "SELECT id FROM (SELECT id, state FROM jobs WHERE id BETWEEN ?1 AND ?2 UNION ALL "
            f"SELECT id, state FROM ({_PENDING} AND job_id BETWEEN ?1 AND ?2)) "
            "WHERE state IN (SELECT value FROM json_each(?3)) ORDER BY id",
            (ids[0], ids[-1], dump([state.value for state in states])),
        )
        return tuple(JobId(number) for (number,) in rows)

    def next_id(self) -> JobId:
        return JobId(int(self.meta("next_job_id") or 1))

    def active(self) -> list[Job]:
        """Every job that has an attempt."""
        return self._readable("state IN ('starting', 'running', 'paused')", "id", -1)

    def head(self, limit: int, *, by_class: bool = False) -> list[Job]:
        """The waiting jobs that the scheduler has in view: see `Store.head`."""
        if not by_class:
            return self._readable("state = 'queued' AND unmet = 0", _WAITING_ORDER, limit)
        kinds, each = classes(self._connection, limit)
        return [
            job
            for kind in kinds
            for job in self._readable(f"state = 'queued' AND unmet = 0 AND class = {kind}", "id", each)
        ]

    def past(self, limit: int) -> list[Job]:
        """The last jobs that have ended, the newest first."""
        return self._readable("finished_at IS NOT NULL", _ENDED_ORDER, limit)

    def states(self, ids: Sequence[JobId]) -> dict[JobId, StateName]:
        return states_of(self._connection, ids)

    def with_expected(self, specs: Sequence[JobSpec]) -> list[JobSpec]:
        """The specs with the expected wall time by earlier runs of what they run, where there are any."""
        keys = {key for spec in specs for key in runtime_keys(spec)}
        known = runtimes(self._connection, keys)
        if not known:
            return list(specs)
        made = [forecast(spec, known.get) for spec in specs]
        return [
            replace(spec, expected_s=each.run_s if each.runs else None)
            for spec, each in zip(specs, made, strict=True)
        ]

    def foreseen(self, jobs: Sequence[Job], capacity: Capacity, rules: Rules) -> list[Job]:
        """The jobs with their forecasts, as the scheduler makes them."""
        from jobs.policy.past import foresee

        known = pasts(self._connection, {key for job in jobs for key in runtime_keys(job.spec)})
        return [replace(job, forecast=foresee(job.spec, known.get, capacity, rules)) for job in jobs]

    def ahead(self, priority: int, job_id: JobId) -> int:
        """How many ready jobs go before one of that priority and id."""
        (count,) = self._connection.execute(
            "SELECT (SELECT count(*) FROM jobs WHERE state = 'queued' AND unmet = 0 AND priority > ?1) + "
            "(SELECT count(*) FROM jobs WHERE state = 'queued' AND unmet = 0 AND priority = ?1 "
            "AND id < ?2)",
            (priority, job_id),
        ).fetchone()
        return int(count)

    def newest_retry(self, job_id: JobId) -> JobId:
        """The last link of its chain of retries; itself when it was never retried."""
        while True:
            row = self._connection.execute(
                "SELECT max(id) FROM (SELECT id FROM jobs WHERE retry_of = ?1 "
                "UNION ALL SELECT job_id FROM intents WHERE kind = 'submit' AND retry_of = ?1)",
                (job_id,),
            ).fetchone()
            if row[0] is None:
                return job_id
            job_id = JobId(row[0])

    def history(self, job_id: JobId) -> tuple[HistoryEntry, ...]:
        rows = self._connection.execute(
            "SELECT at, event, attempt, detail FROM history WHERE job_id = ? ORDER BY id", (job_id,)
        )
        return tuple(HistoryEntry(*row) for row in rows)

    def job(self, job_id: JobId) -> Job:
        """One job with its reasons. Raises NoSuchJob."""
        found, _ = self.jobs(JobQuery(ids=frozenset({job_id})))
        if not found:
            raise no_such_job(job_id)
        return found[0]

    def trials(self, controller: JobId, most: int) -> list[Job]:
        """The jobs that an optimisation has queued (`JobSpec.sweep` is (controller, 0)), by id.

        Looks at jobs that came after it until there are so many, since no more than that are queued.
        """
        mark = f'"sweep":[{int(controller)},0]'
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM jobs WHERE id > ?1 AND instr(spec, ?2) ORDER BY id LIMIT ?3",
            (controller, mark, most),
        ).fetchall()
        rows += self._connection.execute(
            f"{_PENDING} AND job_id > ?1 AND instr(body, ?2) ORDER BY job_id", (controller, mark)
        ).fetchall()
        found = (read_job(row) for row in rows)
        return [job for job in found if job.spec.sweep == (controller, 0)]

    def get(self, ids: Iterable[JobId]) -> list[Job]:
        """Those of the ids that exist, by id; without the reasons that reading works out."""
        wanted = dump([job_id for job_id in ids if 0 < job_id <= LARGEST_ID])
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM ({_SOME}) ORDER BY id",
            (wanted,),
        )
        return [read_job(row) for row in rows]

    def jobs(self, query: JobQuery) -> tuple[tuple[Job, ...], int]:
        """The jobs that match, at most `limit`, and how many match in all."""
        if query.ids or query.text.strip():
            rows, matched = self._filtered(query)
        else:
            counts = self.counts()
            matched = sum(n for state, n in counts.items() if not query.states or state in query.states)
            if query.sort is SortKey.QUEUE:
                rows = self._by_index(query, _QUEUE_SECTIONS)
            elif query.sort is SortKey.ID and not query.states:
                rows = self._by_index(query, _NEWEST_SECTIONS)
            else:
                rows = self._filtered(query, count=False)[0]
        whole = query.sort is SortKey.QUEUE and not (query.ids or query.text.strip())
        return tuple(self._explained(rows, ranks_by_position=whole)), matched

    # --- how it is done ----------------------------------------------------------------------------

    def _readable(self, condition: str, order: str, limit: int) -> list[Job]:
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM jobs WHERE {condition} ORDER BY {order} LIMIT ?", (limit,)
        )
        jobs = (read_job(row) for row in rows)
        return [job for job in jobs if not isinstance(job.state, Lost)]

    def _by_index(self, query: JobQuery, sections: Sequence[_Section]) -> list[sqlite3.Row]:
        """Section by section, each by its index, until there are enough."""
        rows: list[sqlite3.Row] = []
        ended = sorted(query.states - _UNENDED)
        for state, source, order in sections:
            left = query.limit - len(rows)
            if left <= 0:
                break
            values: Sequence[object] = ()
            if query.states:
                if state not in query.states and not (state is None and ended):
                    continue
                if state is None:
                    source += f" AND state IN ({','.join('?' * len(ended))})"
                    values = ended
            sql = f"SELECT {_COLUMNS} {source} ORDER BY {order} LIMIT ?"
            rows += self._connection.execute(sql, (*values, left)).fetchall()
        return rows

    def _filtered(self, query: JobQuery, *, count: bool = True) -> tuple[list[sqlite3.Row], int]:
        conditions, values = ["1"], list[object]()
        if query.ids:
            values.append(dump([job_id for job_id in query.ids if 0 < job_id <= LARGEST_ID]))
        if query.states:
            conditions.append(f"state IN ({','.join('?' * len(query.states))})")
            values += sorted(query.states)
        if text := printable(query.text.strip().lower()):
            conditions.append(
                "(instr(lower(name), ?) OR instr(lower(coalesce(recipe, '')), ?) OR instr(state, ?) "
                "OR instr(id, ?))"
            )
            values += [text, text, text.replace(" ", "_"), text]
        source = f"FROM ({_SOME if query.ids else _ALL}) WHERE {' AND '.join(conditions)}"
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} {source} ORDER BY {_ORDERS[query.sort]} LIMIT ?",
            (*values, max(query.limit, 0)),
        ).fetchall()
        if not count or len(rows) < query.limit:
            return rows, len(rows)
        return rows, int(self._connection.execute(f"SELECT count(*) {source}", values).fetchone()[0])

    def _explained(self, rows: Sequence[sqlite3.Row], *, ranks_by_position: bool) -> Iterator[Job]:
        """Jobs with a reason for each that waits: what the daemon wrote down, or else what the rows say."""
        blocked = [row["id"] for row in rows if row["unmet"]]
        dependencies = self._unmet(blocked)
        position = counted = 0
        for row in rows:
            job = read_job(row)
            if isinstance(job.state, Held):
                held = Reason(ReasonCode.HELD, detail=job.state.cause)
                job = replace(job, reasons=(held, *dependencies.get(job.id, ())))
            elif isinstance(job.state, Queued) and row["detail"] is not None:
                if job.id in dependencies:
                    job = replace(job, reasons=dependencies[job.id])
                elif not job.reasons:
                    ahead: int | None = position
                    if not ranks_by_position:
                        counted += 1
                        ahead = self.ahead(row["priority"], job.id) if counted <= _RANKED else None
                    job = replace(job, reasons=(Reason(ReasonCode.AHEAD, needed=ahead, unit=Unit.JOBS),))
                position += job.id not in dependencies
            yield job

    def _unmet(self, ids: Sequence[int]) -> dict[JobId, tuple[Reason, ...]]:
        waiting: dict[JobId, list[JobId]] = {}
        for job_id, on_id in self._connection.execute(
            "SELECT job_id, on_id FROM dependencies WHERE met = 0 "
            "AND job_id IN (SELECT value FROM json_each(?)) ORDER BY job_id, on_id",
            (dump(list(ids)),),
        ):
            waiting.setdefault(JobId(job_id), []).append(JobId(on_id))
        return {job_id: (Reason(ReasonCode.DEPENDENCY, jobs=tuple(on)),) for job_id, on in waiting.items()}
