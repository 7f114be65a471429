"""Curves of metrics, from what a run appended to its events."""

from __future__ import annotations

import json
from pathlib import Path

from jobs.records.curves import POINTS, read_curves


def test_each_metric_has_its_points_in_order_and_what_is_wrong_is_none(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    lines: list[object] = [
        {"step": 5, "loss": 2.0, "phase": "train"},
        {"step": 10, "loss": 1.0, "accuracy": 0.5},
        {"loss": "nan?"},
        {"accuracy": 0.75},
    ]
    events.write_text("\n".join(map(json.dumps, lines)) + "\nnot JSON\n[1]\n")
    assert read_curves(events) == {
        "loss": ((5.0, 2.0), (10.0, 1.0)),
        "accuracy": ((10.0, 0.5), (2.0, 0.75)),
    }
    assert read_curves(tmp_path / "none") == {}


def test_a_long_curve_is_thinned_and_keeps_its_last_point(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text("".join(f'{{"step": {n}, "loss": {1 / (n + 1)}}}\n' for n in range(10_001)))
    curve = read_curves(events)["loss"]
    assert POINTS / 2 < len(curve) <= POINTS
    assert curve[-1] == (10_000.0, 1 / 10_001)
    assert [at for at, _ in curve] == sorted(at for at, _ in curve)
