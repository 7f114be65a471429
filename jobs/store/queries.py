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

from jobs.core.jobs import Held, Job, JobId, JobSpec, Lost, Queued, Reason, ReasonCode, StateName, Unit
from jobs.core.machine import Capacity
from jobs.core.requests import HistoryEntry, JobGroup, JobQuery, ListRow, SortKey
from jobs.core.rules import SchedulerSettings
from jobs.core.sweeps import RunColumns
from jobs.policy.runtime_model import forecast, runtime_keys
from jobs.store import groups, schema
from jobs.store.codec import dump
from jobs.store.group_tables import retried
from jobs.store.history_rows import histories, runtimes
from jobs.store.intents import LARGEST_ID, no_such_job, printable, states_of
from jobs.store.rows import read_job
from jobs.store.sections import COLUMNS, ENDED_ORDER, PENDING, WAITING_ORDER, sections

_ALL = f"SELECT {COLUMNS} FROM jobs UNION ALL {PENDING}"
_THESE = "IN (SELECT value FROM json_each(?1))"  # in each arm: over the union no index would be used
_SOME = f"SELECT {COLUMNS} FROM jobs WHERE id {_THESE} UNION ALL {PENDING} AND job_id {_THESE}"
_NEWEST_SECTIONS = (  # intents are read in order, so all of them are newer than any job
    (None, f"FROM ({PENDING})", "id DESC"),
    (None, "FROM jobs", "id DESC"),
)
_QUEUE_SECTIONS = tuple((section.state, section.source, section.order) for section in sections())
_UNENDED = frozenset(section[0] for section in _QUEUE_SECTIONS)
_ORDERS = {
    SortKey.QUEUE: "CASE state WHEN 'running' THEN 0 WHEN 'paused' THEN 1 WHEN 'starting' THEN 2 "
    "WHEN 'queued' THEN 3 + (unmet > 0) WHEN 'held' THEN 5 ELSE 6 END, finished_at DESC, "
    "iif(state IN ('queued', 'held'), -priority, 0), iif(finished_at IS NULL, id, -id)",
    SortKey.ID: "id DESC",
    SortKey.NAME: "name COLLATE NOCASE, id",
    SortKey.PRIORITY: WAITING_ORDER,
    SortKey.STATE: "state, id DESC",
    SortKey.FINISHED: ENDED_ORDER,
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

    def group(self, lead: JobId) -> JobGroup | None:
        """The group that a job leads; its foremost job stands for it."""
        rows = groups.rows_of(self._connection, lead, 1)
        found = self.get([lead]) if not rows else [read_job(rows[0])]
        return groups.groups(self._connection, {lead: found[0]}).get(lead) if found else None

    def members(self, lead: JobId, most: int) -> list[Job]:
        """The first of a group's jobs by id, of an optimisation its trials."""
        rows = self._connection.execute(
            f"SELECT {COLUMNS} FROM jobs WHERE lead = ?1 UNION ALL {PENDING} AND lead = ?1 "
            "ORDER BY id LIMIT ?2",
            (lead, most),
        )
        return [read_job(row) for row in rows]

    def runs(self, lead: JobId, most: int) -> RunColumns:
        """The first of a group's jobs by id, in short: nothing is read of them but what can be compared."""
        return groups.runs(self._connection, lead, most)

    def lead_of_controller(self, job_id: JobId) -> JobId | None:
        return groups.lead_of_controller(self._connection, job_id)

    def first_of(self, job_id: JobId) -> JobId:
        """The first link of its chain of retries; itself when it is no retry."""
        (first,) = self._connection.execute(f"SELECT min(id) FROM ({retried('?')})", (job_id,)).fetchone()
        return JobId(first)

    def ids_in(
        self, lead: JobId, states: Iterable[StateName], *, unretried: bool = False
    ) -> tuple[JobId, ...]:
        """Which jobs of a group are in one of these states, in order; `unretried`: and have no retry."""
        return groups.ids_in(self._connection, lead, states, unretried=unretried)

    def next_id(self) -> JobId:
        return JobId(int(self.meta("next_job_id") or 1))

    def active(self) -> list[Job]:
        """Every job that has an attempt."""
        return self._readable("state IN ('starting', 'running', 'paused')", "id", -1)

    def window(self, limit: int, *, by_class: bool = False) -> list[Job]:
        """The waiting jobs that the scheduler has in view: see `Store.head`."""
        if not by_class:
            return self._readable("state = 'queued' AND unmet = 0", WAITING_ORDER, limit)
        kinds, each = classes(self._connection, limit)
        return [
            job
            for kind in kinds
            for job in self._readable(f"state = 'queued' AND unmet = 0 AND class = {kind}", "id", each)
        ]

    def ended_jobs(self, limit: int) -> list[Job]:
        """The last jobs that have ended, the newest first."""
        return self._readable("finished_at IS NOT NULL", ENDED_ORDER, limit)

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

    def with_forecasts(
        self, jobs: Sequence[Job], capacity: Capacity, rules: SchedulerSettings
    ) -> list[Job]:
        """The jobs with their forecasts, as the scheduler makes them."""
        from jobs.policy.history import forecast_of

        known = histories(self._connection, {key for job in jobs for key in runtime_keys(job.spec)})
        return [replace(job, forecast=forecast_of(job.spec, known.get, capacity, rules)) for job in jobs]

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

    def get(self, ids: Iterable[JobId]) -> list[Job]:
        """Those of the ids that exist, by id; without the reasons that reading works out."""
        wanted = dump([job_id for job_id in ids if 0 < job_id <= LARGEST_ID])
        rows = self._connection.execute(
            f"SELECT {COLUMNS} FROM ({_SOME}) ORDER BY id",
            (wanted,),
        )
        return [read_job(row) for row in rows]

    def jobs(self, query: JobQuery) -> tuple[tuple[Job, ...], int]:
        """The jobs that match, at most `limit`, and how many match in all."""
        if query.searches:
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
        whole = query.sort is SortKey.QUEUE and not query.searches
        return tuple(self._explained(rows, [1] * len(rows) if whole else None)), matched

    def rows(self, query: JobQuery) -> tuple[tuple[ListRow, ...], int]:
        """The lines of a list, each group as one where the query folds, and how many jobs match in all."""
        if not query.folds:
            return self.jobs(query)
        lines = groups.folded(self._connection, query.limit, query.unfolded, query.before)
        counted = groups.tallied(self._connection, [line.lead for line in lines if line.lead is not None])
        weights = [0 if line.member else 1 if line.lead is None else counted[line.lead] for line in lines]
        jobs = list(self._explained([line.row for line in lines], weights))
        told = zip(lines, jobs, strict=True)
        found = groups.groups(
            self._connection, {line.lead: job for line, job in told if line.lead is not None}
        )
        rows = tuple(
            job if line.lead is None else found.get(line.lead, job)
            for line, job in zip(lines, jobs, strict=True)
        )
        return rows, sum(self.counts().values())

    # --- how it is done ----------------------------------------------------------------------------

    def _readable(self, condition: str, order: str, limit: int) -> list[Job]:
        rows = self._connection.execute(
            f"SELECT {COLUMNS} FROM jobs WHERE {condition} ORDER BY {order} LIMIT ?", (limit,)
        )
        jobs = (read_job(row) for row in rows)
        return [job for job in jobs if not isinstance(job.state, Lost)]

    def _by_index(
        self, query: JobQuery, sections: Sequence[tuple[StateName | None, str, str]]
    ) -> list[sqlite3.Row]:
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
            sql = f"SELECT {COLUMNS} {source} ORDER BY {order} LIMIT ?"
            rows += self._connection.execute(sql, (*values, left)).fetchall()
        return rows

    def _filtered(self, query: JobQuery, *, count: bool = True) -> tuple[list[sqlite3.Row], int]:
        conditions, values = ["1"], list[object]()
        if query.ids:
            values.append(dump([job_id for job_id in query.ids if 0 < job_id <= LARGEST_ID]))
        if query.states:
            conditions.append(f"state IN ({','.join('?' * len(query.states))})")
            values += sorted(query.states)
        if query.kinds:
            conditions.append(f"kind IN ({','.join('?' * len(query.kinds))})")
            values += sorted(query.kinds)
        if text := printable(query.text.strip().lower()):
            conditions.append(
                "(instr(lower(name), ?) OR instr(lower(coalesce(recipe, '')), ?) OR instr(state, ?) "
                "OR instr(id, ?))"
            )
            values += [text, text, text.replace(" ", "_"), text]
        source = f"FROM ({_SOME if query.ids else _ALL}) WHERE {' AND '.join(conditions)}"
        rows = self._connection.execute(
            f"SELECT {COLUMNS} {source} ORDER BY {_ORDERS[query.sort]} LIMIT ?",
            (*values, max(query.limit, 0)),
        ).fetchall()
        if not count or len(rows) < query.limit:
            return rows, len(rows)
        return rows, int(self._connection.execute(f"SELECT count(*) {source}", values).fetchone()[0])

    def _explained(self, rows: Sequence[sqlite3.Row], weights: Sequence[int] | None) -> Iterator[Job]:
        """Jobs with a reason for each that waits: what the daemon wrote down, or else what the rows say.

        `weights` says for how many waiting jobs each row stands; None: the rows are not the queue's.
        """
        blocked = [row["id"] for row in rows if row["unmet"]]
        dependencies = self._unmet(blocked)
        position = counted = 0
        for number, row in enumerate(rows):
            job = read_job(row)
            if isinstance(job.state, Held):
                held = Reason(ReasonCode.HELD, detail=job.state.cause)
                job = replace(job, reasons=(held, *dependencies.get(job.id, ())))
            elif isinstance(job.state, Queued) and row["detail"] is not None:
                if job.id in dependencies:
                    job = replace(job, reasons=dependencies[job.id])
                elif not job.reasons:
                    ahead: int | None = position
                    if weights is None:
                        counted += 1
                        ahead = self.ahead(row["priority"], job.id) if counted <= _RANKED else None
                    job = replace(job, reasons=(Reason(ReasonCode.AHEAD, needed=ahead, unit=Unit.JOBS),))
                position += 0 if job.id in dependencies or weights is None else weights[number]
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
