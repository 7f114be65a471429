"""Which cro-tui this is, and how to read what another version of it wrote.

`PACKAGE` is the version of the program, `SCHEMA` that of the database's tables. Both stand in the
scheduler's lock, its published sample, every `spec.json` and every model card. Pure: nothing is read here.

A reader takes the fields that it knows, gives missing ones their default and keeps unknown ones where the
record is written back. Only what no version can have written is damage.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, TypeVar

from jobs import __version__

PACKAGE = __version__
SCHEMA = 9

Record = TypeVar("Record")
Unknown = tuple[tuple[str, str], ...]  # keys with their values as JSON


@dataclass(frozen=True, slots=True)
class Version:
    """Who wrote something. Empty and None: it was written before versions were."""

    package: str = ""
    schema: int | None = None

    @property
    def is_older(self) -> bool:
        """Whether it comes before this program."""
        return (self.schema or 0, _numbers(self.package)) < (SCHEMA, _numbers(PACKAGE))

    def __str__(self) -> str:
        return f"version {self.package}" if self.package else "an earlier version"


UNVERSIONED = Version()


def stamp() -> dict[str, object]:
    """What every record says of its writer."""
    return {"version": PACKAGE, "schema": SCHEMA}


def version_of(table: Mapping[str, Any]) -> Version:
    """Who wrote a record that was stamped; values of the wrong type count as missing."""
    package, schema = table.get("version"), table.get("schema")
    return Version(
        package if isinstance(package, str) else "",
        schema if isinstance(schema, int) and not isinstance(schema, bool) else None,
    )


def read_as(kind: type[Record], table: Mapping[str, Any]) -> Record:
    """A dataclass from a table that may have keys of another version. Raises TypeError where a field
    without a default is missing."""
    names = field_names(kind)
    return kind(**{name: value for name, value in table.items() if name in names})


def unknown_keys(kind: type[object], table: Mapping[str, Any], prefix: str = "") -> Unknown:
    """The keys that this version does not know, to be written back by `with_unknown`."""
    names = field_names(kind)
    return tuple((prefix + key, json.dumps(value)) for key, value in table.items() if key not in names)


def with_unknown(table: dict[str, Any], unknown: Unknown) -> dict[str, Any]:
    """The table with the keys that another version had written; `a.b` is the key `b` of the table `a`."""
    for path, value in unknown:
        where, name = table, path
        if "." in path and isinstance(table.get(path.partition(".")[0]), dict):
            outer, _, name = path.partition(".")
            where = table[outer] = dict(table[outer])
        where[name] = json.loads(value)
    return table


def field_names(kind: Any) -> frozenset[str]:
    """The names of a dataclass's fields."""
    return _field_names(kind)


@cache
def _field_names(kind: Any) -> frozenset[str]:
    return frozenset(each.name for each in fields(kind))


def _numbers(package: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d{1,9}", package.partition("+")[0])[:4])
