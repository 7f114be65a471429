"""Whether what a waiting job is told has changed enough to be told again. Pure.

Readings of the machine tremble every second; a row that is rewritten for that costs a transaction and tells
nobody anything.
"""

from __future__ import annotations

from collections.abc import Sequence

from jobs.core.jobs import Reason

_SHARE = 0.1  # of what is needed, or of the time left
_TREMOR_S = 5.0


def same_reasons(old: Sequence[Reason], new: Sequence[Reason], now: float) -> bool:
    """Equal codes, jobs and words, and numbers that are close to each other."""
    if old is new:
        return True
    return len(old) == len(new) and all(_same(a, b, now) for a, b in zip(old, new, strict=True))


def same_moment(old: float | None, new: float | None, now: float) -> bool:
    """Two expected moments that a person would not tell apart."""
    if old is None or new is None:
        return old is new
    return abs(old - new) <= max(_TREMOR_S, _SHARE * (new - now))


def _same(old: Reason, new: Reason, now: float) -> bool:
    return (
        (old.code, old.unit, old.jobs, old.detail) == (new.code, new.unit, new.jobs, new.detail)
        and _near(old.needed, new.needed, new.needed)
        and _near(old.free, new.free, new.needed)
        and same_moment(old.until_at, new.until_at, now)
    )


def _near(old: float | None, new: float | None, needed: float | None) -> bool:
    if old is None or new is None:
        return old is new
    return abs(old - new) <= _SHARE * (needed or 0.0)
