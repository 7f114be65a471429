"""The nouns of tracking: what a run reports of itself.

Pure values. Every text in them was written by a job and is to be shown as plain text only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Flagged:
    """A line that could not be used, by its number from 1, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReportedModel:
    """A file in the output folder that the run calls its model; `sample` is a few rows that it takes."""

    path: str
    flavor: str = ""
    sample: object = None


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
    flagged: tuple[Flagged, ...] = ()
    flagged_count: int = 0
