"""What the doctor says of GPUs: those that work, those in nobody's way, and those that can be helped."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.client.doctor import Severity, _gpus
from jobs.core.machine import Capacity, Device
from jobs.machine import adapters, amd, nvml
from tests.amd.kernel import Kernel

NONE = Capacity(8, 1)
ONE = Capacity(8, 1, (Device("GPU-1", 0, "A100", 1),))


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel(tmp_path)
    monkeypatch.setattr(adapters, "SYS", kernel.paths.sys)
    return kernel


def said(capacity: Capacity, note: str | None) -> list[tuple[Severity, str, str]]:
    return [(found.level, found.text, found.remedy) for found in _gpus(capacity, note)]


def test_nothing_is_wrong_with_a_machine_without_gpus_or_with_working_ones(kernel: Kernel) -> None:
    assert said(ONE, None) == []
    assert said(NONE, nvml.NO_LIBRARY) == [(Severity.OK, nvml.NO_LIBRARY, "")]
    graphics = amd.GRAPHICS.format(512)
    assert said(NONE, graphics) == [(Severity.OK, graphics, "")]


def test_an_intel_gpu_is_named_once_and_is_no_trouble(kernel: Kernel) -> None:
    kernel.other(0, 0, vendor="0x8086", driver="i915")
    note = adapters.unread()
    assert note is not None
    assert said(NONE, note) == [(Severity.OK, note, "")]


def test_a_gpu_without_its_driver_is_trouble_where_it_is_the_only_one(kernel: Kernel) -> None:
    kernel.other(3, 0, vendor="0x10de", driver="nouveau")
    ((level, text, remedy),) = said(NONE, adapters.unread())
    assert level is Severity.WARN and "nouveau" in text and remedy.startswith("install NVIDIA's driver")
    assert [(level, remedy) for level, _, remedy in said(ONE, None)] == [(Severity.OK, "")]


def test_what_a_driver_complains_of_comes_with_what_to_do(kernel: Kernel) -> None:
    assert said(NONE, nvml.MISMATCH)[0][0] is Severity.WARN
    assert said(NONE, nvml.NO_DRIVER)[0][1:] == (
        "No GPU can be used: the NVIDIA driver is not loaded",
        "run nvidia-smi to see why",
    )
    closed = said(ONE, f"GPU 0 {amd.CLOSED}")
    assert closed == [
        (
            Severity.WARN,
            "GPU 0 is closed to you",
            "join its groups (sudo usermod -aG render,video $USER) and log in again",
        )
    ]
