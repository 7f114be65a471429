"""Keeps a job's log small: its beginning and its end stay, and one line says how much was dropped between.

Standard library only. The job itself appends to the file, so while it runs the middle is freed as a hole:
no offset changes and nothing that is still to come is lost. After the job the file is written anew, without
the hole. Where a file system has no holes, only that second step is left.
"""

from __future__ import annotations

import os
import time

KEEP_SIZE, PUNCH_HOLE = 1, 2
LOOK_AFTER_S = 0.02  # at most so often
NEVER = float("inf")
COPY_BYTES = 1 << 20


class LogCap:
    """One growing file, by a descriptor of its own; `max_bytes` 0 lets it grow."""

    def __init__(self, descriptor: int, max_bytes: int) -> None:
        self._log = descriptor
        self._max_bytes = max_bytes
        self._size_bytes = self._freed_to = 0
        self._looked_at = time.monotonic()
        self._can_free = max_bytes > 0
        self.look_at = NEVER

    def look(self, now: float) -> None:
        """Free what is too much. To be called every second, and at `look_at` while it grows fast."""
        if not self._can_free:
            return
        found = os.fstat(self._log)
        grown, took_s = found.st_size - self._size_bytes, now - self._looked_at
        self._size_bytes, self._looked_at = found.st_size, now
        if found.st_size < self._freed_to:
            self._freed_to = 0  # the job began it anew
        step = self._max_bytes // 8
        fills_in_s = step * took_s / grown if grown > 0 else NEVER
        self.look_at = now + max(fills_in_s, LOOK_AFTER_S) if fills_in_s < 1.0 else NEVER
        start, end = self._middle(found.st_size, found.st_blksize)
        if end > start and end - max(start, self._freed_to) >= step:
            self._freed_to = end
            self._can_free = _free(self._log, start, end - start)
            if not self._can_free:
                self.look_at = NEVER

    def finish(self, path: str) -> None:
        """Write the file anew, if it is too long. Nobody may write to it any more.

        Where there is no room for that it stays as it is, with its hole.
        """
        found = os.fstat(self._log)
        if not 0 < self._max_bytes < found.st_size:
            return
        start, end = self._middle(found.st_size, found.st_blksize)
        if (hole := hole_in(self._log)) is not None:
            start, end = min(start, hole[0]), max(end, hole[1])
        if end <= start:
            return
        temporary = f"{path}.{os.getpid()}.tmp"
        try:
            with open(path, "rb", buffering=0) as old:
                if not os.path.samestat(os.fstat(old.fileno()), found):
                    return  # the job put another file in its place
                with open(temporary, "xb", buffering=0, opener=_for_its_owner) as new:
                    last = _copy(old.fileno(), new.fileno(), 0, start)
                    new.write(line_for(end - start, after=last))
                    _copy(old.fileno(), new.fileno(), end, found.st_size)
            os.rename(temporary, path)
        except OSError:
            try:
                os.unlink(temporary)
            except OSError:
                pass

    def _middle(self, size_bytes: int, block_bytes: int) -> tuple[int, int]:
        """From half of the cap on, up to what is left of it at the end; whole blocks."""
        start = max(1, self._max_bytes // 2 // block_bytes) * block_bytes
        end = (size_bytes - self._max_bytes * 3 // 8) // block_bytes * block_bytes
        return start, end


def hole_in(descriptor: int) -> tuple[int, int] | None:
    """Where the dropped middle begins and ends. The descriptor's position counts no more."""
    found = os.fstat(descriptor)
    if found.st_blocks * 512 >= found.st_size:
        return None
    try:
        start = os.lseek(descriptor, 0, os.SEEK_HOLE)
        if start >= found.st_size:
            return None
        return start, os.lseek(descriptor, start, os.SEEK_DATA)
    except OSError:
        return None


def line_for(dropped_bytes: int, *, after: bytes = b"\n") -> bytes:
    """What stands in the place of so many bytes, as a line of its own."""
    amount, unit = float(dropped_bytes), "bytes"
    for larger in ("KB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1024, larger
    shown = f"{amount:.0f}" if unit == "bytes" or amount >= 100 else f"{amount:.1f}"
    begin = "" if after.endswith(b"\n") or not after else "\n"
    return f"{begin}... {shown} {unit} of output dropped here ...\n".encode()


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _free(descriptor: int, start: int, size: int) -> bool:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    fallocate = getattr(libc, "fallocate64", None) or libc.fallocate
    offsets = ctypes.c_longlong(start), ctypes.c_longlong(size)
    return bool(fallocate(descriptor, PUNCH_HOLE | KEEP_SIZE, *offsets) == 0)


def _copy(old: int, new: int, start: int, end: int) -> bytes:
    """Append this part of the one to the other; the last block."""
    block = b""
    while start < end:
        block = os.pread(old, min(COPY_BYTES, end - start), start)
        if not block:
            break
        start += len(block)
        rest = block
        while rest:
            rest = rest[os.write(new, rest) :]
    return block
