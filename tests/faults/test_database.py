"""The database is damaged: kept aside, restored, told; no id is given twice and no end is forgotten."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from jobs.client.doctor import Severity, examine
from jobs.core.jobs import Failed, Running, Succeeded
from jobs.core.ports import StateUnavailable
from jobs.store import backup, schema
from jobs.store.intents import Intents
from tests.daemon.conftest import Installation, command

PAGE = 4096


def pages(path: Path) -> None:
    """Every page but the first is overwritten."""
    size = path.stat().st_size
    with open(path, "r+b") as file:
        file.seek(PAGE)
        file.write(b"\xa5" * (size - PAGE))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // PAGE * PAGE)


def header(path: Path) -> None:
    with open(path, "r+b") as file:
        file.write(os.urandom(100))


def empty(path: Path) -> None:
    os.truncate(path, 0)


HARMS = pytest.mark.parametrize("harm", [pages, cut, header])
HARMS_OR_EMPTY = pytest.mark.parametrize("harm", [pages, cut, header, empty])


def settle(database: Path) -> None:
    """Bring what is in the -wal into the file, so that harm to the file is harm."""
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def asides(installation: Installation) -> list[Path]:
    found = installation.home.data.glob("cro.db.damaged-*")
    return [path for path in found if not path.name.endswith(("-wal", "-shm"))]


def warnings(installation: Installation) -> list[str]:
    return [
        each.text
        for each in examine(installation.home)
        if (each.check, each.level) == ("database", Severity.WARN)
    ]


@HARMS_OR_EMPTY
def test_with_a_backup_the_queue_is_back_and_what_ran_since_too(
    installation: Installation, harm: Callable[[Path], None]
) -> None:
    installation.start()
    old = installation.submit(command("sh", "-c", "exit 3"), command("true", start_held=True))
    installation.client.jobs.wait(old[:1], timeout_s=120)
    installation.client.scheduler.stop()
    kept = backup.backup_of(installation.home.database)
    assert kept.stat().st_mode & 0o777 == 0o600
    saved = kept.read_bytes()
    installation.start()
    ended, runs = installation.submit(command("sh", "-c", "exit 5"), command("sleep", "600"))
    installation.client.jobs.wait([ended], timeout_s=120)
    before = installation.until_state(runs, "running").state
    assert isinstance(before, Running)
    installation.kill()
    settle(installation.home.database)
    kept.write_bytes(saved)  # as if the last backup was made before those two
    harm(installation.home.database)
    harmed = installation.home.database.read_bytes()
    installation.start()
    client = installation.client
    (aside,) = asides(installation)
    assert aside.read_bytes() == harmed
    assert [getattr(client.jobs.get(i).state, "exit_code", None) for i in (old[0], ended)] == [3, 5]
    assert client.jobs.get(old[1]).state.name == "held"
    adopted = installation.until_state(runs, "running").state
    assert isinstance(adopted, Running)
    assert adopted.pid == before.pid
    assert any("database was damaged" in entry.detail for entry in client.jobs.history(ended))
    assert "restored as of" in client.scheduler.status().note
    assert "restored as of" in client.jobs.snapshot().daemon.note
    assert "the database is damaged" in installation.log()
    assert any("found damaged" in text for text in warnings(installation))
    (new,) = installation.submit(command("true"))
    assert new == runs + 1
    assert isinstance(client.jobs.wait([new], timeout_s=120)[0].state, Succeeded)
    aside.unlink()
    assert client.scheduler.status().note == ""
    assert warnings(installation) == []


@HARMS
def test_without_a_backup_the_folders_tell_what_ran(
    installation: Installation, harm: Callable[[Path], None]
) -> None:
    installation.start()
    ended, stopped, runs = installation.submit(
        command("sh", "-c", "exit 5", name="five", priority=70, after=()),
        command("sleep", "600"),
        command("sleep", "601"),
    )
    for job_id in (stopped, runs):
        installation.until_state(job_id, "running")
    installation.client.jobs.cancel([stopped])
    installation.client.jobs.wait([ended, stopped], timeout_s=120)
    before = installation.client.jobs.get(runs).state
    assert isinstance(before, Running)
    installation.kill()
    settle(installation.home.database)
    backup.backup_of(installation.home.database).unlink(missing_ok=True)
    harm(installation.home.database)
    with pytest.raises(StateUnavailable):
        type(installation)(installation.home.data, None).client.jobs.list()
    installation.start()
    states = [installation.client.jobs.get(job_id).state for job_id in (ended, stopped)]
    assert isinstance(states[0], Failed)
    assert states[0].exit_code == 5
    assert (
        installation.client.jobs.get(ended).spec.name,
        installation.client.jobs.get(ended).spec.priority,
    ) == (
        "five",
        70,
    )
    assert states[1].name == "cancelled"
    adopted = installation.until_state(runs, "running").state
    assert isinstance(adopted, Running)
    assert adopted.pid == before.pid
    assert "no backup" in installation.client.scheduler.status().note
    (new,) = installation.submit(command("true"))
    assert new == runs + 1
    assert isinstance(installation.client.jobs.wait([new], timeout_s=120)[0].state, Succeeded)


def test_damage_under_a_running_daemon_is_found_and_mended(installation: Installation) -> None:
    installation.start()
    (done,) = installation.submit(command("true"))
    installation.client.jobs.wait([done], timeout_s=120)
    installation.client.scheduler.stop()
    installation.start()
    pid = installation.client.scheduler.status().pid
    watcher = installation.client.scheduler.watch()  # while somebody looks, the daemon looks every second
    settle(installation.home.database)
    header(installation.home.database)
    installation.until(lambda: asides(installation), "the daemon to meet the damage")
    watcher.close()
    installation.until(lambda: installation.client.scheduler.status().note, "it to be told")
    assert installation.client.scheduler.status().pid == pid
    (new,) = installation.submit(command("true"))
    assert isinstance(installation.client.jobs.wait([new], timeout_s=120)[0].state, Succeeded)
    assert installation.client.jobs.get(done).state.name == "succeeded"


@pytest.mark.parametrize("harm", [header, empty])
def test_a_file_that_was_overwritten_is_found_by_a_look_at_its_beginning(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    path = tmp_path / "cro.db"
    schema.connect(path).close()
    backup.check_header(path)
    harm(path)
    with pytest.raises(sqlite3.DatabaseError) as met:
        backup.check_header(path)
    assert backup.is_damage(met.value)


def test_damage_is_never_copied_over_a_good_backup(tmp_path: Path) -> None:
    path = tmp_path / "cro.db"
    schema.connect(path).close()
    backup.back_up(path)
    good = backup.backup_of(path).read_bytes()
    pages(path)
    with pytest.raises(sqlite3.DatabaseError):
        backup.back_up(path)
    assert backup.backup_of(path).read_bytes() == good
    assert not list(tmp_path.glob("*.new"))


def test_a_damaged_backup_is_not_restored(tmp_path: Path) -> None:
    path = tmp_path / "cro.db"
    schema.connect(path).close()
    backup.back_up(path)
    pages(backup.backup_of(path))
    header(path)
    assert backup.restore(path, backup.damage(path)).backup_at is None
    assert backup.damage(path) == ""


def test_a_new_database_gives_no_id_that_has_a_folder(tmp_path: Path) -> None:
    (tmp_path / "jobs" / "2" / "2041" / "1").mkdir(parents=True)
    (tmp_path / "jobs" / "1" / "1999").mkdir(parents=True)
    (tmp_path / "jobs" / "3").mkdir()
    with schema.connect(tmp_path / "cro.db") as connection:
        (value,) = connection.execute("SELECT value FROM meta WHERE key = 'next_job_id'").fetchone()
    assert value == "2042"


def test_a_sound_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "cro.db"
    Intents(path).close()
    assert backup.damage(path) == ""
    assert backup.damage(tmp_path / "none.db") == ""
    for harmless in ("database is locked", "database or disk is full", "malformed JSON"):
        assert not backup.is_damage(sqlite3.OperationalError(harmless))


def test_a_note_that_cannot_be_read_says_nothing() -> None:
    for text in ("", "{", "[]", "null", json.dumps({"at": 1.0}), json.dumps({"at": "x"})):
        assert backup.restored_note(text) == ""


def test_looking_at_the_header_takes_no_lock_away(tmp_path: Path) -> None:
    """A process that closes a file loses all its locks on it, whoever took them."""
    path = tmp_path / "cro.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as ours:
        ours.execute("CREATE TABLE t (x)")
        ours.execute("BEGIN IMMEDIATE")
        backup.check_header(path)
        other = "import sqlite3, sys; sqlite3.connect(sys.argv[1], 0).execute('INSERT INTO t VALUES (1)')"
        done = subprocess.run([sys.executable, "-c", other, path], capture_output=True, check=False)
        assert b"database is locked" in done.stderr
