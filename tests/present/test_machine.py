"""The machine in one line each; what is not read is not shown as zero."""

from __future__ import annotations

from cro_tui import present
from jobs.core.jobs import GIB, StateName
from jobs.core.machine import Capacity, Device, DeviceSample, Sample
from jobs.core.requests import DaemonStatus

CAPACITY = Capacity(
    16, 64 * GIB, (Device("GPU-1", 0, "A100\x1b[2J", 24 * GIB), Device("GPU-2", 1, "T4", GIB))
)


def test_a_full_reading() -> None:
    live = DeviceSample("GPU-1", 17 * GIB, 11 * GIB, 1, 0.97, 74.0, 281.0, 350.0, True, 2)
    sample = Sample(
        0.0,
        cpu_busy=8,
        cpu_foreign=1.5,
        mem_total_bytes=64 * GIB,
        mem_available_bytes=48 * GIB,
        swap_used_bytes=GIB,
        load_1m=7.5,
        devices=(live,),
    )
    assert present.machine_lines(sample, CAPACITY) == (
        "CPU    50%  8 of 16 cores busy, others use 1.5, load 7.5",
        "MEM    25%  48.0G available of 64.0G, swap 1.0G",
        "GPU0   97%  17.0G of 24.0G used, others use 11.0G, 74C, 281W of 350W, "
        "slowed by heat, 2 memory errors (A100[2J)",
        "GPU1     -  1.0G, not read (T4)",
    )


def test_a_gpu_that_no_job_can_have_says_so_and_a_card_whose_instances_they_get_does_not() -> None:
    card, part = Device("GPU-1", 0, "A100", 40 * GIB), Device("MIG-1", 0, "1g", 5 * GIB, 1)
    other = Device("GPU-2", 1, "Radeon", 24 * GIB, vendor="amd")
    lines = present.gpu_lines(Sample(0.0), Capacity(8, GIB, (part,), (card, other)))
    assert [line.endswith(", not for jobs") for line in lines] == [False, False, True]


def test_no_reading_and_no_gpu() -> None:
    note = "no NVIDIA driver library"
    assert present.machine_lines(None, None) == ("CPU   not read", "MEM   not read", "GPU   none")
    empty = present.machine_lines(Sample(0.0, gpu_note=note), Capacity(2, GIB))
    assert empty == ("CPU   not read", "MEM   not read", f"GPU   none: {note}")


def test_counts() -> None:
    counts = {StateName.RUNNING: 2, StateName.STARTING: 1, StateName.QUEUED: 4, StateName.LOST: 1}
    assert present.counts_line(counts) == "run 3 wait 4 fail 1"
    assert present.counts_line({}) == "no jobs"
    every = present.counts_line(dict.fromkeys(StateName, 1))
    assert sum(int(word) for word in every.split() if word.isdigit()) == len(StateName)


def test_the_scheduler() -> None:
    assert present.daemon_line(DaemonStatus(False), 0) == "scheduler not running"
    up = DaemonStatus(True, 12, 100.0, draining=True)
    assert (
        present.daemon_line(up, 100.0 + 3600) == "scheduler running, up 1h00m, paused: starts nothing new"
    )
