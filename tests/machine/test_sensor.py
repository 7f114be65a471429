"""The sensor against real load: ours is ours, a stranger's is foreign, and leaves when it leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from jobs.core.jobs import JobId, Usage
from jobs.machine import container
from jobs.machine.sensor import MachineSensor, _Counters, _pressure
from jobs.runtime import procfs

BURN = "while True: pass"
JOB = JobId(7)


def test_totals_agree_with_psutil() -> None:
    sensor = MachineSensor()
    capacity = sensor.capacity()
    time.sleep(0.1)
    sample = sensor.read(time.time(), {}, {}, 0.0)
    sensor.close()
    assert capacity.cpus <= (psutil.cpu_count() or 0)
    assert sample.mem_total_bytes == capacity.mem_bytes <= psutil.virtual_memory().total
    assert sample.mem_available_bytes == pytest.approx(psutil.virtual_memory().available, rel=0.1)
    assert sample.cpu_busy is not None
    assert 0 <= sample.cpu_busy <= capacity.cpus
    assert len(sample.per_core) == capacity.cpus


def test_what_a_job_burns_is_foreign_to_whom_it_is_not_told() -> None:
    child = subprocess.Popen([sys.executable, "-c", BURN])
    informed, ignorant = MachineSensor(), MachineSensor()
    shares = []
    try:
        before_s, before = procfs.cpu_s(child.pid) or 0.0, time.monotonic()
        informed.read(0.0, {JOB: Usage(cpu_s=before_s)}, {}, 0.0)
        for _ in range(10):
            time.sleep(0.3)
            used_s = procfs.cpu_s(child.pid) or 0.0
            with_job = informed.read(0.0, {JOB: Usage(cpu_s=used_s)}, {}, 0.0)
            without = ignorant.read(0.0, {}, {}, 0.0)
            shares.append((used_s - before_s) / (time.monotonic() - before))
    finally:
        child.kill()
        child.wait()
        informed.close()
        ignorant.close()
    assert with_job.cpu_foreign is not None
    assert without.cpu_foreign is not None
    assert shares[-1] > 0.1
    assert without.cpu_foreign - with_job.cpu_foreign == pytest.approx(shares[-1], abs=0.3)


def test_a_job_that_ended_does_not_turn_foreign_afterwards() -> None:
    running = _Counters(10.0, (5.0,), {JobId(1): 3.0}, 1.0)
    ended = _Counters(11.0, (6.0,), {}, 4.8)
    assert ended.ours_since(running) == pytest.approx(0.8)


def test_an_adopted_job_that_ended_outside_our_account_never_counts_below_zero() -> None:
    running = _Counters(10.0, (5.0,), {JobId(1): 3.0}, 1.0)
    ended = _Counters(11.0, (6.0,), {}, 1.1)
    assert ended.ours_since(running) == 0.0


def test_pressure_is_read_where_the_kernel_has_it_and_none_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "cpu").write_text("some avg10=1.50 avg60=2.50 avg300=0.00 total=1\n")
    pressure = _pressure(tmp_path)
    assert (pressure.cpu_some_avg10, pressure.cpu_some_avg60) == (1.5, 2.5)
    assert pressure.memory_some_avg10 is None
    assert pressure.io_some_avg60 is None


def test_limits_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "memory.max").write_text(f"{2**30}\n")
    (tmp_path / "memory.current").write_text(f"{2**29}\n")
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {2**28}\n")
    monkeypatch.setattr(container, "_groups", lambda _: iter([tmp_path]))
    assert container.cpu_limit() == 1.5
    assert container.memory_limit() == container.MemoryLimit(2**30, 2**29 - 2**28)
    sensor = MachineSensor()
    assert sensor.capacity().mem_bytes == 2**30
    assert sensor.capacity().cpus == min(1.5, len(os.sched_getaffinity(0)))
    assert sensor.read(time.time(), {}, {}, 0.0).mem_available_bytes == 2**30 - 2**28
    sensor.close()


def test_an_unlimited_group_sets_no_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    monkeypatch.setattr(container, "_groups", lambda _: iter([tmp_path]))
    assert container.cpu_limit() is None
    assert container.memory_limit() is None
