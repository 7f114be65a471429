"""Captured environments: files named by digest, readable by their owner alone.

Variables hold tokens, so they never enter the database, a log or a process list. A file is on the disk
before any job that names it is acknowledged, and is written once however many jobs share it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jobs.core.ports import StateUnavailable
from jobs.runtime import atomic_write
from jobs.store.codec import dump


def path_of(folder: Path, digest: str) -> Path:
    return folder / f"{digest}.json"


def capture(folder: Path, environment: Mapping[str, str]) -> str:
    """Keep the environment as a file and return its digest. Raises Unreachable when it cannot be kept."""
    from hashlib import sha256

    text = dump(dict(sorted(environment.items())))
    digest = sha256(text.encode()).hexdigest()[:40]
    path = path_of(folder, digest)
    if path.exists():
        return digest
    try:
        atomic_write.replace_durably(path, text)
    except OSError as error:
        raise StateUnavailable(
            f"The job's environment cannot be kept: {error}.", "Check the folder and the disk."
        ) from error
    return digest
