"""Amounts as a person types them at a front end: the one reading that recipe headers have, too.

Pure. What cannot be read is BadInput, whose title says what to type instead.
"""

from __future__ import annotations

from jobs.core.ports import BadInput
from recipes.quantities import BadQuantity, parse_bytes, parse_seconds


def parse_mem(text: str) -> int:
    """Bytes of "600M", "1.5G" or a plain number. Raises BadInput."""
    try:
        return parse_bytes(text)
    except BadQuantity as error:
        raise BadInput(str(error)) from None


def parse_duration(text: str) -> float:
    """Seconds of "90", "3m", "1h30m" or "2d". Raises BadInput."""
    try:
        return parse_seconds(text)
    except BadQuantity as error:
        raise BadInput(str(error)) from None
