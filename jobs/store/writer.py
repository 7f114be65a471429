"""What the daemon reads and writes: the only writer of job rows.

All changes of one wake-up are one transaction. It finds work by index - the head of the queue, the active
jobs, those that wait for one job - and never scans the table. It decides nothing: `engine` does.
"""

from __future__ import annotations

import math
import sqlite3
import zlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jobs.core.jobs import Dependency, DependencyKind, Job, JobId, JobSpec, Reason, StateName, Succeeded
from jobs.policy.history import RunHistory
from jobs.policy.window import class_of
from jobs.store import codec, schema
from jobs.store.codec import DamagedRecord
from jobs.store.history_rows import dump_used, histories
from jobs.store.intents import IntentKind, lead_of, printable
from jobs.store.queries import classes

_ACTIVE = "('starting', 'running', 'paused')"
_JOB = "id, state, priority, submitted_at, attempts, spec, detail, reasons, estimated_start_at"
_OF_KNOWN_JOBS = (  # the first of them only are looked at: their jobs may be many, and unread
    "(SELECT * FROM intents WHERE kind <> 'submit' ORDER BY id LIMIT 2000) AS asked WHERE NOT EXISTS "
    "(SELECT 1 FROM intents AS its WHERE its.kind = 'submit' AND its.job_id = asked.job_id)"
)
_URGENT = "intents WHERE kind = 'submit' AND priority > 50 ORDER BY id"
_OTHERS = "intents ORDER BY id"


@dataclass(frozen=True, slots=True)
class Intent:
    """One wish of a front end; `body` is a JobSpec for a submit, else what the kind needs."""

    id: int
    kind: IntentKind
    at: float
    job_id: JobId | None
    body: Any


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    """A row that cannot be read back, with the cause."""

    job_id: JobId
    cause: str


class Store:
    """The daemon's connection. `begin` is implied by the first write and ended by `commit`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = schema.connect(path, busy_s=5.0)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA wal_autocheckpoint = 2000")
        self.unreadable: list[UnreadableRow] = []

    def close(self) -> None:
        self._connection.close()

    def commit(self) -> bool:
        """Make everything since the last commit durable against a crash; whether there was anything."""
        if not self._connection.in_transaction:
            return False
        self._connection.execute("COMMIT")
        return True

    def rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def data_version(self) -> int:
        """Changes whenever another connection has committed."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def meta(self, key: str) -> str:
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else ""

    def set_meta(self, key: str, value: str) -> None:
        self._write("INSERT OR REPLACE INTO meta(key, value) VALUES (?, ?)", (key, value))

    # --- intents -----------------------------------------------------------------------------------

    def intents(self, limit: int) -> list[Intent]:
        """The next wishes: what is asked of jobs that are known, then urgent jobs, then the others, each as
        they came. Nothing that is asked of one job changes its order.

        Damaged ones are dropped; a damaged submit leaves a lost job.
        """
        intents, damaged = [], []
        rows: dict[int, sqlite3.Row] = {}
        for choice in (_OF_KNOWN_JOBS, _URGENT, _OTHERS):
            if len(rows) < limit:
                found = self._connection.execute(f"SELECT * FROM {choice} LIMIT ?", (limit - len(rows),))
                rows |= {row["id"]: row for row in sorted(found, key=_id) if row["id"] not in rows}
        for row in rows.values():
            job_id = None if row["job_id"] is None else JobId(row["job_id"])
            try:
                kind = IntentKind(row["kind"])
                body = (
                    codec.load_spec(row["body"]) if kind is IntentKind.SUBMIT else codec.load(row["body"])
                )
            except ValueError as error:
                damaged.append((row, f"intent {row['id']}: {error}"))
                continue
            intents.append(Intent(row["id"], kind, row["at"], job_id, body))
        for row, cause in damaged:
            self.put_aside(row["id"], cause)
        return intents

    def has_intents(self) -> bool:
        return self._connection.execute("SELECT 1 FROM intents LIMIT 1").fetchone() is not None

    def put_aside(self, intent_id: int, cause: str) -> None:
        """Drop a wish that cannot be taken in; a submit leaves a row behind, to be quarantined."""
        rows = self._connection.execute(
            "SELECT job_id, priority, name, at, body, lead FROM intents WHERE id = ? AND kind = 'submit'",
            (intent_id,),
        ).fetchall()
        for row in rows:
            self._write(
                "INSERT OR IGNORE INTO jobs(id, state, unmet, priority, name, submitted_at, attempts, "
                "spec, detail, lead) VALUES (?, 'queued', 0, ?, ?, ?, 0, ?, '', ?)",
                tuple(row),
            )
            self.unreadable.append(UnreadableRow(JobId(row["job_id"]), cause))
        self.drop_intents([intent_id])

    def drop_intents(self, ids: Sequence[int]) -> None:
        """Forget wishes, in the transaction that saves what came of them."""
        if not ids:
            return
        marks = codec.dump(list(ids))
        dropped = self._write(
            "DELETE FROM intents WHERE id IN (SELECT value FROM json_each(?)) RETURNING kind, lead",
            (marks,),
        ).fetchall()
        if submits := sum(row["kind"] == IntentKind.SUBMIT for row in dropped):
            self._write("UPDATE tallies SET jobs = jobs - ? WHERE state = 'not_seen'", (submits,))
        for lead, seen in Counter(row["lead"] for row in dropped if row["lead"] is not None).items():
            self._write(
                "UPDATE group_tallies SET jobs = jobs - ? WHERE lead = ? AND state = 'not_seen'",
                (seen, lead),
            )

    # --- jobs ----------------------------------------------------------------------------------------

    def insert(self, job: Job) -> None:
        """A job that was just submitted, with its dependencies."""
        spec = job.spec
        unmet = 0
        for after in spec.after:
            met = self._met(after)
            unmet += not met
            self._write(
                "INSERT OR IGNORE INTO dependencies(job_id, on_id, kind, met) VALUES (?, ?, ?, ?)",
                (job.id, after.job_id, after.kind.value, int(met)),
            )
        self._write(
            "INSERT INTO jobs(id, state, unmet, priority, name, recipe, retry_of, submitted_at, "
            "finished_at, attempts, spec, detail, class, lead, kind) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                job.id, job.state.name.value, unmet, spec.priority, printable(spec.name), spec.recipe,
                spec.retry_of, job.submitted_at, getattr(job.state, "finished_at", None), job.attempts,
                codec.dump_spec(spec), codec.dump_detail(job), _class_number(spec), lead_of(spec),
                spec.kind.value,
            ),
        )  # fmt: skip

    def save(self, job: Job) -> None:
        """Write down where a job stands."""
        self._write(
            "UPDATE jobs SET state = ?, priority = ?, finished_at = ?, attempts = ?, detail = ?, "
            "reasons = ?, estimated_start_at = ?, class = ? WHERE id = ?",
            (
                job.state.name.value,
                job.spec.priority,
                getattr(job.state, "finished_at", None),
                job.attempts,
                codec.dump_detail(job),
                codec.dump_reasons(job.reasons) if job.reasons else None,
                job.estimated_start_at,
                _class_number(job.spec),
                job.id,
            ),
        )
        if job.metrics and isinstance(job.state, Succeeded) and job.spec.group is not None:
            self._judge(job, job.spec.group[0])

    def _judge(self, job: Job, lead: int) -> None:
        """Remember the best of each metric that its group is judged by."""
        row = self._connection.execute("SELECT judged_by FROM groups WHERE id = ?", (lead,)).fetchone()
        better = dict(codec.load(row["judged_by"])) if row else {}
        for metric, value in job.metrics:
            if metric in better and math.isfinite(value):
                beats = ">" if better[metric] == "max" else "<"
                self._write(
                    "INSERT INTO group_bests(lead, metric, value, job_id) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT(lead, metric) DO UPDATE SET value = excluded.value, "
                    f"job_id = excluded.job_id WHERE excluded.value {beats} value",
                    (lead, metric, value, job.id),
                )

    def set_reasons(
        self, job_id: JobId, reasons: Sequence[Reason], estimated_start_at: float | None
    ) -> None:
        self._write(
            "UPDATE jobs SET reasons = ?, estimated_start_at = ? "
            "WHERE id = ? AND state IN ('queued', 'held')",
            (codec.dump_reasons(reasons), estimated_start_at, job_id),
        )

    def record(self, job_id: JobId, at: float, event: str, attempt: int | None, detail: str) -> None:
        """One line of a job's story."""
        self._write(
            "INSERT INTO history(job_id, at, event, attempt, detail) VALUES (?, ?, ?, ?, ?)",
            (job_id, at, event, attempt, printable(detail)),
        )

    def settle(
        self, job_id: JobId, met: Collection[DependencyKind], never: Collection[DependencyKind]
    ) -> tuple[list[JobId], list[JobId]]:
        """Tell those who wait for a job that it has ended: which are ready now, which can never start."""
        waiting = self._connection.execute(
            "SELECT job_id, kind FROM dependencies WHERE on_id = ? AND met = 0", (job_id,)
        ).fetchall()
        ready, lost = [], []
        for dependent, kind in waiting:
            if kind in met:
                self._write(
                    "UPDATE dependencies SET met = 1 WHERE job_id = ? AND on_id = ?", (dependent, job_id)
                )
                cursor = self._write(
                    "UPDATE jobs SET unmet = unmet - 1 WHERE id = ? RETURNING unmet, state", (dependent,)
                )
                for unmet, state in cursor.fetchall():
                    if unmet == 0 and state == StateName.QUEUED:
                        ready.append(JobId(dependent))
            elif kind in never:
                lost.append(JobId(dependent))
        return ready, lost

    def histories(self, keys: Collection[str]) -> dict[str, RunHistory]:
        """What is remembered of earlier runs under those of the keys that are known."""
        return histories(self._connection, keys)

    def set_history(self, key: str, past: RunHistory) -> None:
        """Remember what earlier runs took and used."""
        moments, used = past.moments, dump_used(past.used)
        self._write(
            "INSERT OR REPLACE INTO runs(key, runs, mean, variance, used, failed_saves, save_s, restart_s) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (key, *astuple(moments), used, past.failed_saves, past.save_s, past.restart_s),
        )

    def active(self) -> list[Job]:
        """Every job that has an attempt."""
        return self._jobs(f"SELECT {_JOB} FROM jobs WHERE state IN {_ACTIVE} ORDER BY id")

    def window(self, limit: int, *, by_class: bool = False) -> list[Job]:
        """The first waiting jobs whose dependencies are met, by priority and age, or of each class.

        By class, up to `limit` classes are looked at, and there may be twice as many jobs.
        """
        if not by_class:
            return self._jobs(
                f"SELECT {_JOB} FROM jobs WHERE state = 'queued' AND unmet = 0 "
                "ORDER BY priority DESC, id LIMIT ?",
                (limit,),
            )
        kinds, each = classes(self._connection, limit)
        return [
            job
            for kind in kinds
            for job in self._jobs(
                f"SELECT {_JOB} FROM jobs WHERE state = 'queued' AND unmet = 0 AND class = ? "
                "ORDER BY id LIMIT ?",
                (kind, each),
            )
        ]

    def get(self, ids: Collection[JobId]) -> dict[JobId, Job]:
        """Those of the jobs that exist and can be read."""
        jobs = self._jobs(
            f"SELECT {_JOB} FROM jobs WHERE id IN (SELECT value FROM json_each(?))",
            (codec.dump(list(ids)),),
        )
        return {job.id: job for job in jobs}

    def dependency_states(self, ids: Collection[JobId]) -> dict[JobId, StateName]:
        """Where each of these jobs stands."""
        rows = self._connection.execute(
            "SELECT id, state FROM jobs WHERE id IN (SELECT value FROM json_each(?))",
            (codec.dump(list(ids)),),
        )
        return {JobId(row["id"]): StateName(row["state"]) for row in rows}

    def queued_outside_window(self, head: int) -> int:
        """How many more jobs are ready to start behind the first `window`."""
        tallies = self.tallies()
        return max(0, tallies.get("queued", 0) - tallies.get("blocked", 0) - head)

    def tallies(self) -> Mapping[str, int]:
        """Jobs in each state; submits that have not been read count as "not_seen"."""
        return dict(self._connection.execute("SELECT state, jobs FROM tallies").fetchall())

    def waiting(self) -> bool:
        """Whether any job is queued, or submitted and not read."""
        row = self._connection.execute(
            "SELECT total(jobs) FROM tallies WHERE state IN ('queued', 'not_seen')"
        ).fetchone()
        return bool(row[0] > 0)

    def quarantine(self, job_id: JobId, cause: str, at: float) -> None:
        """Take a damaged row out of the way of the others: it reads as lost, with the cause."""
        detail = {"state": {"finished_at": at, "cause": cause}, "usage": {}}
        self._write(
            "UPDATE jobs SET state = 'lost', finished_at = ?, detail = ? WHERE id = ?",
            (at, codec.dump(detail), job_id),
        )

    # --- how it is done --------------------------------------------------------------------------------

    def _write(self, sql: str, values: Sequence[object]) -> sqlite3.Cursor:
        if not self._connection.in_transaction:
            self._connection.execute("BEGIN IMMEDIATE")
        return self._connection.execute(sql, values)

    def _jobs(self, sql: str, values: Sequence[object] = ()) -> list[Job]:
        jobs = []
        for row in self._connection.execute(sql, values):
            try:
                jobs.append(codec.load_job(row))
            except DamagedRecord as error:
                self.unreadable.append(UnreadableRow(JobId(row["id"]), str(error)))
        return jobs

    def _met(self, after: Dependency) -> bool:
        row = self._connection.execute("SELECT state FROM jobs WHERE id = ?", (after.job_id,)).fetchone()
        if row is None:
            return False
        if after.kind is DependencyKind.OK:
            return bool(row["state"] == StateName.SUCCEEDED)
        return row["state"] not in ("queued", "held", "starting", "running", "paused")


def _id(row: sqlite3.Row) -> int:
    return int(row["id"])


@lru_cache(maxsize=64)
def _class_number(spec: JobSpec) -> int:
    """A number for the class of a job in the order; two classes seldom share one."""
    return zlib.crc32(repr(class_of(spec)).encode())
