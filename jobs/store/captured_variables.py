"""Captured environments: files named by digest, readable by their owner alone.

Variables hold tokens, so they never enter the database, a log or a process list. A file is on the disk
before any job that names it is acknowledged, and is written once however many jobs share it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from jobs.core.ports import StateUnavailable
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
    fresh = folder / f".{digest}.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(fresh, path)
        except BaseException:
            fresh.unlink(missing_ok=True)
            raise
        above = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(above)
        finally:
            os.close(above)
    except OSError as error:
        raise StateUnavailable(
            f"The job's environment cannot be kept: {error}.", "Check the folder and the disk."
        ) from error
    return digest
