"""Amounts as people type them: "600M", "1.5G", "3m", "1h30m" -> bytes and seconds.

Pure. Memory suffixes are powers of 1024 (K, M, G, T; "MB" and "MiB" mean the same), a plain number is
bytes or seconds. What cannot be read raises `BadQuantity`, whose text is one sentence that says what to
type instead.
"""

from __future__ import annotations

import math
import re

_BYTES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}
_NUMBER = r"[0-9]{1,18}(?:\.[0-9]{0,18})?"
_SIZE = re.compile(rf"({_NUMBER})\s*(?:([KMGT]?)(?:i?B)?)", re.IGNORECASE)
_SPAN = re.compile(
    rf"(?:({_NUMBER})d)?\s*(?:({_NUMBER})h)?\s*(?:({_NUMBER})m)?\s*(?:({_NUMBER})s?)?", re.IGNORECASE
)
_MAX_BYTES = 2**63 - 1
_MAX_SECONDS = 100 * 365 * 86_400.0


class BadQuantity(ValueError):
    """The text is no amount; `str()` is one sentence for the person."""


def parse_bytes(value: str | int | float) -> int:
    """Bytes of "600M", "1.5G" or a plain number. Raises BadQuantity."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match is None:
            raise BadQuantity(
                f'{_shown(value)} is not an amount of memory: write it like "600M" or "1.5G".'
            )
        amount = float(match[1]) * _BYTES[match[2].upper()]
    else:
        amount = _number(value, "an amount of memory")
    if amount < 0 or amount > _MAX_BYTES:
        raise BadQuantity(
            f'{_shown(value)} is out of range: write an amount of memory like "600M" or "1.5G".'
        )
    return int(amount)


def parse_seconds(value: str | int | float) -> float:
    """Seconds of "90", "3m", "1h30m", "2d" or a plain number. Raises BadQuantity."""
    if isinstance(value, str):
        match = _SPAN.fullmatch(value.strip())
        if match is None or not any(match.groups()):
            raise BadQuantity(f'{_shown(value)} is not a time: write it like "90s", "3m" or "1h30m".')
        parts = zip(match.groups(), _SECONDS.values(), strict=True)
        amount = sum(float(number) * seconds for number, seconds in parts if number)
    else:
        amount = _number(value, "a time")
    if amount < 0 or amount > _MAX_SECONDS:
        raise BadQuantity(f'{_shown(value)} is out of range: write a time like "90s", "3m" or "1h30m".')
    return amount


def _number(value: int | float, what: str) -> float:
    if isinstance(value, bool) or not math.isfinite(value):
        raise BadQuantity(f"{_shown(value)} is not {what}.")
    return float(min(value, 2**64)) if isinstance(value, int) else value


def _shown(value: object) -> str:
    text = str(value) if not isinstance(value, int) or abs(value) < 10**30 else "that number"
    return repr(text if len(text) <= 40 else text[:37] + "...")
