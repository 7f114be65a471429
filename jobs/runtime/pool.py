"""The supervisors of one launcher: given a job folder each, and the next one when they are done.

Standard library only. A supervisor has one job at a time; that it takes another afterwards saves a fork and
all that a new process touches for the first time. Orders go by a pipe to each, which ends when the launcher
does; their words come back by one pipe that they share. An order counts as taken only once that is said:
a signal sent before belongs to the job before, and has been dropped by then.
"""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from jobs.runtime import procfs, supervisor
else:
    import procfs
    import supervisor

TAKEN, FREE = b"T", b"F"
WORD_BYTES = 9
JOBS_EACH = 200  # so that nothing can pile up in one
SPARES = 1  # kept ready for the next job
MOST = 16  # that can be given another job; with more, those with the longest jobs leave after them
LEAVE_AFTER_S = 1.0  # the others go when there has been nothing to do
LOOK_AGAIN_S = 0.05


class Pool:
    """Supervisors that begin their jobs by `start`. `inherited`: what they must not keep open."""

    def __init__(
        self, ends: int, start: Callable[[dict[str, Any], int], int], inherited: list[int]
    ) -> None:
        self._ends = ends
        self._start = start
        self._inherited = inherited
        self.words, self._say = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._orders: dict[int, int] = {}  # by pid
        self._start_ticks: dict[int, int | None] = {}
        self._idle: list[int] = []

    def __contains__(self, pid: int) -> bool:
        return pid in self._start_ticks

    def give(self, folder: bytes) -> tuple[int, int | None]:
        """Have a supervisor take the folder: its pid and start time. Raises OSError."""
        self.hear()
        while True:
            pid = self._idle.pop() if self._idle else self._fork()
            try:
                os.write(self._orders[pid], folder)
                if self._has_taken(pid):
                    return pid, self._start_ticks[pid]
            except BrokenPipeError:
                pass
            self._let_go(pid)  # somebody killed it

    def hear(self, about: int = 0) -> bool:
        """Take in what they have said; whether `about` has taken its order."""
        taken = False
        while True:
            try:
                word = os.read(self.words, WORD_BYTES)
            except BlockingIOError:
                return taken
            pid = int(word[1:])
            taken |= pid == about and word[:1] == TAKEN
            if word[:1] == FREE and pid in self._orders:
                self._idle.append(pid)

    def prepare(self) -> None:
        """Keep one ready, so that the next job need not wait for a fork."""
        self.hear()
        while len(self._idle) < SPARES:
            try:
                self._idle.append(self._fork())
            except OSError:
                return  # no process can be made just now

    def wait_s(self) -> float | None:
        """How long to do nothing before `thin_out`; None when there is nothing to thin out."""
        return LEAVE_AFTER_S if len(self._idle) > SPARES else None

    def thin_out(self) -> None:
        """Let those go that are too many."""
        for pid in self._idle[:-SPARES]:
            self._let_go(pid)

    def gone(self, pid: int) -> None:
        """Forget one that has ended."""
        self._let_go(pid)
        self._start_ticks.pop(pid, None)

    def _let_go(self, pid: int) -> None:
        if (orders := self._orders.pop(pid, None)) is not None:
            os.close(orders)
        if pid in self._idle:
            self._idle.remove(pid)

    def _has_taken(self, pid: int) -> bool:
        """Wait for its word; False when it died before."""
        poller = select.poll()
        poller.register(self.words, select.POLLIN)
        while not self.hear(about=pid):
            if poller.poll(LOOK_AGAIN_S * 1000):
                continue
            if procfs.start_ticks(pid) is None and not self.hear(about=pid):
                return False
        return True

    def _fork(self) -> int:
        if len(self._orders) >= MOST:
            self._let_go(next(iter(self._orders)))
        orders, ours = os.pipe2(os.O_CLOEXEC)
        try:
            pid = os.fork()
        except OSError:
            os.close(orders)
            os.close(ours)
            raise
        if pid == 0:
            for descriptor in (ours, self.words, *self._orders.values(), *self._inherited):
                os.close(descriptor)
            supervisor.main(_Orders(orders, self._say), self._ends, self._start)
        os.close(orders)
        self._orders[pid] = ours
        self._start_ticks[pid] = procfs.start_ticks(pid)
        return pid


class _Orders:
    """The supervisor's side: the next folder, until the launcher has none or it has had its share."""

    def __init__(self, orders: int, say: int) -> None:
        self._orders = orders
        self._say = say
        self._taken = 0

    def __call__(self, drop_signals: Callable[[], None]) -> str | None:
        if self._taken == JOBS_EACH:
            return None
        if self._taken:
            self._tell(FREE)
        folder = os.read(self._orders, 1 << 16)
        if not folder:
            return None
        drop_signals()
        self._tell(TAKEN)
        self._taken += 1
        return os.fsdecode(folder)

    def _tell(self, word: bytes) -> None:
        os.write(self._say, word + b"%8d" % os.getpid())
