"""A job's log file of any size: where its lines start, its tail at once, and what is found in it.

Reads only what is asked for and keeps one offset for each 64 lines, so a 2 GB log costs a few megabytes.
The dropped middle of a log that grew too long is one line. It never writes, and hands out printable text
only.
"""

from __future__ import annotations

import os
import stat
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from jobs.records.text import collapse
from jobs.runtime.log_cap import hole_in, line_for

__all__ = ["LogFile", "hole_in", "line_for"]

EVERY_LINES = 64
BLOCK_BYTES = 1 << 16
MAX_RAW_LINE_BYTES = 1 << 15  # of a longer line, its end: a progress bar's last state is there
BEFORE_CUT = b"... "
REFRESH_BYTES = 16 << 20
TAIL_BYTES = 4 << 20


class LogFile:
    """A growing file. Not for sharing between threads; close it when done.

    `refresh` takes in what was written since and is bounded in work: while `complete` is False, call it
    again. `line_count` counts the lines indexed so far, the unfinished last one included. `era` changes
    when lines known before may have another number now, or are gone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size_bytes = 0
        self.era = 0
        self._file: BinaryIO | None = None
        self._identity: tuple[int, int] | None = None
        self._reset()

    def _reset(self) -> None:
        self._offsets = array("Q", [0])  # where lines 0, 64, 128, ... start
        self._newlines = 0
        self._scanned_bytes = 0
        self._ends_in_newline = True
        self._dropped: tuple[int, int] | None = None
        self.era += 1

    def __enter__(self) -> LogFile:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def complete(self) -> bool:
        """Whether everything up to the size last seen is indexed."""
        return self._scanned_bytes == self.size_bytes

    @property
    def line_count(self) -> int:
        return self._newlines + (not self._ends_in_newline)

    def refresh(self, budget_bytes: int = REFRESH_BYTES) -> bool:
        """Index what was added, at most `budget_bytes` of it; whether anything is new.

        A file that became shorter or was replaced is indexed afresh. A missing one has no lines.
        """
        try:
            found: os.stat_result | None = self.path.stat()
        except OSError:
            found = None
        if found is None or not stat.S_ISREG(found.st_mode):
            gone = self._identity is not None
            self.close()
            self._identity, self.size_bytes = None, 0
            self._reset()
            return gone
        identity = (found.st_dev, found.st_ino)
        if identity != self._identity or found.st_size < self._scanned_bytes or self._file is None:
            self.close()
            try:
                self._file = self.path.open("rb", buffering=0)
            except OSError:
                return False
            if identity != self._identity or found.st_size < self._scanned_bytes:
                self._reset()
            self._identity = identity
        changed = found.st_size != self.size_bytes or self._scanned_bytes < found.st_size
        self.size_bytes = found.st_size
        changed |= self._take_in_dropped()
        self._index(min(self.size_bytes, self._scanned_bytes + budget_bytes))
        return changed

    def read_lines(self, start: int, stop: int) -> list[str]:
        """Lines `start` to `stop` (exclusive), numbered from 0, as far as they are indexed."""
        if self._file is not None:
            self._take_in_dropped()
        start, stop = max(0, start), min(stop, self.line_count)
        if start >= stop or self._file is None:
            return []
        skip = start % EVERY_LINES
        lines: list[str] = []
        for number, raw in enumerate(self._raw_lines(self._offsets[start // EVERY_LINES])):
            if number >= skip:
                lines.append(collapse(raw))
            if len(lines) == stop - start:
                break
        return lines

    def tail(self, count: int) -> list[str]:
        """The last lines, read from the end without the index; fewer when they are very long."""
        if self._file is None or count <= 0:
            return []
        first, after = self._hole() or (0, 0)
        start, text = max(self.size_bytes, after), b""
        while start > 0 and text.count(b"\n") <= count and len(text) < TAIL_BYTES:
            if start == after:
                text, start = self._line_for_dropped(first, after) + text, first
                continue
            size = min(BLOCK_BYTES, start - (after if start > after else 0))
            start -= size
            if not (block := self._pread(size, start)):
                break
            text = block + text
        lines = text.split(b"\n")
        if lines[-1] == b"":
            lines.pop()
        return [collapse(_bounded(raw)) for raw in lines[-count:]]

    def find(self, wanted: str, start: int, *, backwards: bool = False) -> int | None:
        """The next line at or after `start` (at or before it) that has the text; None when there is none.

        Upper and lower case count only when `wanted` has an upper-case letter.
        """
        exact = wanted != wanted.lower()

        def has(line: str) -> bool:
            return wanted in (line if exact else line.lower())

        if not wanted:
            return None
        if not backwards:
            for first in range(max(0, start), self.line_count, 1024):
                for number, line in enumerate(self.read_lines(first, first + 1024), first):
                    if has(line):
                        return number
            return None
        last = min(start + 1, self.line_count)
        while last > 0:
            first = max(0, last - 1024)
            lines = self.read_lines(first, last)
            for number in range(len(lines) - 1, -1, -1):
                if has(lines[number]):
                    return first + number
            last = first
        return None

    # --- how it is done -----------------------------------------------------------------------

    def _hole(self) -> tuple[int, int] | None:
        return None if self._file is None else hole_in(self._file.fileno())

    def _line_for_dropped(self, first: int, after: int) -> bytes:
        last = self._pread(1, first - 1) if first > 0 else b""
        return line_for(after - first, after=last)

    def _take_in_dropped(self) -> bool:
        """Forget what was indexed and is dropped now; whether something was.

        What follows is indexed again, for nobody knows how many lines were dropped.
        """
        hole = self._hole()
        if hole == self._dropped:
            return False
        starts = [each[0] for each in (hole, self._dropped) if each is not None]
        self._dropped = hole
        if self._scanned_bytes <= min(starts):
            return False
        step = bisect_right(self._offsets, min(starts)) - 1
        del self._offsets[step + 1 :]
        self._newlines, self._scanned_bytes = step * EVERY_LINES, self._offsets[step]
        self._ends_in_newline = True
        self.era += 1
        return True

    def _index(self, until: int) -> None:
        first, after = self._dropped or (-1, -1)
        while self._scanned_bytes < until:
            if self._scanned_bytes == first:
                if self._line_for_dropped(first, after).startswith(b"\n"):
                    self._next_line_at(first)
                self._next_line_at(after)
                self._ends_in_newline = True
                self._scanned_bytes = after
                until = min(until + after - first, self.size_bytes)  # what is dropped is no work
                continue
            stop = first if self._scanned_bytes < first < until else until
            block = self._pread(min(BLOCK_BYTES * 4, stop - self._scanned_bytes), self._scanned_bytes)
            if not block:
                return
            at = block.find(b"\n")
            while at >= 0:
                self._next_line_at(self._scanned_bytes + at + 1)
                at = block.find(b"\n", at + 1)
            self._ends_in_newline = block.endswith(b"\n")
            self._scanned_bytes += len(block)

    def _next_line_at(self, offset: int) -> None:
        self._newlines += 1
        if self._newlines % EVERY_LINES == 0:
            self._offsets.append(offset)

    def _raw_lines(self, offset: int) -> Iterator[bytes]:
        """Lines from an offset on, of each at most the last MAX_RAW_LINE_BYTES."""
        rest = b""
        first, after = self._dropped or (-1, -1)
        while offset < self._scanned_bytes:
            if offset == first:
                block, offset = line_for(after - first, after=rest), after
            else:
                stop = first if offset < first < self._scanned_bytes else self._scanned_bytes
                block = self._pread(min(BLOCK_BYTES, stop - offset), offset)
                offset += len(block)
            if not block:
                break
            *lines, rest = (rest + block).split(b"\n")
            yield from map(_bounded, lines)
            rest = rest[-MAX_RAW_LINE_BYTES:]
        if rest:
            yield _bounded(rest)

    def _pread(self, size: int, offset: int) -> bytes:
        """What is there; nothing when some of it was dropped by now, for then it reads as zeros."""
        assert self._file is not None
        try:
            block = os.pread(self._file.fileno(), size, offset)
        except OSError:
            return b""
        first, after = self._hole() or (0, 0)
        return b"" if first < offset + len(block) and offset < after else block


def _bounded(raw: bytes) -> bytes:
    """A line that can be shown; of a longer one the end, from a rewrite on or after a mark."""
    if len(raw) < MAX_RAW_LINE_BYTES:
        return raw
    kept = raw[-MAX_RAW_LINE_BYTES:]
    _, _, rewritten = kept.partition(b"\r")
    if rewritten.strip():
        return rewritten
    while kept and kept[0] & 0xC0 == 0x80:  # the rest of a character
        kept = kept[1:]
    return BEFORE_CUT + kept
