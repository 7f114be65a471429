"""One row says what is free beside what the next job needs, as much of it as fits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cro_tui.present.headroom import headroom_lines, headroom_row
from jobs.core.jobs import GIB, JobId, Reason, ReasonCode
from jobs.core.requests import Headroom
from tests.screen.fake import NOW, a_day, a_sample, gpu_capacity

NEXT = next(job for job in a_day() if job.id == JobId(42))
FREE = Headroom(5.14, 20 * GIB, (("0", 6 * GIB), ("1", None)), NEXT)


@pytest.mark.parametrize(
    ("width", "said"),
    [
        (150, "next #42 needs CPU 2 MEM 8.0G VRAM 10.0G, ~16m"),
        (110, "next #42 needs CPU 2 MEM 8.0G VRAM 10.0G, ~16m"),
        (71, "#42 needs VRAM 10.0G, ~16m"),
        (55, "#42, ~16m"),
        (10, "#42, ~16m"),
    ],
)
def test_what_the_next_job_needs_stands_beside_what_is_free(width: int, said: str) -> None:
    row = headroom_row(FREE, gpu_capacity(2), a_sample(gpus=2), NOW, width)
    assert row.next_job == said
    assert [words for words, short in row.free if short] == ["VRAM 6.0G"]
    assert row.width <= max(width, 55)
    words = [words for words, _ in row.free]
    assert words[0] == "CPU 5.1 of 16" if width == 150 else words[0] == "CPU 5.1"
    assert ("GPU 1/2" in words) == (width > 71)
    assert "stalls 4%" in words


@pytest.mark.parametrize(
    ("width", "free", "following"),
    [
        (
            None,
            "GPU 1 of 2 open, VRAM 6.0G",
            "tf_text_lstm needs CPU 2 MEM 8.0G VRAM 10.0G: VRAM 10.0G, 6.0G free",
        ),
        (78, "CPU 5.1  MEM 20.0G", "#42 tf_text_lstm: VRAM 10.0G, 6.0G free (~16m)"),
        (10, "CPU 5.1  MEM 20.0G", "#42 VRAM 10.0G, 6.0G free (~16m)"),
    ],
)
def test_two_lines_say_as_much_as_fits(width: int | None, free: str, following: str) -> None:
    lines = headroom_lines(FREE, gpu_capacity(2), a_sample(gpus=2), NOW, width)
    assert free in lines[0] and following in lines[1]
    assert width is None or width == 10 or max(map(len, lines)) <= width


def test_what_is_not_a_resource_is_said_in_words() -> None:
    stalled = replace(NEXT, reasons=(Reason(ReasonCode.PRESSURE),), estimated_start_at=None)
    row = headroom_row(replace(FREE, next_job=stalled), gpu_capacity(2), a_sample(), NOW, 71)
    assert row.next_job == "#42: machine under pressure"
    assert [words for words, short in row.free if short] == ["stalls 4%"]


def test_nothing_waits_and_nothing_is_known() -> None:
    row = headroom_row(Headroom(1.5, 6 * GIB), gpu_capacity(0), None, NOW, 70)
    assert ([words for words, _ in row.free], row.next_job) == (
        ["CPU 1.5 of 16", "MEM 6.0G of 64.0G"],
        "nothing waits",
    )
    assert headroom_row(None, gpu_capacity(0), None, NOW, 70).next_job == ""
