"""Reports a saved model: its file, sample rows, and how the columns that it learned from are spread."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from .data import is_prose
from .job import report

if TYPE_CHECKING:
    import pandas


def report_model(file: str, flavor: str, rows: pandas.DataFrame) -> None:
    """Report a model file in the output folder; `rows` are the features that it learned from."""
    sample = json.loads(rows.head(max(1, min(20, 2000 // rows.shape[1]))).to_json(orient="records"))
    while len(json.dumps(sample)) > 50_000:
        sample = sample[: len(sample) // 2]
    report(model=file, flavor=flavor, sample=sample)
    spreads = {name: spread(column) for name, column in rows.items() if not is_prose(column)}
    if spreads and len(json.dumps(spreads)) < 60_000:
        report(spread=spreads)


def spread(column: pandas.Series) -> dict[str, object]:
    """How the values of a cleaned column are distributed; whoever serves the model can tell drift by it."""
    import numpy

    if column.dtype == "float64":
        known = column.dropna()
        cuts = numpy.unique([float(f"{cut:.6g}") for cut in known.quantile(numpy.arange(1, 20) / 20)])
        cuts = cuts[numpy.isfinite(cuts)]
        counts = numpy.bincount(numpy.searchsorted(cuts, known), minlength=len(cuts) + 1)
        return {"cuts": cuts.tolist(), "counts": counts.tolist(), "missing": len(column) - len(known)}
    counts = column.value_counts()
    words = {str(word)[:100]: int(count) for word, count in counts[:50].items()}
    return {"words": words, "others": int(counts[50:].sum())}
