"""What is remembered of earlier runs, as rows of the table `runs`; learning from them is the policy's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import TYPE_CHECKING

from jobs.policy.runtime_model import Moments
from jobs.store.codec import DamagedRecord, dump, load

if TYPE_CHECKING:
    from jobs.policy.history import RunHistory
    from jobs.policy.sizing import History


def runtimes(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, Moments]:
    """What earlier runs took, under those of the keys that are known."""
    rows = connection.execute(
        "SELECT key, runs, mean, variance FROM runs WHERE key IN (SELECT value FROM json_each(?))",
        (dump(list(keys)),),
    )
    return {key: Moments(runs, mean, variance) for key, runs, mean, variance in rows}


def histories(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, RunHistory]:
    """What is remembered of earlier runs under those of the keys that are known."""
    from jobs.policy.history import RunHistory

    rows = connection.execute(
        "SELECT key, runs, mean, variance, used, failed_saves, save_s, restart_s FROM runs "
        "WHERE key IN (SELECT value FROM json_each(?))",
        (dump(list(keys)),),
    )
    return {
        key: RunHistory(Moments(runs, mean, variance), load_used(used), *saves)
        for key, runs, mean, variance, used, *saves in rows
    }


def dump_used(history: History) -> str:
    """What runs used, as the text of a column; empty for nothing."""
    return dump([(r.mem_bytes, r.gpu_mem_bytes, r.cpus, r.log_size) for r in history]) if history else ""


def load_used(text: str) -> History:
    """The way back; what does not make sense is forgotten."""
    from jobs.policy.sizing import RunUsage

    try:
        return tuple(RunUsage(*run) for run in load(text)) if text else ()
    except (DamagedRecord, TypeError):
        return ()
