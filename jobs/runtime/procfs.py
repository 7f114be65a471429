"""Reads processes from /proc: who they are, what descends from them, what they use.

Standard library only. A process is identified by pid *and* start time; every reading of a process that
has gone answers None or leaves it out, and never raises.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
LISTS_CHILDREN = os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children")


def boot_id() -> str:
    """What tells this boot of the machine from every other; empty where the kernel does not say."""
    return _read("/proc/sys/kernel/random/boot_id").strip()


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None when it is gone or a zombie."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def environment(pid: int) -> list[bytes]:
    """What the process was started with, as NAME=value; empty when it is gone or another user's."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


def parent(pid: int) -> int | None:
    fields = _stat(pid)
    return None if fields is None else int(fields[1])


def session(pid: int) -> int | None:
    fields = _stat(pid)
    return None if fields is None else int(fields[3])


def cpu_s(pid: int) -> float | None:
    """CPU seconds of the process and of those of its children that it has waited for."""
    fields = _stat(pid)
    return None if fields is None else sum(map(int, fields[11:15])) / TICKS_PER_S


def own_cpu_s(pid: int) -> float | None:
    """CPU seconds of the process alone."""
    fields = _stat(pid)
    return None if fields is None else sum(map(int, fields[11:13])) / TICKS_PER_S


def rss_bytes(pid: int) -> int:
    """Resident memory; 0 when the process is gone."""
    words = _read(f"/proc/{pid}/statm").split()
    return int(words[1]) * PAGE_BYTES if len(words) > 1 else 0


def held_bytes(pid: int) -> int | None:
    """Its share of memory that the kernel cannot take back: pages of mapped files do not count.

    Exact for a tree that shares pages, but it stalls the process, so ask rarely. None when it is gone or
    another user's.
    """
    found: dict[str, int] = {}
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        name, _, rest = line.partition(":")
        if name in ("Pss", "Pss_Anon", "Pss_Shmem"):
            found[name] = int(rest.split()[0]) * 1024
    if "Pss_Anon" in found:
        return found["Pss_Anon"] + found.get("Pss_Shmem", 0)
    return found.get("Pss")


def children(pid: int) -> list[int]:
    """The direct children of all threads of a process."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    return found


def descendants(pid: int) -> list[int]:
    """Every process below `pid`, zombies included, parents before children."""
    below = children if LISTS_CHILDREN else _children_by_parent()
    found: list[int] = []
    left = below(pid)
    while left:
        child = left.pop()
        found.append(child)
        left += below(child)
    return found


def _children_by_parent() -> Callable[[int], list[int]]:
    """The same from one look at all processes, for kernels that keep no lists of children."""
    by_parent: dict[int, list[int]] = {}
    for pid in all_pids():
        if (above := parent(pid)) is not None:
            by_parent.setdefault(above, []).append(pid)
    return lambda pid: list(by_parent.get(pid, ()))


def all_pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the name (which may hold spaces and parentheses)."""
    text = _read(f"/proc/{pid}/stat")
    return text[text.rindex(")") + 2 :].split() if ")" in text else None


def _read(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, 1 << 16).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)
