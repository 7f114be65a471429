"""The backup of the database: made while it is in use, and put in the place of a damaged one.

Moves whole files, never rows. Only the holder of the scheduler's lock may call `restore`.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from jobs.core.versions import read_as
from jobs.runtime import atomic_write
from jobs.store import schema

_FILES = ("", "-wal", "-shm")
_MAGIC = b"SQLite format 3\0"
_HELD: dict[tuple[int, int], int] = {}  # a descriptor of each file that was looked at
_DAMAGE = ("disk image is malformed", "malformed database schema", "not a database")


@dataclass(frozen=True, slots=True)
class Restored:
    """What was done about a damaged database. `backup_at` None: there was no backup to restore.

    `first_unknown`: the first id of which the database now in its place knows nothing.
    """

    at: float
    damage: str
    aside: str
    backup_at: float | None
    first_unknown: int


def backup_of(database: Path) -> Path:
    return database.with_name(database.name + ".backup")


def back_up(database: Path) -> None:
    """Replace the backup by a copy of what is committed now. Raises sqlite3.Error, OSError.

    The copy reads every row, so that damage is found before a good backup is overwritten.
    """
    backup = backup_of(database)
    temporary = backup.with_name(backup.name + ".new")
    temporary.unlink(missing_ok=True)
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(sqlite3.connect(database, timeout=10.0, isolation_level=None)) as connection:
            connection.execute("VACUUM INTO ?", (str(temporary),))
        atomic_write.sync(temporary)
        temporary.rename(backup)
        atomic_write.sync(backup.parent)
    finally:
        temporary.unlink(missing_ok=True)


def is_damage(error: BaseException) -> bool:
    """Whether an error says that the file itself is broken, not that it is busy or the disk is full."""
    text = str(error)
    return isinstance(error, sqlite3.DatabaseError) and any(words in text for words in _DAMAGE)


def check_header(database: Path) -> None:
    """Raise sqlite3.DatabaseError unless the file begins as a database does.

    Costs one read: SQLite itself does not look while what it keeps in memory is current. The descriptor
    stays open: closing any descriptor of a file takes all locks of this process on it away, SQLite's too.
    """
    found = database.stat()
    descriptor = _HELD.get((found.st_dev, found.st_ino))
    if descriptor is None:
        descriptor = os.open(database, os.O_RDONLY | os.O_CLOEXEC)
        _HELD[found.st_dev, found.st_ino] = descriptor
    if os.pread(descriptor, len(_MAGIC), 0) != _MAGIC:
        raise sqlite3.DatabaseError("file is not a database")


def damage(database: Path) -> str:
    """What is wrong with the file, in SQLite's words; empty when it is sound or there is none."""
    if not database.exists():
        return ""
    try:
        with closing(sqlite3.connect(database, timeout=10.0, isolation_level=None)) as connection:
            said = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            if said == "ok" and connection.execute("PRAGMA user_version").fetchone()[0]:
                connection.execute("SELECT value FROM meta WHERE key = 'next_job_id'").fetchone()
            elif said == "ok" and backup_of(database).exists():
                said = "it is empty"
    except sqlite3.OperationalError as error:
        return str(error) if "no such table" in str(error) else ""
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if said == "ok" else said


def restore(database: Path, why: str) -> Restored:
    """Keep the damaged database aside and put the last sound backup, or an empty one, in its place."""
    now = time.time()
    aside = _free_name(database.with_name(f"{database.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"))
    backup, backup_at, first_unknown = backup_of(database), None, 1
    with schema.only_one(database):  # nobody begins an empty one in between
        for suffix in _FILES:
            with suppress(FileNotFoundError):
                Path(f"{database}{suffix}").rename(f"{aside}{suffix}")
        if backup.exists() and not damage(backup):
            backup_at = backup.stat().st_mtime
            temporary = database.with_name(database.name + ".restored")
            shutil.copyfile(backup, temporary)
            temporary.chmod(0o600)
            with closing(sqlite3.connect(temporary, isolation_level=None)) as connection:
                first_unknown = schema.pass_over_folders(connection, database)
                connection.execute("PRAGMA journal_mode = WAL")
            atomic_write.sync(temporary)
            temporary.rename(database)
    restored = Restored(now, why, str(aside), backup_at, first_unknown)
    schema.migrate(database)  # the backup may be of an earlier version
    with closing(schema.connect(database)) as connection:
        connection.execute(
            "INSERT OR REPLACE INTO meta(key, value) VALUES ('restored', ?)",
            (json.dumps(asdict(restored)),),
        )
    atomic_write.sync(database.parent)
    return restored


def restored_note(text: str) -> str:
    """One sentence for people from the meta row, for as long as the damaged file is kept; else empty."""
    try:
        restored = read_as(Restored, json.loads(text))
        if not Path(restored.aside).exists():
            return ""
    except (ValueError, TypeError, AttributeError, OSError):
        return ""
    at = _moment(restored.at)
    if restored.backup_at is None:
        what = "there was no backup, so the queue began empty"
    else:
        what = f"it was restored as of {_moment(restored.backup_at)}, and what was queued later is missing"
    return (
        f"The job database was found damaged at {at}; {what}. The damaged one is kept as {restored.aside}."
    )


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def _free_name(path: Path) -> Path:
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free
