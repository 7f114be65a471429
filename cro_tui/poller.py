"""One plain daemon thread that looks at the store when it is rung or a second has passed.

It posts what it saw as one message that replaces older ones, so the screen never waits for the store, and a
locked or hanging store leaves the last picture standing with a note. It changes nothing.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from textual.message import Message

from cro_tui.source import Progress, Reports, Source, Subscription
from jobs.core.jobs import Active, Ended, Job, JobId, Running, StateName
from jobs.core.ports import CroError
from jobs.core.requests import JobGroup, JobQuery, ListRow, Snapshot, SortKey
from jobs.core.tracking import Reported
from jobs.records.events import EventsFile
from jobs.records.logs import LogFile
from jobs.records.text import progress_of_lines

_GAP_S = 0.03  # between two looks, however often it rings
_PROGRESS_LINES = 3
_ACTIVE = frozenset({StateName.STARTING, StateName.RUNNING, StateName.PAUSED})
_MOST_ACTIVE = 1_000
_PAGE, _MOST_A_PAGE, _MOST_CHANGING, _SPARE = 500, 5_000, 2_000, 200  # rows
_EVENTS_BYTES = 1 << 20  # of one job in one look


@dataclass(frozen=True, slots=True)
class ScreenState:
    """One look: the snapshot, how far running jobs say they are (0..1), what they report, and when it was.

    `active` is what holds something now, whatever the query shows; `fresh_at` is when the store was last
    read (0: never), `note` why that is not now.
    """

    snapshot: Snapshot
    active: tuple[Job, ...] = ()
    progress: Progress = field(default_factory=dict)
    reported: Reports = field(default_factory=dict)
    fresh_at: float = 0.0
    note: str = ""


class SnapshotReady(Message):
    """A new picture; one that has not been shown yet is replaced by it."""

    def __init__(self, picture: ScreenState) -> None:
        super().__init__()
        self.picture = picture

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, SnapshotReady)


class Poller:
    """Start it once, `show` for other jobs, `close` it. All methods may be called from any thread."""

    def __init__(
        self,
        source: Source,
        post: Callable[[Message], bool],
        *,
        refresh_s: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._post = post
        self._refresh_s = min(5.0, max(0.5, refresh_s))
        self._clock = clock
        self._query = JobQuery(folded=True)
        self._last = ScreenState(Snapshot(0.0))
        self._more = False  # whether another page is wanted
        self._limit = self._query.limit
        self._older: tuple[
            ListRow, ...
        ] = ()  # ended before what the query itself shows; that never changes
        self._logs: dict[JobId, tuple[int, LogFile]] = {}
        self._events: dict[JobId, tuple[int, EventsFile]] = {}
        self._progress: dict[JobId, float] = {}
        self._bell: Subscription | None = None
        self._closed = threading.Event()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._wake_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def show(self, query: JobQuery | None = None) -> None:
        """Look again at once, from now on with this query."""
        if query is not None:
            self._query = query
            self._limit, self._older, self._more = query.limit, (), False
        with self._wake_lock:
            if not self._closed.is_set():
                self._wake()

    def more(self) -> None:
        """Look again, and further down the list."""
        self._more = True
        self.show()

    def close(self, wait_s: float = 0.5) -> None:
        """Stop looking; a look that hangs is left alone."""
        with self._wake_lock:
            if not self._closed.is_set():
                self._closed.set()  # first: woken before it, the thread would look and wait once more
                self._wake()
        if self._thread.is_alive():
            self._thread.join(wait_s)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"!")

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._closed.is_set():
                begun = time.monotonic()
                self._last = self._look()
                self._post(SnapshotReady(self._last))
                self._wait(begun)
        finally:
            self._let_go()

    def _look(self) -> ScreenState:
        query = self._query
        try:
            snapshot = self._paged(query)
        except CroError as error:
            return replace(self._last, note=error.title)
        if snapshot.note:
            kept = snapshot if snapshot.rows else replace(snapshot, rows=self._last.snapshot.rows)
            return replace(self._last, snapshot=kept, note=snapshot.note)
        active = tuple(job for job in snapshot.jobs if isinstance(job.state, Active))
        folded = any(isinstance(row, JobGroup) for row in snapshot.rows)
        if folded or query.text or query.sort is not SortKey.QUEUE:
            with contextlib.suppress(CroError):
                active = self._source.jobs.snapshot(JobQuery(states=_ACTIVE, limit=_MOST_ACTIVE)).jobs
        reported = self._read_events(snapshot.jobs)
        progress = self._read_progress(snapshot.jobs)
        told = {job_id: said.progress for job_id, said in reported.items() if said.progress is not None}
        return ScreenState(snapshot, active, {**progress, **told}, reported, snapshot.at)

    def _paged(self, query: JobQuery) -> Snapshot:
        """What the query shows, and the pages below it that were asked for.

        Only the first page is read each time, with some rows to spare: the others begin after a row that
        had ended, and what has ended stays as it is. Rows that wait can change: of them more are read anew.
        """
        older, limit = self._older, self._limit + (_SPARE if self._older else 0)
        snapshot = self._source.jobs.snapshot(replace(query, limit=limit))
        first = [row for row in snapshot.rows if _stands_alone(row)] if query.folds else snapshot.rows
        whole = len(first) < limit
        if older and not whole and not _joins(first[-1], older[0]):
            older = self._page_after(query, first[-1], len(older))
        if self._more:
            self._more = False
            last = next((row for row in reversed(older) if _stands_alone(row)), None)
            if not whole and query.folds and _end_of(first[-1]) is not None:
                size = min(_MOST_A_PAGE, max(_PAGE, len(older)))
                older = (*older, *self._page_after(query, last or first[-1], size))
            elif not whole:
                self._limit = min(_MOST_CHANGING, self._limit + _PAGE)
                self.show()
        if query is self._query:
            self._older = older
        return replace(snapshot, rows=_joined(snapshot.rows, older))

    def _page_after(self, query: JobQuery, row: ListRow, size: int) -> tuple[ListRow, ...]:
        end = _end_of(row)
        return (
            () if end is None else self._source.jobs.snapshot(replace(query, before=end, limit=size)).rows
        )

    def _wait(self, begun: float) -> None:
        """Until it is asked or rung, at least `_GAP_S`, at most the refresh time."""
        if self._bell is None:
            with contextlib.suppress(CroError, OSError):
                self._bell = self._source.scheduler.watch()
        self._closed.wait(max(0.0, begun + _GAP_S - time.monotonic()))
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        if self._bell is not None and self._bell.fileno() >= 0:
            poll.register(self._bell.fileno(), select.POLLIN)
        poll.poll(max(0.0, begun + self._refresh_s - time.monotonic()) * 1000)
        if self._bell is not None:
            self._bell.clear()
        if select.select([self._wake_read], [], [], 0)[0]:
            os.read(self._wake_read, 4096)

    def _read_progress(self, jobs: tuple[Job, ...]) -> Progress:
        """What the last lines of running jobs' logs say, read only where a log has grown."""
        running = {job.id: job for job in jobs if isinstance(job.state, Running)}
        for job_id in set(self._logs) - set(running):
            self._logs.pop(job_id)[1].close()
            self._progress.pop(job_id, None)
        for job_id, job in running.items():
            with contextlib.suppress(CroError, OSError):
                log = self._log(job)
                before = log.size_bytes
                log.refresh(budget_bytes=0)
                if log.size_bytes == before:
                    continue
                found = progress_of_lines(log.tail(_PROGRESS_LINES))
                if found is not None:
                    self._progress[job_id] = found
        return dict(self._progress)

    def _read_events(self, jobs: tuple[Job, ...]) -> Reports:
        """What running jobs report, read only as far as it is new."""
        running = {job.id: job.attempts for job in jobs if isinstance(job.state, Running)}
        for job_id in [gone for gone, (attempt, _) in self._events.items() if running.get(gone) != attempt]:
            del self._events[job_id]
        found: dict[JobId, Reported] = {}
        for job_id, attempt in running.items():
            with contextlib.suppress(CroError):
                if job_id not in self._events:
                    path = self._source.runs.events_path(job_id, attempt or None)
                    self._events[job_id] = attempt, EventsFile(path)
                reported = self._events[job_id][1].look(_EVENTS_BYTES)
                if reported.events:
                    found[job_id] = reported
        return found

    def _log(self, job: Job) -> LogFile:
        known = self._logs.get(job.id)
        if known is not None and known[0] == job.attempts:
            return known[1]
        if known is not None:
            known[1].close()
        log = LogFile(self._source.runs.log_path(job.id, job.attempts or None))
        self._logs[job.id] = (job.attempts, log)
        return log

    def _let_go(self) -> None:
        for _, log in self._logs.values():
            log.close()
        if self._bell is not None:
            self._bell.close()
        with self._wake_lock:
            self._closed.set()
            os.close(self._wake_read)
            os.close(self._wake_write)


def _end_of(row: ListRow) -> tuple[float, int] | None:
    """When a row's job ended, and its id: what comes after it in the list ended before."""
    job = row.foremost if isinstance(row, JobGroup) else row
    return (job.state.finished_at, job.id) if isinstance(job.state, Ended) else None


def _stands_alone(row: ListRow) -> bool:
    """Whether it is no job below the row of its group."""
    return isinstance(row, JobGroup) or row.spec.group is None


def _joins(last: ListRow, first: ListRow) -> bool:
    """Whether no row can be missing between the first page and those below it."""
    above, below = _end_of(last), _end_of(first)
    return above is not None and below is not None and above <= below


def _joined(rows: tuple[ListRow, ...], older: Sequence[ListRow]) -> tuple[ListRow, ...]:
    if not older:
        return rows
    shown = {(isinstance(row, JobGroup), row.id) for row in rows}
    return (*rows, *(row for row in older if (isinstance(row, JobGroup), row.id) not in shown))
