"""The job's use over its life on its own screen: drawn, and scrubbed to the second and its log line."""

from __future__ import annotations

from jobs.core.jobs import GIB, JobId
from jobs.records.usage_trace import Moment
from tests.screen.conftest import opened
from tests.screen.fake import NOW, FakeSource


async def test_a_cursor_names_the_second_and_its_line(source: FakeSource) -> None:
    source.traces[JobId(41)] = tuple(
        Moment(NOW - 100 + second, second / 50, second * GIB // 10, second) for second in range(60)
    )
    async with opened(source) as screen:
        await screen.press("enter")
        await screen.shows("most 1.2 cores 5.9G")
        await screen.press("comma")
        await screen.shows("00:00:59  1.2 cores  5.9G  line of 59 [2J")
        await screen.press("less_than_sign")
        await screen.shows("00:00:49")
        assert "\x1b" not in screen.text()
        await screen.press("greater_than_sign", "full_stop")
        await screen.hides("cores  5.9G  line")


async def test_gpu_memory_is_a_graph_of_its_own(source: FakeSource) -> None:
    source.traces[JobId(41)] = tuple(
        Moment(NOW - 100 + second, 1.0, GIB, second, second * GIB // 4) for second in range(60)
    )
    async with opened(source) as screen:
        await screen.press("enter")
        await screen.shows("VRAM 14.8G")
        await screen.until(lambda: any("│VRAM" in row for row in screen.rows()), "the third graph")
        await screen.press("comma")
        await screen.shows("1 cores  1.0G  VRAM 14.8G  line of 59")


async def test_before_its_first_second_there_is_nothing_to_scrub(source: FakeSource) -> None:
    async with opened(source) as screen:
        await screen.press("enter")
        await screen.shows("nothing measured yet")
        await screen.press("comma")
        await screen.shows("nothing measured yet")
