"""How the metrics of a run went, step by step, from the file that it reports to.

Reads at most the first `MOST_BYTES` of it and thins what is long; never writes, and never raises for what
stands in the file. A line that cannot be used is no point of a curve.
"""

from __future__ import annotations

from pathlib import Path

from jobs.core.tracking import Curve
from jobs.runtime import job_folder

MOST_BYTES = 16 << 20
POINTS = 400


def read_curves(path: Path, points: int | None = POINTS) -> dict[str, Curve]:
    """By metric: (step, value) in the order in which they were reported; the last is always among them.

    Where a line says no step, the points are counted. `points` None: all of them.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    try:
        with open(path, "rb", opener=job_folder.open_file) as file:
            for line in file.read(MOST_BYTES).split(b"\n"):
                event = job_folder.parse_event(line)
                if isinstance(event, str):
                    continue
                step = event.get("step")
                for name, value in job_folder.event_metrics(event)[0].items():
                    if name in found or len(found) < job_folder.MAX_METRICS:
                        curve = found.setdefault(name, [])
                        at = float(step) if job_folder.is_finite(step) else float(len(curve) + 1)
                        curve.append((at, value))
    except OSError:
        return {}
    return {name: _thinned(curve, points) for name, curve in found.items()}


def _thinned(curve: list[tuple[float, float]], points: int | None) -> Curve:
    every = 1 if points is None else -(-len(curve) // points)
    return tuple(curve[::-every][::-1]) if every > 1 else tuple(curve)
