"""What earlier runs say of the next one. Pure; knows numbers, not where they are kept."""

from __future__ import annotations

from collections.abc import Sequence

_RECENT = 5


def expected_run_s(past: Sequence[float]) -> float | None:
    """Median wall time (s) of the last five successful runs, oldest first; None without any.

    Planning with what recent runs took, and stopping only at the limit a person set, follows Tsafrir,
    Etsion and Feitelson, "Backfilling using system-generated predictions", TPDS 2007.
    """
    recent = sorted(past[-_RECENT:])
    if not recent:
        return None
    middle = len(recent) // 2
    return recent[middle] if len(recent) % 2 else (recent[middle - 1] + recent[middle]) / 2
