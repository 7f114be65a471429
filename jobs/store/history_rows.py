"""What is remembered of earlier runs, as rows of the table `runs`; learning from them is the policy's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import TYPE_CHECKING

from jobs.policy.runtime_model import Moments
from jobs.store.codec import Damaged, dump, load

if TYPE_CHECKING:
    from jobs.policy.history import Past
    from jobs.policy.sizing import History


def runtimes(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, Moments]:
    """What earlier runs took, under those of the keys that are known."""
    rows = connection.execute(
        "SELECT key, runs, mean, variance FROM runs WHERE key IN (SELECT value FROM json_each(?))",
        (dump(list(keys)),),
    )
    return {key: Moments(runs, mean, variance) for key, runs, mean, variance in rows}


def pasts(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, Past]:
    """What is remembered of earlier runs under those of the keys that are known."""
    from jobs.policy.history import Past

    rows = connection.execute(
        "SELECT key, runs, mean, variance, used, failed_saves, save_s, restart_s FROM runs "
        "WHERE key IN (SELECT value FROM json_each(?))",
        (dump(list(keys)),),
    )
    return {
        key: Past(Moments(runs, mean, variance), load_used(used), *saves)
        for key, runs, mean, variance, used, *saves in rows
    }


def dump_used(history: History) -> str:
    """What runs used, as the text of a column; empty for nothing."""
    return dump([(r.mem_bytes, r.gpu_mem_bytes, r.cpus, r.log_size) for r in history]) if history else ""


def load_used(text: str) -> History:
    """The way back; what does not make sense is forgotten."""
    from jobs.policy.sizing import Used

    try:
        return tuple(Used(*run) for run in load(text)) if text else ()
    except (Damaged, TypeError):
        return ()
