"""Input drift: how far the rows of late are from those that a model learned from. No I/O, no clock.

The run reported how each column was spread (counts between cuts, or of words). The latest rows are kept as
the number of the bin that each value falls into, one byte a value. PSI is the population stability index,
sum((q - p) * ln(q / p)) over the bins, with half a row added to each bin (Siddiqi, Credit Risk Scorecards,
2006: below 0.1 no change, above 0.25 a large one). KS is the largest difference of the two cumulative
distributions (Kolmogorov-Smirnov), at the cuts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from jobs.programs.serving.rows import Rows

LARGE_PSI = 0.25
WINDOW_ROWS = 5_000
FEWEST_ROWS = 300  # of fewer, the PSI is mostly chance
MOST_COLUMNS = 200
_MOST_BINS = 200
_WAITING_ROWS = 256  # taken between two folds: a busy service is sampled
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Drift:
    """One column. `ks` is None for words, which have no order."""

    column: str
    psi: float
    ks: float | None


@dataclass(frozen=True, slots=True)
class Spread:
    """How often each bin was seen: at most each cut, above the last, missing; or each word, any other."""

    cuts: Any  # an ascending array, or None for words
    words: Mapping[str, int]
    counts: Any

    def bins(self, values: Sequence[Any]) -> Any:
        """The bin of each value, as bytes."""
        if self.cuts is None:
            others = len(self.words)
            found = [self.words.get(value or "", others) for value in values]
            return numpy.array(found, dtype=numpy.uint8)
        numbers = numpy.array(values, dtype=float)
        placed = numpy.searchsorted(self.cuts, numpy.nan_to_num(numbers))
        return numpy.where(numpy.isnan(numbers), len(self.cuts) + 1, placed).astype(numpy.uint8)


def spreads(reported: object) -> dict[str, Spread]:
    """What a run reported as `spread`; columns that cannot be used are left out."""
    found: dict[str, Spread] = {}
    for name, told in reported.items() if isinstance(reported, dict) else ():
        if len(found) < MOST_COLUMNS and isinstance(told, dict) and (spread := _spread(told)) is not None:
            found[str(name)] = spread
    return found


def _spread(told: Mapping[str, Any]) -> Spread | None:
    try:
        if isinstance(words := told.get("words"), dict):
            counts = [float(count) for count in (*words.values(), told.get("others", 0))]
            made = Spread(None, {str(word): at for at, word in enumerate(words)}, numpy.array(counts))
        else:
            cuts = numpy.array([float(cut) for cut in told["cuts"]])
            counts = [float(count) for count in (*told["counts"], told.get("missing", 0))]
            if len(counts) != len(cuts) + 2 or not (numpy.diff(cuts) > 0).all():
                return None
            made = Spread(cuts, {}, numpy.array(counts))
    except (KeyError, TypeError, ValueError):
        return None
    sound = len(counts) <= _MOST_BINS and all(count >= 0 and math.isfinite(count) for count in counts)
    return made if sound and sum(counts) > 0 else None


class Recent:
    """The latest rows of one version, compared with those that it learned from."""

    def __init__(self, reported: object) -> None:
        self._spreads = spreads(reported)
        self._bins = numpy.zeros((len(self._spreads), WINDOW_ROWS), dtype=numpy.uint8)
        self._seen = self._waiting_rows = 0
        self._waiting: list[Rows] = []

    @property
    def rows(self) -> int:
        """How many rows are compared."""
        return min(self._seen, WINDOW_ROWS)

    def saw(self, rows: Rows) -> None:
        """Take these rows in, or some of them; costs next to nothing."""
        if self._waiting_rows < _WAITING_ROWS and self._spreads:
            self._waiting.append(rows)
            self._waiting_rows += rows.count

    def fold(self) -> None:
        """Bring what was seen since into the window."""
        waiting, self._waiting, self._waiting_rows = self._waiting, [], 0
        waiting = [rows for rows in waiting if self._spreads.keys() <= rows.columns.keys()]
        if not waiting:
            return
        for at, (name, spread) in enumerate(self._spreads.items()):
            values = [value for rows in waiting for value in rows.columns[name]][:WINDOW_ROWS]
            places = (self._seen + numpy.arange(len(values))) % WINDOW_ROWS
            self._bins[at, places] = spread.bins(values)
        self._seen += min(WINDOW_ROWS, sum(rows.count for rows in waiting))

    def drifts(self) -> list[Drift]:
        """Each column's, the largest first; none before there are rows enough."""
        self.fold()
        if self.rows < FEWEST_ROWS:
            return []
        found = [
            _drift(name, spread, self._bins[at, : self.rows])
            for at, (name, spread) in enumerate(self._spreads.items())
        ]
        return sorted(found, key=lambda each: -each.psi)


def _drift(name: str, spread: Spread, bins: Any) -> Drift:
    counts = numpy.bincount(bins, minlength=len(spread.counts))
    before, now = spread.counts + _HALF, counts + _HALF
    before, now = before / before.sum(), now / now.sum()
    psi = float(((now - before) * numpy.log(now / before)).sum())
    if spread.cuts is None:
        return Drift(name, psi, None)
    known_before, known_now = spread.counts[:-1], counts[:-1]
    if not known_before.sum() or not known_now.sum():
        return Drift(name, psi, None)
    apart = known_before.cumsum() / known_before.sum() - known_now.cumsum() / known_now.sum()
    return Drift(name, psi, float(abs(apart).max()))


def drift_sentence(drifts: Sequence[Drift], rows: int) -> str:
    """Which columns are far from what the model learned from; "" while none is."""
    far = [each for each in drifts if each.psi > LARGE_PSI]
    if not far:
        return ""
    worst = far[0]
    ks = "" if worst.ks is None else f", KS {worst.ks:.2f}"
    more = f"; {len(far) - 1} more columns" if len(far) > 1 else ""
    return f"inputs drift: {worst.column[:60]} PSI {worst.psi:.2f}{ks} over {rows} rows{more}"
