"""Where a job keeps its checkpoint, and whether there is one: a folder of the job, beside its attempts.

It never reads what a job has saved. Nothing here makes the folder: most jobs never need one.
"""

from __future__ import annotations

import os

CHECKPOINT = "checkpoint"
UNFINISHED = ".part"  # what a job is still writing ends so


def folder_of(attempt: str) -> str:
    """The checkpoint folder of the job that the attempt's folder belongs to."""
    return f"{os.path.dirname(attempt)}/{CHECKPOINT}"


def saved_at(attempt: str) -> float | None:
    """When the newest finished part of the job's checkpoint was written; None when there is none."""
    try:
        with os.scandir(folder_of(attempt)) as found:
            return max(
                (
                    each.stat(follow_symlinks=False).st_mtime
                    for each in found
                    if not each.name.endswith(UNFINISHED)
                ),
                default=None,
            )
    except OSError:
        return None


def variables(attempt: str) -> dict[str, str]:
    """`CRO_CHECKPOINT_DIR`, and in `CRO_RESUME` the same; empty when there is nothing to go on from."""
    folder = folder_of(attempt)
    return {"CRO_CHECKPOINT_DIR": folder, "CRO_RESUME": "" if saved_at(attempt) is None else folder}
