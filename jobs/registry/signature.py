"""What a model takes, as far as a few rows can tell. Pure."""

from __future__ import annotations

from jobs.core.tracking import Column

_MOST_COLUMNS = 5_000


def signature_of(sample: object) -> tuple[Column, ...]:
    """The columns of rows that are objects or lists; none where the sample is neither."""
    if not isinstance(sample, list) or not sample:
        return ()
    if all(isinstance(row, dict) for row in sample):
        names = list(dict.fromkeys(str(name) for row in sample for name in row))[:_MOST_COLUMNS]
        return tuple(Column(name, _kind([row.get(name) for row in sample])) for name in names)
    if all(isinstance(row, list) for row in sample):
        width = min(*map(len, sample), _MOST_COLUMNS)
        return tuple(Column(str(at), _kind([row[at] for row in sample])) for at in range(width))
    return ()


def _kind(values: list[object]) -> str:
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, bool) for value in known):
        return "flag"
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known):
        return "number"
    return "list" if known and all(isinstance(value, list) for value in known) else "text"
