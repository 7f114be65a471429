"""The nouns of tracking: what a run reports of itself.

Pure values. Every text in them was written by a job and is to be shown as plain text only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from jobs.core.versions import UNVERSIONED, Version, field_names, read_as

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")  # of a registered model
ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
Curve = tuple[tuple[float, float], ...]  # (step, value) of a metric, in the order of their reports


@dataclass(frozen=True, slots=True)
class FlaggedLine:
    """A line that could not be used, by its number from 1, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReportedModel:
    """A file in the output folder that the run calls its model; `sample` is a few rows that it takes,
    `spread` how each column was spread in what it learned from.
    """

    path: str
    flavor: str = ""
    sample: object = None
    spread: object = None


@dataclass(frozen=True, slots=True)
class Reported:
    """What a run has said of itself so far. `progress` is 0..1; `flagged` has the first flagged lines."""

    events: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    step: int | None = None
    progress: float | None = None
    phase: str = ""
    notes: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    model: ReportedModel | None = None
    flagged: tuple[FlaggedLine, ...] = ()
    flagged_count: int = 0


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a run began with: a word that changes with each file, versions by package, the machine.

    `commit` is that of the Git work tree in which it ran.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    machine: str = ""
    commit: str = ""


# --- models ---------------------------------------------------------------------------------------

CHAMPION, CHALLENGER = "champion", "challenger"


@dataclass(frozen=True, slots=True)
class ModelFile:
    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Column:
    """One column that the model takes. `kind` is "number", "text", "flag" or "list"."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One version of a model: what it is, where it comes from, and what it cost. Never changed.

    `digest` is that of its files alone, so the same files have the same one under every name. `better`
    pairs metrics with "max" or "min", the main one first. `data` and `packages` are texts by name; `sample`
    is a few rows that it takes, `spread` how each column was spread, as the run reported them. `source` is
    the file that it was taken from where no job left it (`job_id` is 0 then), `types` the names that this
    one would load, `trusted` the digest of the file that a person agreed to load with them. `written_by`
    is the cro-tui that wrote the card, `unknown` what a later one wrote besides.
    """

    name: str
    version: int
    digest: str
    files: tuple[ModelFile, ...]
    flavor: str
    registered_at: float
    job_id: int
    attempt: int
    recipe: str = ""
    user: str = ""
    note: str = ""
    licence: str = ""
    params: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    better: tuple[tuple[str, str], ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    signature: tuple[Column, ...] = ()
    sample: object = None
    spread: object = None
    cpu_s: float | None = None
    peak_mem_bytes: int | None = None
    wall_s: float | None = None
    source: str = ""
    types: tuple[str, ...] = ()
    trusted: str = ""
    written_by: Version = UNVERSIONED
    unknown: Mapping[str, object] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def main_metric(self) -> tuple[str, float] | None:
        """What it is judged by: the first that its recipe names and it has, or else its first one."""
        names = [name for name, _ in self.better if name in self.metrics] or list(self.metrics)
        return (names[0], self.metrics[names[0]]) if names else None


def card_table(card: ModelCard) -> dict[str, Any]:
    """The card as a JSON object, with what a later version had written into it."""
    table = asdict(card)
    unknown: dict[str, Any] = table.pop("unknown")
    return unknown | table


def card_of(table: Mapping[str, Any]) -> ModelCard:
    """The way back, from a table of any version. Raises KeyError, TypeError, ValueError for damage."""
    known = {name: value for name, value in table.items() if name in field_names(ModelCard)}
    known["files"] = tuple(read_as(ModelFile, file) for file in table["files"])
    known["signature"] = tuple(read_as(Column, column) for column in table.get("signature", ()))
    known["types"] = tuple(map(str, table.get("types", ())))
    known["better"] = tuple((str(metric), str(better)) for metric, better in table.get("better", ()))
    known["written_by"] = read_as(Version, table.get("written_by", {}))
    known["unknown"] = {name: value for name, value in table.items() if name not in known}
    return ModelCard(**known)


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A name with its versions, the newest first, and which version each alias means."""

    name: str
    versions: tuple[ModelCard, ...]
    aliases: Mapping[str, int] = field(default_factory=dict)

    def aliases_of(self, version: int) -> tuple[str, ...]:
        return tuple(sorted(alias for alias, meant in self.aliases.items() if meant == version))
