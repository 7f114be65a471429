"""Opening the database: first starts at once, later versions, damage."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.core.ports import StateUnavailable
from jobs.store import schema
from jobs.store.queries import Queries

OPEN = """
import sys
from pathlib import Path
from jobs.store import schema
sys.stdin.readline()
connection = schema.connect(Path(sys.argv[1]))
print(connection.execute("SELECT value FROM meta WHERE key = 'instance'").fetchone()[0],
      "sqlite_utils" in sys.modules, "pandas" in sys.modules)
"""


def openers(database: Path, number: int) -> list[str]:
    """What as many processes say that open the database at the same moment."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(database)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(number)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0].split() for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert all(pandas == "False" for _, _, pandas in said)
    return [f"{instance} {migrated}" for instance, migrated, _ in said]


def test_four_first_starts_at_once_make_one_database(database: Path) -> None:
    said = openers(database, 4)
    assert len({line.split()[0] for line in said}) == 1
    assert sum(line.endswith("True") for line in said) == 1
    assert openers(database, 1)[0].endswith("False"), "an up-to-date database needs no sqlite_utils"
    assert database.stat().st_mode & 0o777 == 0o600


def test_a_newer_database_is_refused(database: Path) -> None:
    schema.connect(database).close()
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StateUnavailable, match="newer cro-tui"):
        schema.connect(database)


def test_a_file_that_is_no_database_is_unreachable(database: Path) -> None:
    database.write_text("these are not the rows you are looking for" * 100)
    with pytest.raises(StateUnavailable, match="damaged"):
        Queries(database)
    assert database.read_text().startswith("these"), "nothing was changed"


def test_a_folder_that_cannot_be_made_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateUnavailable):
        schema.connect(tmp_path / "file" / "cro.db")
