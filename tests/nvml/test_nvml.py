"""The real binding and the real sensor on a stand-in driver library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.machine import gpus, nvml
from tests.nvml.stand_in import Gpu, Instance, StandIn, instance_uuid_of, uuid_of

# Reads one JSON line of {pid: job} for each reading, answers with what the sensor saw.
READER = """
import dataclasses, json, sys, time
from jobs.core.jobs import Usage
from jobs.machine.sensor import MachineSensor
sensor = MachineSensor()
for line in sys.stdin:
    asked = json.loads(line)
    if asked.get("pause_s"):
        time.sleep(asked["pause_s"])
    jobs = {int(job): Usage() for job in asked["jobs"].values()}
    started = time.monotonic()
    now = time.time() + asked.get("ahead_s", 0)
    sample = sensor.read(now, jobs, {int(pid): job for pid, job in asked["jobs"].items()}, 0.0)
    answer = dataclasses.asdict(sample) | {"capacity": dataclasses.asdict(sensor.capacity())}
    print(json.dumps(answer | {"took_s": time.monotonic() - started}), flush=True)
"""


class Reader:
    def __init__(self, environ: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", READER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environ},
        )

    def read(self, pause_s: float = 0.0, ahead_s: float = 0.0, **jobs: int) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        owners = {pid.removeprefix("pid"): job for pid, job in jobs.items()}
        self.process.stdin.write(
            json.dumps({"jobs": owners, "pause_s": pause_s, "ahead_s": ahead_s}) + "\n"
        )
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    return StandIn(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def reader(stand_in: StandIn) -> Iterator[Reader]:
    reader = Reader(stand_in.environ)
    yield reader
    reader.close()


def test_two_gpus_with_our_process_and_a_foreign_one(stand_in: StandIn, reader: Reader) -> None:
    ours = subprocess.Popen(["sleep", "60"])
    try:
        stand_in.set(
            Gpu(24_000, 9000, 55, 70, 200_000, processes=[(ours.pid, 8000), (1, 1000)]),
            Gpu(16_000, 100, processes=[]),
        )
        answer = reader.read(**{f"pid{os.getpid()}": 41})
    finally:
        ours.kill()
        ours.wait()
    first, second = answer["devices"]
    assert [device["uuid"] for device in answer["capacity"]["devices"]] == [uuid_of(0), uuid_of(1)]
    assert [device["mem_bytes"] >> 20 for device in answer["capacity"]["devices"]] == [24_000, 16_000]
    assert first["mem_used_bytes"] >> 20 == 9000
    assert first["foreign_mem_bytes"] >> 20 == 1000
    assert first["foreign_processes"] == 1
    assert first["utilisation"] == 0.55
    assert (first["temperature_c"], first["power_w"], first["power_limit_w"]) == (70, 200, 300)
    assert (second["foreign_mem_bytes"], second["foreign_processes"]) == (0, 0)
    assert answer["jobs"]["41"]["gpu_mem_bytes"] >> 20 == 8000
    assert answer["gpu_note"] is None


def test_memory_that_is_held_while_its_gpu_does_nothing_is_told_after_a_while(
    stand_in: StandIn, reader: Reader
) -> None:
    ours, gone = os.getpid(), 2**22 + 7
    held = Gpu(80_000, 60_000, 0, processes=[(ours, 38_000), (gone, 20_000), (1, 500)])
    stand_in.set(held, Gpu(80_000, 9000, 70, processes=[(ours, 9000)]))
    for ahead_s in range(0, 660, 55):
        answer = reader.read(ahead_s=ahead_s, **{f"pid{ours}": 41})
        idle = {hold["pid"]: hold["idle_since_at"] for hold in answer["devices"][0]["holds"]}
        assert {pid for pid, since in idle.items() if since} == ({ours, gone} if ahead_s >= 600 else set())
    first, second = answer["devices"]
    holds = {hold["pid"]: hold for hold in first["holds"]}
    assert 600 <= answer["at"] - holds[ours]["idle_since_at"] <= 610
    assert (holds[ours]["job_id"], holds[ours]["mem_bytes"] >> 20) == (41, 38_000)
    assert holds[ours]["started"] and holds[gone]["started"] is None
    assert [hold["idle_since_at"] for hold in second["holds"]] == [None], "that one is used"


def test_what_a_device_does_not_say_is_none(stand_in: StandIn, reader: Reader) -> None:
    stand_in.set(Gpu(8000, 500, -1, -1, -1, -1, processes=[(1, -1)]))
    (device,) = reader.read()["devices"]
    assert device["utilisation"] is None
    assert device["temperature_c"] is None
    assert device["power_w"] is None
    assert device["power_limit_w"] is None
    assert device["foreign_mem_bytes"] is None
    assert device["foreign_processes"] == 1


def test_a_driver_that_hangs_holds_nobody_up_and_comes_back(stand_in: StandIn, reader: Reader) -> None:
    stand_in.set(Gpu())
    assert reader.read()["gpu_note"] is None
    stand_in.set(Gpu(), delay_ms=3000)
    reader.read()
    slow = reader.read(pause_s=gpus.FRESH_S + 0.2)
    assert slow["gpu_note"] == nvml.HANGS
    assert slow["devices"] == []
    assert len(slow["capacity"]["devices"]) == 1
    assert slow["took_s"] < 2
    stand_in.set(Gpu())
    for _ in range(60):
        if reader.read(pause_s=0.5)["gpu_note"] is None:
            return
    pytest.fail("the driver answers again, the sensor does not")


def test_a_slow_driver_is_read_when_it_answers_and_waited_for_only_briefly(
    stand_in: StandIn, reader: Reader
) -> None:
    stand_in.set(Gpu(24_000, 900), delay_ms=500)
    reader.read()
    for _ in range(60):
        answer = reader.read(pause_s=0.2)
        assert answer["took_s"] < 2
        if answer["devices"]:
            break
        assert answer["gpu_note"] == nvml.HANGS
    (device,) = answer["devices"]
    assert device["mem_used_bytes"] >> 20 == 900
    assert answer["gpu_note"] is None


@pytest.mark.parametrize(("code", "note"), [(9, nvml.NO_DRIVER), (18, nvml.MISMATCH)])
def test_each_way_of_failing_has_its_own_words(stand_in: StandIn, code: int, note: str) -> None:
    stand_in.set(init=code)
    reader = Reader(stand_in.environ)
    try:
        answer = reader.read()
    finally:
        reader.close()
    assert answer["gpu_note"] == note
    assert answer["devices"] == []


def test_a_driver_that_vanishes_is_told_with_its_words(stand_in: StandIn, reader: Reader) -> None:
    stand_in.set(Gpu())
    assert len(reader.read()["devices"]) == 1
    stand_in.set(Gpu(), call=999)
    answer = reader.read(pause_s=0.1)
    assert answer["devices"] == []
    assert "the NVIDIA driver failed: " in answer["gpu_note"]


def test_clocks_held_down_by_heat_and_memory_errors_are_read(stand_in: StandIn, reader: Reader) -> None:
    idle, too_hot = 0x1, 0x40
    stand_in.set(Gpu(reasons=idle, ecc_errors=0), Gpu(reasons=idle | too_hot, ecc_errors=3), Gpu())
    found = [(device["throttled"], device["ecc_errors"]) for device in reader.read()["devices"]]
    assert found == [(False, 0), (True, 3), (False, None)]


def test_the_last_critical_error_of_a_card_is_told_once_it_was_reported(
    stand_in: StandIn, reader: Reader
) -> None:
    stand_in.set(Gpu(xids=[79]), Gpu())  # of before we listened
    assert [device["xid"] for device in reader.read()["devices"]] == [None, None]
    stand_in.set(Gpu(), Gpu(xids=[31, 48]))
    for _ in range(2):  # and it stays after it was heard
        assert [device["xid"] for device in reader.read(pause_s=0.1)["devices"]] == [None, 48]


def test_one_card_that_is_lost_hides_no_other_and_is_read_again_when_it_is_back(
    stand_in: StandIn, reader: Reader
) -> None:
    stand_in.set(Gpu(24_000, 100), Gpu(24_000, 200))
    assert len(reader.read()["devices"]) == 2
    stand_in.set(Gpu(24_000, 100), Gpu(24_000, 200, lost=True))
    answer = reader.read(pause_s=0.1)
    (left,) = answer["devices"]
    assert (left["uuid"], left["mem_used_bytes"] >> 20) == (uuid_of(0), 100)
    assert answer["gpu_note"].startswith("lost GPU 1:")
    assert len(answer["capacity"]["devices"]) == 2  # what runs on it is not forgotten
    stand_in.set(Gpu(24_000, 100), Gpu(24_000, 300, processes=[(1, 50)]))
    back = reader.read(pause_s=0.1)
    assert [device["mem_used_bytes"] >> 20 for device in back["devices"]] == [100, 300]
    assert back["devices"][1]["foreign_mem_bytes"] >> 20 == 50 and back["gpu_note"] is None


def test_a_card_that_was_lost_before_the_start_leaves_the_others_usable(stand_in: StandIn) -> None:
    stand_in.set(Gpu(lost=True), Gpu(24_000, 200))
    reader = Reader(stand_in.environ)
    try:
        answer = reader.read()
    finally:
        reader.close()
    assert [device["index"] for device in answer["capacity"]["devices"]] == [1]
    assert len(answer["devices"]) == 1 and answer["gpu_note"].startswith("lost GPU 0:")


def test_a_machine_without_the_library_says_so_once_and_quietly(tmp_path: Path) -> None:
    if any(
        Path(folder, "libnvidia-ml.so.1").exists() for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib64")
    ):
        pytest.skip("this machine has the real library")
    reader = Reader({"LD_LIBRARY_PATH": str(tmp_path)})
    try:
        assert reader.read()["gpu_note"] == nvml.NO_LIBRARY
    finally:
        reader.close()


def test_a_card_that_mig_has_divided_is_read_as_itself_and_as_its_instances(
    stand_in: StandIn, reader: Reader
) -> None:
    parts = (Instance(0, 10_000, 100), Instance(2, 20_000, 9000, processes=[(os.getpid(), 8000), (1, 500)]))
    stand_in.set(Gpu(40_000, 9100, 55, 61, instances=parts), Gpu(16_000, utilisation=7))
    answer = reader.read(**{f"pid{os.getpid()}": 41})
    assert [each["uuid"] for each in answer["capacity"]["shown"]] == [uuid_of(0)]
    assert [(each["uuid"], each["instance"]) for each in answer["capacity"]["devices"]] == [
        (instance_uuid_of(0, 0), 0),
        (instance_uuid_of(0, 2), 2),
        (uuid_of(1), None),
    ]
    card, first, third, whole = answer["devices"]
    assert (card["temperature_c"], card["utilisation"], card["holds"]) == (61, None, None)
    assert (first["mem_used_bytes"] >> 20, first["utilisation"], first["foreign_processes"]) == (
        100,
        None,
        0,
    )
    assert (third["foreign_mem_bytes"] >> 20, third["temperature_c"], third["power_w"]) == (500, None, None)
    assert whole["utilisation"] == 0.07
    assert answer["jobs"]["41"]["gpu_mem_bytes"] >> 20 == 8000, "counted once, not for the card as well"
    stand_in.set(Gpu(40_000, instances=parts[:1]), Gpu(16_000))
    for _ in range(60):
        answer = reader.read(pause_s=0.2)
        if len(answer["capacity"]["devices"]) == 2:
            break
    assert [each["instance"] for each in answer["capacity"]["devices"]] == [0, None]
    assert len(answer["devices"]) == 3 and answer["gpu_note"] is None
