"""AMD GPUs by the kernel's own files: what is read, what jobs may have, and what is said otherwise."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from jobs.machine import amd
from jobs.machine.amd import Amd
from jobs.machine.drm_clients import LOOK_EVERY_S, parsed
from jobs.machine.gpu_driver import GpuDriver, GpuReading, NotPresent
from jobs.machine.gpus import FRESH_S, READ_WAIT_S, Gpus
from tests.amd.kernel import APU, MIB, Kernel


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


def opened(kernel: Kernel, clock: Clock) -> GpuDriver:
    maker = Amd(kernel.paths)
    assert maker.present()
    return maker.open(clock)


def read_one(driver: GpuDriver) -> GpuReading:
    ((reading,), note) = driver.read()
    assert note is None
    return reading


def test_two_cards_beside_the_processors_graphics_are_read_in_the_order_of_rocm(
    kernel: Kernel, clock: Clock
) -> None:
    kernel.other(0, 0, vendor="0x8086", driver="i915")
    kernel.card(3, node=2, number=1)
    kernel.card(9, node=1, number=2, vram_mib=16_000, used_mib=900)
    driver = opened(kernel, clock)
    readings, note = driver.read()
    assert note is None and driver.known.shown == ()
    first, second = driver.known.usable
    assert (first.index, first.uuid, first.vendor, first.alias) == (0, "GPU-000000000000abc9", "amd", None)
    assert (second.uuid, second.mem_bytes, second.name) == (
        "GPU-000000000000abc3",
        24_560 * MIB,
        "Radeon Test",
    )
    assert readings[0] == GpuReading(first, 900 * MIB, 0.07, 54.0, 31.0, 339.0, processes=())


def test_who_holds_memory_is_named_once_whatever_tells_of_it(kernel: Kernel, clock: Clock) -> None:
    kernel.card(3)
    kernel.computes(41, 3, 8000)  # by ROCm, which has the card open as well
    kernel.draws(41, 3, 7000, client=1)
    kernel.draws(42, 3, 7000, client=1)  # its child, which was handed the descriptor
    kernel.draws(50, 3, 100, client=2)
    kernel.draws(50, 3, 20, client=3, key="drm-resident-vram")
    kernel.draws(60, 9, 999, client=4)  # of another card
    (kernel.paths.proc / "70").mkdir()
    (kernel.paths.proc / "70/fd").write_text("not to be looked into")
    driver = opened(kernel, clock)
    assert read_one(driver).processes == ((41, 8000 * MIB), (50, 120 * MIB))
    kernel.computes(80, 3, 5)  # heard of soon
    kernel.draws(81, 3, 6, client=5)  # heard of when descriptors are looked through again
    kernel.ends(50)
    clock.now += amd.PROCESSES_EVERY_S
    assert {pid for pid, _ in read_one(driver).processes or ()} == {41, 80}
    clock.now += LOOK_EVERY_S
    assert {pid for pid, _ in read_one(driver).processes or ()} == {41, 80, 81}


def test_in_a_container_the_kernels_numbers_of_processes_are_somebody_elses(
    kernel: Kernel, clock: Clock
) -> None:
    kernel.card(3)
    kernel.computes(41, 3, 8000)
    kernel.draws(7, 3, 100, client=1)
    (kernel.paths.proc / "self/ns/pid").unlink()
    (kernel.paths.proc / "self/ns/pid").symlink_to("pid:[4026532999]")
    assert read_one(opened(kernel, clock)).processes == ((7, 100 * MIB),)


def test_what_a_card_does_not_say_is_none_and_never_0(kernel: Kernel, clock: Clock) -> None:
    card = kernel.card(3)
    card.hush("gpu_busy_percent", "hwmon/hwmon5/power1_average", "hwmon/hwmon5/power1_cap")
    card.hush("hwmon/hwmon5/temp1_input", "hwmon/hwmon5/temp2_input")
    reading = read_one(opened(kernel, clock))
    assert reading == GpuReading(reading.device, 26 * MIB, processes=())
    card.say(gpu_busy_percent="101", mem_info_vram_used="-1", hwmon__hwmon5__power1_input=12_000_000)
    (card.folder / "hwmon/hwmon5/power1_cap").mkdir()  # what is refused reads like this to root
    ((reading,), note) = opened(kernel, clock).read()
    assert (reading.utilisation, reading.mem_used_bytes, reading.power_limit_w) == (None, None, None)
    assert reading.power_w == 12.0
    assert note == f"GPU 0 {amd.SILENT}"


def test_memory_errors_of_cards_that_count_them(kernel: Kernel, clock: Clock) -> None:
    kernel.card(3).say(ras__umc_err_count="ue: 3\nce: 40")
    assert read_one(opened(kernel, clock)).ecc_errors == 3


def test_a_card_that_falls_off_the_bus_hides_no_other_and_is_read_again_when_it_is_back(
    kernel: Kernel, clock: Clock
) -> None:
    kernel.card(3, node=1)
    lost = kernel.card(9, node=2, number=1)
    driver = opened(kernel, clock)
    known = driver.known
    aside = kernel.unplug(lost)
    kernel.withdraw(2)
    for _ in range(2):
        readings, note = driver.read()
        assert [each.device.index for each in readings] == [0]
        assert note is not None and note.startswith("lost GPU 1: it fell off the bus")
        assert driver.known == known, "what runs on it is not forgotten"
        clock.now += amd.SLOW_EVERY_S
    aside.rename(lost.folder)
    kernel.card(12, node=2, number=2)  # and another is plugged in
    clock.now += amd.SLOW_EVERY_S
    readings, note = driver.read()
    assert [each.device.index for each in readings] == [0, 1, 2]
    assert note == f"GPU 1 {amd.NO_COMPUTE}"


def test_a_card_that_sleeps_is_not_woken(kernel: Kernel, clock: Clock) -> None:
    card = kernel.card(3)
    driver = opened(kernel, clock)
    card.say(power__runtime_status="suspended")
    for name in (
        "gpu_busy_percent",
        "gpu_metrics",
        "hwmon/hwmon5/power1_average",
        "hwmon/hwmon5/temp2_input",
    ):
        (card.folder / name).unlink()
        os.mkfifo(card.folder / name)  # whoever reads it hangs
    for each in (driver, opened(kernel, clock)):
        reading = read_one(each)
        assert (reading.mem_used_bytes, reading.utilisation) == (26 * MIB, 0.0)
        assert (reading.temperature_c, reading.power_w) == (None, None)


def test_a_card_that_may_sleep_is_left_alone_while_it_does_nothing(kernel: Kernel, clock: Clock) -> None:
    card = kernel.card(3)
    card.say(gpu_busy_percent=0, power__control="auto")
    driver = opened(kernel, clock)
    first = read_one(driver)
    busy = card.folder / "gpu_busy_percent"
    busy.unlink()
    os.mkfifo(busy)  # whoever reads it hangs
    clock.now += amd.SLOW_EVERY_S
    assert read_one(driver) == first
    card.say(gpu_busy_percent=0)
    clock.now += amd.REST_S
    read_one(driver)
    card.say(gpu_busy_percent=60, mem_info_vram_used=900 * MIB)  # somebody comes
    assert (read_one(driver).utilisation, read_one(driver).mem_used_bytes) == (0.6, 900 * MIB)


def test_a_processors_own_graphics_are_for_jobs_only_with_memory_worth_the_name(
    kernel: Kernel, clock: Clock
) -> None:
    kernel.card(4, vram_mib=512, metrics=APU)
    driver = opened(kernel, clock)
    readings, note = driver.read()
    assert (readings, driver.known.usable, driver.known.shown) == ((), (), ())
    assert isinstance(note, NotPresent) and "512 MiB" in note
    kernel.card(5, vram_mib=96_000, metrics=3, node=2, number=1, unique_id=0)
    clock.now += amd.SLOW_EVERY_S
    read_one(driver)
    (large,) = driver.known.usable
    assert (large.uuid, large.alias, large.index) == ("AMD-0000:05:00.0", "1", 0)


def test_cards_with_one_name_are_told_apart_by_their_place(kernel: Kernel, clock: Clock) -> None:
    kernel.card(3, node=1, unique_id=7)
    kernel.card(9, node=2, number=1, unique_id=7)
    known = opened(kernel, clock).known.usable
    assert [(each.uuid, each.alias) for each in known] == [
        ("AMD-0000:03:00.0", "0"),
        ("AMD-0000:09:00.0", "1"),
    ]


@pytest.mark.parametrize("why", [amd.NO_COMPUTE, amd.CLOSED, amd.NO_FILES, amd.DIVIDED, amd.MUTE])
def test_a_card_that_jobs_cannot_open_is_shown_with_the_reason_and_not_given(
    kernel: Kernel, clock: Clock, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = kernel.card(3)
    match why:
        case amd.NO_COMPUTE:
            kernel.withdraw(1)
        case amd.CLOSED:
            monkeypatch.setattr(os, "access", lambda *_: False)  # nothing is closed to root
        case amd.NO_FILES:
            (kernel.paths.dev / "kfd").unlink()
        case amd.DIVIDED:
            kernel._node(2, 2003, simd_count=96, location_id=3 << 8, unique_id=0xABC3)
        case amd.MUTE:
            card.hush("mem_info_vram_total")
    driver = opened(kernel, clock)
    readings, note = driver.read()
    assert (len(readings), note) == (1, f"GPU 0 {why}")
    assert (driver.known.usable, len(driver.known.shown)) == ((), 1)


def test_names_are_those_that_cards_are_sold_by(
    kernel: Kernel, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.card(3).hush("product_name")
    assert opened(kernel, clock).known.usable[0].name == "AMD GPU 744c"
    (tmp_path / "ids").write_text(
        "# a comment\n1.0.0\n744C,\tC9,\tRadeon Wrong\n744C,\tC8,\tRadeon RX 7900 XTX\n"
    )
    monkeypatch.setattr(amd, "_NAMES", (tmp_path / "none", tmp_path / "ids"))
    assert opened(kernel, clock).known.usable[0].name == "Radeon RX 7900 XTX"


def test_a_driver_that_hangs_holds_nobody_up_and_comes_back(kernel: Kernel, clock: Clock) -> None:
    card = kernel.card(3)
    gpus = Gpus([Amd(kernel.paths)], clock=clock)
    assert len(gpus.known().usable) == 1
    assert gpus.read()[1] is None
    busy = card.folder / "gpu_busy_percent"
    busy.unlink()
    os.mkfifo(busy)
    began = time.monotonic()
    assert len(gpus.read()[0]) == 1  # the last answer is still fresh
    clock.now += FRESH_S + 0.1
    assert gpus.read() == ((), amd.HANGS)
    assert time.monotonic() - began < 2 * READ_WAIT_S + 2
    assert len(gpus.known().usable) == 1
    busy.write_text("9\n")  # the reader that hangs gets it
    card.say(gpu_busy_percent=9)
    for _ in range(100):
        if gpus.read()[1] is None:
            break
    assert gpus.read()[0][0].utilisation == 0.09
    gpus.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "drm-pdev:\t0000:03:00.0\n",
        "drm-pdev:\t0000:03:00.0\ndrm-client-id:\t1\n",
        "drm-pdev:\t0000:03:00.0\ndrm-client-id:\t1\ndrm-memory-vram:\n",
        "drm-pdev:\t0000:03:00.0\ndrm-client-id:\t1\ndrm-memory-vram:\t-5 KiB\n",
        "drm-pdev:\t0000:03:00.0\ndrm-client-id:\t1\ndrm-memory-vram:\t5 parsecs\n",
        "drm-pdev\ndrm-client-id:\t1\ndrm-memory-vram:\t5 KiB\n",
    ],
)
def test_what_says_nothing_of_memory_is_no_client(text: str) -> None:
    assert parsed(text) is None
