"""What earlier runs say of the next one. Pure; knows numbers, not where they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

_RECENT = 5


def expected_run_s(past: Sequence[float]) -> float | None:
    """Median wall time (s) of the last five successful runs, oldest first; None without any.

    Planning with what recent runs took, and stopping only at the limit a person set, follows Tsafrir,
    Etsion and Feitelson, "Backfilling using system-generated predictions", TPDS 2007.
    """
    recent = past[-_RECENT:]
    return median(recent) if recent else None
