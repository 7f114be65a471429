"""Long lists, page by page: only the first page is read again, and no row is missing or doubled."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from textual.message import Message

from cro_tui import poller as feeding
from cro_tui.poller import Poller
from cro_tui.source import Source
from jobs.core.jobs import JobId, Queued, Succeeded, Usage
from jobs.core.requests import JobGroup, JobQuery, ListRow, Snapshot
from tests.screen.conftest import opened
from tests.screen.fake import FakeSource, job


@dataclass
class Ends:
    """A source with so many ended jobs, the newest first, and what was asked of it."""

    number: int
    waiting: int = 0
    asked: list[JobQuery] = field(default_factory=list)

    @property
    def jobs(self) -> Ends:
        """The one part that is asked."""
        return self

    def rows(self) -> list[ListRow]:
        waits = [job(100_000 + at, "waits", Queued(1.0)) for at in range(self.waiting)]
        return [*waits, *(_ended(number) for number in range(self.number, 0, -1))]

    def snapshot(self, query: JobQuery) -> Snapshot:
        self.asked.append(query)
        rows = self.rows()
        if query.before is not None:
            rows = [row for row in rows if row.id <= self.number and (float(row.id), row.id) < query.before]
        return Snapshot(1.0, tuple(rows[: query.limit]), len(rows))


def _ended(number: int) -> ListRow:
    return job(number, "done", Succeeded(0.0, float(number), Usage()))


def feed_of(source: Ends) -> Poller:
    return Poller(cast(Source, source), lambda _: True)


def look(feed: Poller, *, more: bool = False) -> list[int]:
    if more:
        feed.more()
    return [row.id for row in feed._look().snapshot.rows]


def test_pages_join_while_jobs_go_on_ending() -> None:
    source = Ends(5_000)
    feed = feed_of(source)
    assert look(feed) == list(range(5_000, 4_800, -1))
    assert look(feed, more=True) == list(range(5_000, 4_300, -1))
    source.number += 150
    source.asked.clear()
    assert look(feed) == list(range(5_150, 4_300, -1))
    assert [query.limit for query in source.asked] == [400], "only the first page is read again"
    source.number += 400
    assert look(feed)[:900] == list(range(5_550, 4_650, -1)), "more have ended than there is to spare"
    while (rows := look(feed, more=True))[-1] != 1:
        assert rows == list(range(5_550, 5_550 - len(rows), -1))
    assert len(source.asked) < 20
    feed.show(JobQuery(folded=True))
    assert look(feed) == list(range(5_550, 5_350, -1))
    feed.close()


def test_rows_that_wait_are_read_anew() -> None:
    source = Ends(1_000, waiting=900)
    feed = feed_of(source)
    look(feed, more=True)
    assert len(look(feed)) == 700
    look(feed, more=True)
    assert look(feed)[-1] == 701, "of those that have ended the pages go on"
    assert look(feed, more=True)[-1] == 201
    feed.close()


async def test_moving_down_shows_more(source: FakeSource) -> None:
    source.by_id.clear()
    source.add(*(cast(Any, _ended(number)) for number in range(300, 0, -1)))
    async with opened(source, wait_for="300 DONE") as screen:
        await screen.shows("200 of 300")
        await screen.press("G")
        await screen.shows("300 of 300")
        await screen.press("G")
        await screen.shows(">   1 DONE")


def test_a_group_that_comes_back_is_not_shown_twice() -> None:
    source = Ends(1_000)
    feed = feed_of(source)
    look(feed, more=True)
    foremost = cast(Any, _ended(500))
    group = JobGroup(JobId(500), "sweep", 2, foremost)
    feed._older = (*feed._older[:20], group)
    again = replace(group, foremost=cast(Any, job(501, "runs", Queued(1.0))))
    rows = source.rows()
    source.rows = lambda: [again, *rows]  # type: ignore[method-assign]
    shown = [row for row in feed._look().snapshot.rows if isinstance(row, JobGroup)]
    assert shown == [again]
    feed.close()


class Overtaken(Poller):
    """Whoever rings it is not soon given the processor back."""

    def _wake(self) -> None:
        super()._wake()
        time.sleep(0.05)


def test_a_feed_that_is_closed_while_it_waits_does_not_look_again(
    source: FakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "_GAP_S", 0.0)  # it waits for a ring at once
    looks: list[Message] = []

    def post(look: Message) -> bool:
        looks.append(look)
        return True

    feed = Overtaken(source, post, refresh_s=5)
    feed.start()
    while not looks or source.bell is None:
        time.sleep(0.001)
    feed.close(wait_s=60)
    assert len(looks) == 1
