"""Numbered, append-only migrations, and how to open the database.

A database remembers how many migrations it has had in `PRAGMA user_version`. Four first starts at once must
all work, so migrations run under a file lock. sqlite-utils is imported only when one has to run: looking
is the standard library's work.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.core.ports import StateUnavailable
from jobs.core.versions import SCHEMA
from jobs.kinds.earlier import PROGRAMS
from jobs.store.group_tables import groups_and_tallies, missing_in_groups

if TYPE_CHECKING:
    from sqlite_utils import Database


def connect(path: Path, *, busy_s: float = 10.0) -> sqlite3.Connection:
    """Open the database in autocommit mode; where there is none, it is made.

    Raises Outdated when its tables are of an earlier version, Unreachable when it cannot be opened or they
    are of a later one: it is left as it is then.
    """
    try:
        if not path.exists():
            migrate(path)
        refuse_newer(path)
        connection = _open(path, busy_s)
        version = _version(connection, path)
        if version < SCHEMA:
            connection.close()
            if version == 0:  # a file that nobody has written to yet
                migrate(path)
                return _open(path, busy_s)
            raise Outdated(
                f"The job database {path} was written by an earlier cro-tui (version {version} of its "
                f"tables, this one needs {SCHEMA}).",
                "Type cro-tui ls to bring it up to date.",
            )
        return connection
    except (sqlite3.Error, OSError) as error:
        raise unreachable(path, error) from error


def refuse_newer(path: Path) -> None:
    """Raise Unreachable for a database of a later version, and change nothing about it.

    A connection that may write moves what a killed scheduler has left in the log into the database.
    """
    if not path.with_name(path.name + "-wal").exists():
        return
    with suppress(sqlite3.Error):  # whoever opens it afterwards meets the same, and says so
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)
        _version(connection, path)
        connection.close()


class Outdated(StateUnavailable):
    """The tables are those of an earlier version; `migrate` changes them, under the scheduler's lock."""


def has_intents(path: Path) -> bool:
    """Whether anything is asked for that no scheduler has read. Raises Unreachable."""
    connection = connect(path)
    try:
        return connection.execute("SELECT 1 FROM intents LIMIT 1").fetchone() is not None
    except sqlite3.Error as error:
        raise unreachable(path, error) from error
    finally:
        connection.close()


def _open(path: Path, busy_s: float) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)


def unreachable(path: Path, error: Exception) -> StateUnavailable:
    """The sentence for a failure of the database."""
    text = str(error)
    if "locked" in text or "busy" in text:
        return StateUnavailable(
            f"The job database {path} is locked by another program.", "Try again in a moment."
        )
    if "full" in text:
        return StateUnavailable(
            f"There is no room on the disk for the job database {path}: nothing was changed.",
            "Make room, and try again.",
        )
    if "readonly" in text or "I/O error" in text or "unable to open" in text:
        return StateUnavailable(
            f"The job database {path} cannot be written: nothing was changed ({text}).",
            "Check the folder's permissions and the disk, and try again.",
        )
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        return StateUnavailable(
            f"The job database {path} is damaged: {text}.",
            "Type cro-tui daemon: the scheduler keeps the damaged one aside and restores the backup.",
        )
    return StateUnavailable(
        f"The job database {path} cannot be used: {text}.", "Check the folder and the disk."
    )


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """Migrations the database has had; closes the connection when it raises."""
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    except BaseException:
        connection.close()
        raise
    if version > SCHEMA:
        connection.close()
        raise StateUnavailable(
            f"The job database {path} was written by a newer cro-tui (version {version} of its tables, "
            f"this one knows {SCHEMA}).",
            "Update cro-tui, or set CRO_HOME to another folder.",
        )
    return version


def migrate(path: Path) -> None:
    """Make the database, or bring its tables up to date; nothing happens to one that is.

    An existing one may only be changed by whoever holds the scheduler's lock: a scheduler of the earlier
    version could no longer use it. Raises sqlite3.Error, OSError, Unreachable.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with only_one(path):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = _open(path, busy_s=30.0)
        try:
            version = _version(connection, path)
            if version == SCHEMA:
                return
            with _without_pandas():
                from sqlite_utils import Database
            connection.execute("PRAGMA journal_mode = WAL")
            for number, migration in enumerate(MIGRATIONS[version:], version + 1):
                connection.execute("BEGIN IMMEDIATE")
                try:
                    migration(Database(connection))
                    connection.execute(f"PRAGMA user_version = {number}")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
            if version == 0:
                pass_over_folders(connection, path)
        finally:
            connection.close()


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """One process at a time makes a database, or puts another one in its place."""
    lock = os.open(path.with_name(path.name + ".migrate"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def pass_over_folders(connection: sqlite3.Connection, path: Path) -> int:
    """Let no new job get an id that has a job folder beside the database. Answers with the
    id that was next until now."""
    jobs = path.with_name("jobs")
    ids = (max(_numbers(jobs / str(bucket)), default=0) for bucket in sorted(_numbers(jobs), reverse=True))
    largest = next(filter(None, ids), 0)
    (following,) = connection.execute(
        "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'next_job_id'"
    ).fetchone()
    connection.execute(
        "UPDATE meta SET value = ? WHERE key = 'next_job_id'", (str(max(following, largest + 1)),)
    )
    return int(following)


def _numbers(folder: Path) -> list[int]:
    try:
        return [int(name) for name in os.listdir(folder) if name.isascii() and name.isdigit()]
    except OSError:
        return []


@contextmanager
def _without_pandas() -> Iterator[None]:
    """sqlite-utils imports pandas where it is installed, and needs it only to name column types."""
    if "pandas" in sys.modules:
        yield
        return
    sys.modules["pandas"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["pandas"]


# --- the migrations: append only --------------------------------------------------------------------


def _first(database: Database) -> None:
    """Jobs and what surrounds them.

    `jobs.unmet` counts dependencies that are not satisfied yet. `tallies` counts jobs by state, and besides
    the submits that the daemon has not read (`not_seen`) and the queued jobs with unmet ones (`blocked`).
    """
    jobs = database.table("jobs")
    jobs.create(
        {
            "id": int,
            "state": str,
            "unmet": int,
            "priority": int,
            "name": str,
            "recipe": str,
            "retry_of": int,
            "submitted_at": float,
            "finished_at": float,
            "attempts": int,
            "spec": str,
            "detail": str,
            "reasons": str,
            "estimated_start_at": float,
        },
        pk="id",
        not_null={"state", "unmet", "priority", "name", "submitted_at", "attempts", "spec", "detail"},
    )
    database.execute("CREATE INDEX jobs_queue ON jobs(state, unmet, priority DESC, id)")
    database.execute(
        "CREATE INDEX jobs_ended ON jobs(finished_at DESC, id DESC) WHERE finished_at IS NOT NULL"
    )
    database.execute("CREATE INDEX jobs_retries ON jobs(retry_of, id) WHERE retry_of IS NOT NULL")
    database.table("dependencies").create(
        {"job_id": int, "on_id": int, "kind": str, "met": int}, pk=("job_id", "on_id")
    )
    database.execute("CREATE INDEX dependencies_waiting ON dependencies(on_id) WHERE met = 0")
    database.table("intents").create(
        {
            "id": int,
            "at": float,
            "kind": str,
            "job_id": int,
            "priority": int,
            "name": str,
            "recipe": str,
            "retry_of": int,
            "body": str,
        },
        pk="id",
    )
    database.execute("CREATE UNIQUE INDEX intents_submits ON intents(job_id) WHERE kind = 'submit'")
    database.table("history").create(
        {"id": int, "job_id": int, "at": float, "event": str, "attempt": int, "detail": str}, pk="id"
    )
    database.execute("CREATE INDEX history_jobs ON history(job_id, id)")
    database.table("durations").create({"id": int, "key": str, "wall_s": float}, pk="id")
    database.execute("CREATE INDEX durations_keys ON durations(key, id)")
    database.table("tallies").create({"state": str, "jobs": int}, pk="state")
    database.table("meta").create({"key": str, "value": str}, pk="key")
    database.table("meta").insert_all(
        [
            {"key": "instance", "value": os.urandom(4).hex()},
            {"key": "draining", "value": "0"},
            {"key": "next_job_id", "value": "1"},
        ]
    )
    for name, moment, count in (
        ("in", "INSERT ON jobs", "VALUES (new.state, 1) ON CONFLICT(state) DO UPDATE SET jobs = jobs + 1"),
        (
            "out",
            "DELETE ON jobs",
            "VALUES (old.state, -1) ON CONFLICT(state) DO UPDATE SET jobs = jobs - 1",
        ),
    ):
        count = f"INSERT INTO tallies(state, jobs) {count}"
        database.execute(f"CREATE TRIGGER tally_{name} AFTER {moment} BEGIN {count}; END")
    database.execute(
        "CREATE TRIGGER tally_move AFTER UPDATE OF state ON jobs WHEN old.state <> new.state BEGIN "
        "UPDATE tallies SET jobs = jobs - 1 WHERE state = old.state; "
        "INSERT INTO tallies(state, jobs) VALUES (new.state, 1) "
        "ON CONFLICT(state) DO UPDATE SET jobs = jobs + 1; END"
    )
    blocked = "({0}.state = 'queued' AND {0}.unmet > 0)"
    before, after = blocked.format("old"), blocked.format("new")
    for moment, condition, change in (
        ("INSERT", after, "1"),
        ("UPDATE OF state, unmet", f"{before} <> {after}", f"{after} - {before}"),
    ):
        database.execute(
            f"CREATE TRIGGER tally_blocked_{moment[:6].lower()} AFTER {moment} ON jobs WHEN {condition} "
            f"BEGIN INSERT INTO tallies(state, jobs) VALUES ('blocked', {change}) "
            "ON CONFLICT(state) DO UPDATE SET jobs = jobs + excluded.jobs; END"
        )


def _runtimes(database: Database) -> None:
    """What earlier runs took, as means and variances of log seconds by key, in place of their durations."""
    database.execute("DROP TABLE IF EXISTS durations")
    database.table("runtimes").create(
        {"key": str, "runs": int, "mean": float, "variance": float},
        pk="key",
        not_null={"runs", "mean", "variance"},
    )


def _classes(database: Database) -> None:
    """Jobs of one class stand in the order by their age alone; the queue is read class by class."""
    database.execute("ALTER TABLE jobs ADD COLUMN class INTEGER NOT NULL DEFAULT 0")
    database.execute("CREATE INDEX jobs_classes ON jobs(state, unmet, class, id)")


def _runs(database: Database) -> None:
    """Besides run times, what the runs used and whether they saved when asked."""
    database.execute("ALTER TABLE runtimes RENAME TO runs")
    database.execute("ALTER TABLE runs ADD COLUMN used TEXT NOT NULL DEFAULT ''")
    database.execute("ALTER TABLE runs ADD COLUMN failed_saves INTEGER NOT NULL DEFAULT 0")


def _turns(database: Database) -> None:
    """What is asked of a job, and urgent jobs, need not wait until a long sweep has been read."""
    database.execute("CREATE INDEX intents_controls ON intents(id) WHERE kind <> 'submit'")
    database.execute("CREATE INDEX intents_urgent ON intents(id) WHERE kind = 'submit' AND priority > 50")


def _short_runs(database: Database) -> None:
    """What can be compared of the runs of a group is read from an index alone: their rows are long."""
    database.execute(
        "CREATE INDEX jobs_short_runs ON jobs(lead, id, state, json_extract(spec, '$.params'), "
        "json_extract(detail, '$.metrics')) "
        "WHERE lead IS NOT NULL AND json_valid(spec) AND json_valid(detail)"
    )


def _restarts(database: Database) -> None:
    """What it took earlier runs to save and stop, and to be at work again."""
    database.execute("ALTER TABLE runs ADD COLUMN save_s REAL")
    database.execute("ALTER TABLE runs ADD COLUMN restart_s REAL")


def _kinds(database: Database) -> None:
    """The kind of each job, and of each submit that was not read, as a column; groups are completed."""
    missing_in_groups(database)
    database.execute("ALTER TABLE jobs ADD COLUMN kind TEXT NOT NULL DEFAULT 'command'")
    database.execute("ALTER TABLE intents ADD COLUMN job_kind TEXT")
    for table, column, record in (("jobs", "kind", "spec"), ("intents", "job_kind", "body")):
        programs = " ".join(f"WHEN '{module}' THEN '{kind}'" for module, kind in PROGRAMS.items())
        module = f"iif(json_extract({record}, '$.argv[2]') = '-m', json_extract({record}, '$.argv[3]'), '')"
        database.execute(
            f"UPDATE {table} SET {column} = coalesce("
            f"CASE iif(json_valid({record}), {module}, '') {programs} END, "
            "iif(recipe IS NULL, 'command', 'recipe'))"
            + (" WHERE kind = 'submit'" if table == "intents" else "")
        )


MIGRATIONS: tuple[Callable[[Database], None], ...] = (
    _first,
    _runtimes,
    _classes,
    _runs,
    _turns,
    groups_and_tallies,
    _short_runs,
    _restarts,
    _kinds,
)
