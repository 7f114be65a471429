"""Which recipes' environments the jobs that have not ended name: those are never removed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from jobs.core.kinds import JobKind
from jobs.kinds.environment import WANTED, keys_in


def needed(database: Path) -> frozenset[str]:
    """The keys that waiting and running jobs name, the submitted but unread ones included.

    Raises sqlite3.Error.
    """
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5.0)) as store:
        found = store.execute(
            "SELECT spec FROM jobs WHERE finished_at IS NULL AND (instr(spec, ?1) OR kind = ?2) "
            "UNION ALL SELECT body FROM intents WHERE kind = 'submit' "
            "AND (instr(body, ?1) OR job_kind = ?2)",
            (f"/{WANTED}/", JobKind.ENVIRONMENT),
        )
        return frozenset().union(*(keys_in(text) for (text,) in found))
