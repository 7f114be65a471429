"""Reads all processes of the machine, again and again: on Linux from /proc, elsewhere through psutil.

One small file a process is read each time, and kept open as far as there are descriptors for it: that takes
a third of the time, and such a file never tells of another process with the same pid. User, command and
container are read once for each process, and the command only when somebody looks at it. What may not be
read is left unknown. It changes nothing but by `send`, which makes sure that it is still the same process.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import resource
import signal
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from jobs.machine.process_groups import GpuUse, Process
from jobs.runtime.procfs import PAGE_BYTES, TICKS_PER_S, start_ticks

_LONGEST_COMMAND = 4096
_MOST_OPEN = 4096
_CONTAINER = re.compile(
    r"(?:docker|libpod|cri-containerd|crio|containerd|kubepods)[^\n]*?([0-9a-f]{12})[0-9a-f]{52}"
)


@dataclass(slots=True)
class _Known:
    """What does not change in a process's life, and its counters at the last look."""

    started: int
    user: str | None
    container: str
    started_at: float | None
    at: float
    cpu_s: float
    stat: int = -1  # an open descriptor of its stat file
    text: bytes = b""  # what that said at the last look, and what was made of it
    process: Process | None = None
    sleeping: Process | None = None  # the same while nothing of it changes
    shown: bool = False  # at the last look
    command: str = ""
    io: tuple[float, int, int] | None = None  # when, bytes read, bytes written


class ProcessTable:
    """Remembers from look to look. Not for sharing between threads."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}
        self._living: dict[int, _Known] = {}
        self._boot_at = _boot_at()
        self._may_open = _descriptors()
        self._open = 0

    def close(self) -> None:
        """Let go of the files; it can be used again."""
        for known in self._known.values():
            self._forget(known)
        self._known = {}

    def read(self, shown: Collection[int] = (), gpu: Mapping[int, GpuUse] | None = None) -> list[Process]:
        """Every process that can be seen. Of those `shown`, command and disk use are read as well;
        `gpu` is GPU memory by pid, and whom it names is listed even when nobody else does."""
        gpu = gpu or {}
        if not sys.platform.startswith("linux"):
            return _with_gpus(_by_psutil(), gpu)
        now, wanted = time.monotonic(), frozenset(shown)
        found: list[Process] = []
        self._living = {}
        for number in os.listdir("/proc"):
            if not number.isdigit():
                continue
            process = self._look(int(number), now, wanted)
            if process is not None:
                found.append(process)
        for pid, known in self._known.items():
            if self._living.get(pid) is not known:
                self._forget(known)
        self._known = self._living
        return _with_gpus(found, gpu)

    def _look(self, pid: int, now: float, wanted: frozenset[int]) -> Process | None:
        """One process; None of one that has ended."""
        known = self._known.get(pid)
        text = b"" if known is None or known.stat < 0 else _reread(known.stat)
        if not text:
            text = _read(f"/proc/{pid}/stat")
        elif known is not None and text == known.text and (known.shown or pid not in wanted):
            known.at = now  # it sleeps: nothing of it has changed
            self._living[pid] = known
            return _asleep(known)
        end = text.rfind(b")")
        if end < 0:
            return None
        fields = text[end + 2 :].split()
        if fields[0] in (b"Z", b"X"):
            return None
        name = text[text.find(b"(") + 1 : end].decode("utf-8", "replace")
        process = self._process(pid, name, fields, now, shown=pid in wanted)
        known = self._living[pid]
        known.text, known.process, known.sleeping, known.shown = text, process, None, pid in wanted
        if known.stat < 0 and self._open < self._may_open:
            known.stat = _opened(f"/proc/{pid}/stat")
            self._open += known.stat >= 0
        return process

    def _forget(self, known: _Known) -> None:
        if known.stat >= 0:
            os.close(known.stat)
            known.stat = -1
            self._open -= 1

    def _process(self, pid: int, name: str, fields: list[bytes], now: float, *, shown: bool) -> Process:
        known = self._known.get(pid)
        started, cpu_s = int(fields[19]), (int(fields[11]) + int(fields[12])) / TICKS_PER_S
        cpus = None
        if known is None or known.started != started:
            at = None if self._boot_at is None else self._boot_at + started / TICKS_PER_S
            known = _Known(started, _user(pid), _container(pid), at, now, cpu_s)
        elif now > known.at:
            cpus = max(0.0, cpu_s - known.cpu_s) / (now - known.at)
            known.at, known.cpu_s = now, cpu_s
        self._living[pid] = known
        read_s = write_s = None
        if shown:
            known.command = known.command or _command(pid)
            read_s, write_s = _disk(pid, known, now)
        return Process(
            pid,
            started,
            int(fields[1]),
            int(fields[3]),
            name,
            known.user,
            known.started_at,
            cpus,
            int(fields[21]) * PAGE_BYTES,
            None,
            read_s,
            write_s,
            known.command,
            known.container,
        )


def _asleep(known: _Known) -> Process | None:
    """The process as it was last seen, at rest. What it moves without a tick of CPU counts at its next."""
    if known.sleeping is None and known.process is not None:
        rate = None if known.io is None else 0.0
        known.sleeping = replace(known.process, cpus=0.0, read_per_s=rate, write_per_s=rate)
    return known.sleeping


def _with_gpus(found: list[Process], gpu: Mapping[int, GpuUse]) -> list[Process]:
    """The processes with what they hold, and those that nobody but the driver names."""
    left = dict(gpu)
    for place, each in enumerate(found) if gpu else ():
        use = left.get(each.pid)
        if use is not None and use.started in (None, each.started):
            found[place] = _holding(each, left.pop(each.pid))
    return found + [_holding(Process(pid, 0, seen=False), use) for pid, use in left.items()]


def _holding(process: Process, use: GpuUse) -> Process:
    return replace(
        process,
        gpu_mem_bytes=use.mem_bytes,
        gpu_idle_bytes=use.idle_bytes,
        gpu_idle_since_at=use.idle_since_at,
    )


def send(pid: int, started: int, number: int) -> str:
    """Send a signal to that very process; one sentence when that was not done, else nothing."""
    if pid <= 1:
        return "pid 1 keeps the machine running: it is not signalled."
    if pid == os.getpid():
        return "That is this screen: leave it with q."
    try:
        with _held(pid) as descriptor:
            if _started(pid) != started:
                return f"pid {pid} has ended."
            if descriptor is None:
                os.kill(pid, number)
            else:
                signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return f"pid {pid} has ended."
    except PermissionError:
        return f"pid {pid} is not yours: only its owner or root can signal it."
    return ""


def _started(pid: int) -> int | None:
    """What `ProcessTable` told of its start."""
    if sys.platform.startswith("linux"):
        return start_ticks(pid)
    import psutil

    try:
        return int(psutil.Process(pid).create_time() * 100)
    except psutil.Error:
        return None


@contextlib.contextmanager
def _held(pid: int) -> Iterator[int | None]:
    """A descriptor of the process, so that its number cannot be given to another one meanwhile."""
    if not hasattr(os, "pidfd_open"):
        yield None
        return
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _by_psutil() -> list[Process]:
    import psutil

    wanted = ["pid", "ppid", "name", "username", "create_time", "memory_info", "cmdline", "cpu_percent"]
    found = []
    for each in psutil.process_iter(wanted):
        table = each.info
        memory, percent = table["memory_info"], table["cpu_percent"]
        found.append(
            Process(
                table["pid"],
                int((table["create_time"] or 0) * 100),
                table["ppid"] or 0,
                0,
                table["name"] or "",
                table["username"],
                table["create_time"],
                None if percent is None else percent / 100,
                None if memory is None else memory.rss,
                command=" ".join(table["cmdline"] or ())[:_LONGEST_COMMAND],
            )
        )
    return found


def _read(path: str, most: int = 4096) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, most)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _opened(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _reread(descriptor: int) -> bytes:
    """The file from its beginning; nothing once the process has ended."""
    try:
        return os.pread(descriptor, 4096, 0)
    except OSError:
        return b""


def _descriptors() -> int:
    """How many files may be kept open: the rest of the program needs some as well."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(0, min(_MOST_OPEN, soft // 2 - 64))


def _command(pid: int) -> str:
    words = _read(f"/proc/{pid}/cmdline", _LONGEST_COMMAND).rstrip(b"\0").split(b"\0")
    return b" ".join(words).decode("utf-8", "replace")


def _disk(pid: int, known: _Known, now: float) -> tuple[float | None, float | None]:
    """Bytes a second that really reached a disk, since the last look."""
    numbers = dict(line.split(b": ") for line in _read(f"/proc/{pid}/io").splitlines() if b": " in line)
    try:
        counted = now, int(numbers[b"read_bytes"]), int(numbers[b"write_bytes"])
    except (KeyError, ValueError):
        return None, None
    before, known.io = known.io, counted
    if before is None or counted[0] <= before[0]:
        return None, None
    passed_s = counted[0] - before[0]
    return (counted[1] - before[1]) / passed_s, (counted[2] - before[2]) / passed_s


def _user(pid: int) -> str | None:
    try:
        return _login(os.stat(f"/proc/{pid}").st_uid)
    except OSError:
        return None


@cache
def _login(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _container(pid: int) -> str:
    found = _CONTAINER.search(_read(f"/proc/{pid}/cgroup").decode("utf-8", "replace"))
    return found[1] if found else ""


def _boot_at() -> float | None:
    """When the machine was started, as the kernel tells it."""
    for line in _read("/proc/stat", 1 << 20).splitlines():
        if line.startswith(b"btime "):
            return float(line.split()[1])
    return None
