"""The load of the last day: means of ten seconds, gaps where nothing was read, a file that stays short."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.core.machine import Capacity, Device, DeviceSample, Sample
from jobs.records import load_history
from jobs.records.load_history import (
    CPU,
    EVERY_S,
    MEM,
    Open,
    Point,
    added,
    append,
    binned,
    read,
    shares_of,
    shorten,
)

HOUR = 3600.0


def test_a_sample_as_shares_without_what_it_does_not_say() -> None:
    capacity = Capacity(8, 64, (Device("a", 0, "A", 200), Device("b", 1, "B", 0)))
    devices = (DeviceSample("a", 50, utilisation=0.9), DeviceSample("b", 50))
    sample = Sample(0.0, cpu_busy=2.0, mem_total_bytes=64, mem_available_bytes=48, devices=devices)
    assert shares_of(sample, capacity) == {CPU: 0.25, MEM: 0.25, "gpu:a": 0.9, "vram:a": 0.25}
    assert shares_of(Sample(0.0), Capacity(8, 64)) == {}


@given(st.lists(st.tuples(st.floats(0.1, 30), st.none() | st.floats(0, 1)), min_size=1, max_size=80))
def test_every_measurement_is_in_exactly_one_point(steps: list[tuple[float, float | None]]) -> None:
    now, state, points = 1000.0, None, []
    for wait_s, share in steps:
        now += wait_s
        state, point = added(state, now, {} if share is None else {CPU: share})
        points += [] if point is None else [point]
    assert state is not None
    last: Open = state
    total = sum(count for _, count in last.sums.values())
    measured = [share for _, share in steps if share is not None]
    starts = [point.at for point in points]
    assert starts == sorted(set(starts)) and all(at % EVERY_S == 0 for at in starts)
    assert total <= len(measured)
    for point in points:
        assert 0 <= point.shares[CPU] <= 1
    if not measured:
        assert points == []


def test_points_come_back_from_the_file_but_not_what_is_broken_or_old(tmp_path: Path) -> None:
    path = tmp_path / "load.jsonl"
    append(path, [Point(0.0, {CPU: 0.5}), Point(10.0, {CPU: 0.25, MEM: 1.0})])
    with path.open("a") as file:
        file.write('{"at":20,"cpu":"x"}\nnot json\n{"cpu":1}\n[1]\n{"at":NaN}\n')
    append(path, [Point(30.0, {MEM: 0.125})])
    with path.open("a") as file:
        file.write('{"at":40,"cp')  # a scheduler that was killed while it wrote
    assert read(path, 5.0) == (Point(10.0, {CPU: 0.25, MEM: 1.0}), Point(30.0, {MEM: 0.125}))
    assert read(tmp_path / "none", 0.0) == ()


def test_the_file_stays_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_history, "_MOST_LINES", 10)
    path = tmp_path / "load.jsonl"
    append(path, [Point(float(at), {CPU: 0.5}) for at in range(10)])
    shorten(path)
    assert len(read(path, -1.0)) == 10
    append(path, [Point(10.0, {CPU: 0.5})])
    shorten(path)
    assert [point.at for point in read(path, -1.0)] == [6.0, 7.0, 8.0, 9.0, 10.0]
    shorten(tmp_path / "none")


def test_bins_are_means_and_gaps_stay_gaps() -> None:
    points = [Point(at, {CPU: 1.0 if at < 1800 else 0.5}) for at in range(600, 3600, 10)]
    assert binned(points, CPU, 0.0, HOUR, 6) == [None, 1.0, 1.0, 0.5, 0.5, 0.5]
    assert binned(points, MEM, 0.0, HOUR, 2) == [None, None]
    assert binned(points, CPU, 600.0, 630.0, 6) == [1.0] * 6  # finer than it was measured
    assert binned([], CPU, 0.0, HOUR, 0) == []
