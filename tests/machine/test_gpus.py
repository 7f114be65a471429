"""GPUs of several makers together: numbered through, those of one for jobs, each with its own words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs.core.machine import Device
from jobs.machine import adapters
from jobs.machine.gpu_driver import DeviceNote, GpuDriver, GpuReading, KnownDevices, NotPresent, lost_gpus
from jobs.machine.gpus import Gpus
from tests.amd.kernel import Kernel

NONE = NotPresent("no such driver")


@dataclass
class Maker:
    """One whose driver answers at once, or raises."""

    name: str
    devices: tuple[Device, ...] = ()
    note: str | None = None
    missing: NotPresent = NONE
    hangs: str = "hangs"

    def present(self) -> bool:
        return True

    def open(self, clock: Callable[[], float]) -> GpuDriver:
        return self

    def explain(self, error: Exception) -> str:
        return str(error)

    @property
    def known(self) -> KnownDevices:
        return KnownDevices(self.devices)

    def read(self) -> tuple[tuple[GpuReading, ...], str | None]:
        return tuple(map(GpuReading, self.devices)), self.note


def device(uuid: str, index: int = 0) -> Device:
    return Device(uuid, index, uuid, 1)


def joined(*makers: Maker, other: str | None = None) -> tuple[KnownDevices, int, str | None]:
    gpus = Gpus(makers, lambda: other)
    known, (readings, note) = gpus.known(), gpus.read()
    gpus.close()
    return known, len(readings), note


def test_jobs_get_those_of_the_first_maker_and_the_others_are_shown() -> None:
    one = Maker("one", (device("a"), device("b", 1)))
    two = Maker("two", (device("c"),))
    known, count, note = joined(one, two)
    assert [(each.uuid, each.index) for each in (*known.usable, *known.shown)] == [
        ("a", 0),
        ("b", 1),
        ("c", 2),
    ]
    assert (known.usable, count, note) == (one.devices, 3, None)
    assert joined(Maker("one"), two)[0] == KnownDevices(two.devices)


def test_readings_and_notes_name_a_card_by_the_number_that_is_listed() -> None:
    one = Maker("one", (device("a"), device("b", 1)), note=lost_gpus([1]))
    closed = DeviceNote("GPU ", 0, " is closed to you; ", *lost_gpus([2, 1]).parts)
    gpus = Gpus([one, Maker("two", (device("c"), device("d", 1), device("e", 2)), note=closed)])
    known, (readings, note) = gpus.known(), gpus.read()
    gpus.close()
    assert tuple(each.device for each in readings) == (*known.usable, *known.shown)
    assert [each.device.index for each in readings] == [0, 1, 2, 3, 4]
    words = str(note).split("; ")
    assert words[0].startswith("lost GPU 1: ") and words[2] == "GPU 2 is closed to you"
    assert words[3].startswith("lost GPU 3, 4: ")


def test_a_maker_that_is_not_there_is_no_complaint_while_another_is() -> None:
    absent = Maker("one", note=NotPresent("no such GPU"))
    assert joined(absent, Maker("two", (device("c"),)))[1:] == (1, None)
    assert joined(absent)[1:] == (0, "no such GPU")
    assert joined(absent, other="the Intel GPU is not available")[1:] == (
        0,
        "the Intel GPU is not available",
    )
    broken = Maker("two", note="version mismatch")
    assert joined(absent, broken, other="unheard")[1:] == (0, "version mismatch")
    lost = Maker("one", (device("a"),), note="lost GPU 1")
    assert joined(lost, broken)[1:] == (1, "lost GPU 1; version mismatch")


@pytest.mark.parametrize(
    ("vendor", "driver", "words"),
    [
        ("0x8086", "i915", "Intel GPU not available: only those of NVIDIA and AMD are read"),
        (
            "0x10de",
            "nouveau",
            "NVIDIA GPU not available: at 0000:03:00.0 it has the driver nouveau; install",
        ),
        (
            "0x10de",
            "nvidia",
            "NVIDIA GPU not available: its driver is there, libnvidia-ml.so.1 is not; ",
        ),
        ("0x1002", None, "AMD GPU not available: at 0000:03:00.0 it has no driver; load the kernel's"),
        ("0x1002", "amdgpu", None),
        ("0x1234", "bochs", None),
    ],
)
def test_a_gpu_that_nothing_reads_is_named_with_what_to_do(
    tmp_path: Path, vendor: str, driver: str | None, words: str | None
) -> None:
    kernel = Kernel(tmp_path)
    kernel.other(3, 0, vendor=vendor, driver=driver)
    found = adapters.unread(kernel.paths.sys)
    assert found is None if words is None else found is not None and found.startswith(words)


def test_of_several_that_one_is_named_for_which_something_can_be_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel(tmp_path)
    kernel.other(0, 0, vendor="0x8086", driver="i915")
    kernel.other(1, 1, vendor="0x10de", driver=None)
    assert (adapters.unread(kernel.paths.sys) or "").startswith("NVIDIA GPU")
    assert adapters.unread(tmp_path / "none") is None
    monkeypatch.setattr("sys.platform", "darwin")
    assert adapters.unread(kernel.paths.sys) == adapters.NO_APPLE
