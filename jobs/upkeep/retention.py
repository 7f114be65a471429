"""Which ended jobs' files go: the oldest first, by age and by the total size. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from jobs.core.jobs import JobId

SPARED_S = 3600.0  # what has just ended is still being looked at


@dataclass(frozen=True, slots=True)
class EndedFiles:
    """What an ended job has left on the disk. `kept`: somebody needs it, so it stays whatever it costs."""

    job_id: JobId
    ended_at: float
    size_bytes: int
    kept: bool = False


def to_remove(
    files: Iterable[EndedFiles], now: float, keep_s: float, max_bytes: int, *, spared_s: float = SPARED_S
) -> tuple[JobId, ...]:
    """The jobs whose files go, oldest end first; a limit of 0 does not limit.

    Kept files count towards the total, for they take up the room as well.
    """
    oldest_first = sorted(files, key=lambda each: (each.ended_at, each.job_id))
    total = sum(each.size_bytes for each in oldest_first)
    gone: list[JobId] = []
    for each in oldest_first:
        age_s = now - each.ended_at
        too_old = keep_s > 0 and age_s > keep_s
        too_much = max_bytes > 0 and total > max_bytes
        if not each.kept and age_s > spared_s and (too_old or too_much):
            gone.append(each.job_id)
            total -= each.size_bytes
    return tuple(gone)


class Kept(Protocol):
    """An environment, as far as its removal goes. `needed`: a waiting or running job names it."""

    @property
    def digest(self) -> str: ...
    @property
    def used_at(self) -> float: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def needed(self) -> bool: ...


def longest_unused(
    found: Iterable[Kept], now: float, max_bytes: int, *, spared_s: float
) -> tuple[str, ...]:
    """The digests of the environments that go, the longest unused first; a limit of 0 does not limit."""
    oldest_first = sorted(found, key=lambda each: (each.used_at, each.digest))
    total = sum(each.size_bytes for each in oldest_first)
    gone: list[str] = []
    for each in oldest_first:
        if 0 < max_bytes < total and not each.needed and now - each.used_at >= spared_s:
            gone.append(each.digest)
            total -= each.size_bytes
    return tuple(gone)
