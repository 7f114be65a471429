"""A control group for one attempt: a memory limit that the kernel keeps, and a fence around its processes.

Standard library only. Whether one can be made is found out by making it, never from what files promise.
The supervisor enters it while the job is made and leaves again, so the job is inside from its first
instruction; the limit comes after that, for else a small one could end the supervisor. Memory is charged
where it was first touched, so hardly any of the supervisor's counts.
"""

from __future__ import annotations

import errno
import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

MOUNTS = "/proc/self/mountinfo"
OWN = "/proc/self/cgroup"
MAX_READ_BYTES = 1 << 16
REMOVE_TRIES = 100
REMOVE_AGAIN_S = 0.001
CLOSE_BYTES = 4 << 20  # a huge page is refused so far below the limit, and more


class Cgroup:
    """One that is there; `with` it, this process is inside. `own` is where this process is otherwise."""

    def __init__(self, folder: str, own: str, version: int) -> None:
        self.folder = folder
        self.version = version
        # version 1: by thread, which needs no lock on the whole machine's forks
        member = "tasks" if version == 1 else "cgroup.procs"
        self._inside, self._outside = f"{folder}/{member}", f"{own}/{member}"

    def __enter__(self) -> None:
        _write(self._inside, "0")

    def __exit__(self, *_: object) -> None:
        _write(self._outside, "0")

    def limit(self, mem_bytes: int) -> bool:
        """No more than this from here on, in memory and swap together; False: it has more already.

        Raises OSError where no limit can be set.
        """
        if self.version == 2:
            for name, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
                _try_to_write(f"{self.folder}/{name}", value)
            _write(f"{self.folder}/memory.max", str(mem_bytes))
            return True
        try:
            _write(f"{self.folder}/memory.limit_in_bytes", str(mem_bytes))
        except OSError as error:
            if error.errno == errno.EBUSY:
                return False
            raise
        _try_to_write(f"{self.folder}/memory.memsw.limit_in_bytes", str(mem_bytes))
        return True

    def memory(self) -> tuple[int, int]:
        """Bytes that only the job's end or swapping can free, and bytes of files kept in memory."""
        found = _numbers(f"{self.folder}/memory.stat")
        if self.version == 2:
            shared = found.get("shmem", 0)
            return found.get("anon", 0) + shared, max(0, found.get("file", 0) - shared)
        shared = found.get("total_shmem", 0)
        held = found.get("total_rss", 0) + found.get("total_swap", 0) + shared
        return held, max(0, found.get("total_cache", 0) - shared)

    def peak_bytes(self) -> int | None:
        """The most it ever had, files kept in memory included; None where the kernel does not tell."""
        name = "memory.peak" if self.version == 2 else "memory.max_usage_in_bytes"
        text = _read(f"{self.folder}/{name}").strip()
        return int(text) if text.isdigit() else None

    def over_limit(self) -> bool:
        """Whether the kernel has ended a process of it for its limit, not for want of memory at all."""
        if self.version == 2:
            events = _numbers(f"{self.folder}/memory.events")
            return events.get("oom_kill", 0) > 0 and events.get("oom", 0) > 0
        if not _numbers(f"{self.folder}/memory.oom_control").get("oom_kill", 0):
            return False
        limit = _read(f"{self.folder}/memory.limit_in_bytes").strip()
        if not limit.isdigit():
            return False
        close = max(int(limit) // 10, CLOSE_BYTES)  # newer kernels leave the counts of failures at 0
        return (self.peak_bytes() or 0) > int(limit) - close

    def kill(self) -> int:
        return kill(self.folder)

    def remove(self) -> bool:
        """Take it away; False when a process stays. The last may still be inside once it was waited for."""
        for _ in range(REMOVE_TRIES):
            if remove(self.folder):
                return True
            time.sleep(REMOVE_AGAIN_S)
        return False


def make(name: str) -> Cgroup | None:
    """One of this name, where one can be made, entered and left again; None: nowhere here."""
    for version, place, own in places():
        made = Cgroup(f"{place}/{name}", own, version)
        try:
            if os.path.exists(made.folder):
                remove(made.folder)  # of a supervisor that was killed before it could start the job
            os.mkdir(made.folder)
        except OSError:
            continue
        try:
            if os.path.exists(f"{made.folder}/{'memory.max' if version == 2 else 'memory.limit_in_bytes'}"):
                with made:
                    pass
                return made
        except OSError:
            pass
        made.remove()
    return None


def places(mounts: str = MOUNTS, own: str = OWN) -> Iterator[tuple[int, str, str]]:
    """Where one might be made: the version, the folder above it, the folder of this process."""
    ours = {}
    for line in _read(own).splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" or "memory" in controllers.split(","):
            ours[2 if number == "0" else 1] = path
    found: dict[int, tuple[str, str]] = {}
    for line in _read(mounts).splitlines():
        if " - cgroup" not in line:
            continue
        before, _, after = line.partition(" - ")
        where, what = before.split(), after.split()
        version = 2 if what[0] == "cgroup2" else 1
        if version == 2 or "memory" in what[-1].split(","):
            found.setdefault(version, (where[3], where[4]))
    version = 1 if 1 in found else 2  # only one of them has the memory controller
    if version not in found or version not in ours:
        return
    root, mount = found[version]
    path, above = ours[version].rstrip("/"), root.rstrip("/")
    if path.startswith("/..") or not f"{path}/".startswith(f"{above}/"):
        return  # we are in a part of it that is not shown here
    here = mount + path[len(above) :]
    yield version, here, here
    # version 2 allows no processes in what has limited groups below it, so it will be one further up
    place = here
    while version == 2 and place != mount:
        place = os.path.dirname(place)
        yield version, place, here


def left(name: str, recorded: object) -> list[str]:
    """Folders of an attempt's control group that are still there; `recorded` is where it was made."""
    found = {f"{place}/{name}" for _, place, _ in places()}
    if isinstance(recorded, str) and os.path.basename(recorded) == name:
        found.add(recorded)
    return [folder for folder in sorted(found) if os.path.exists(f"{folder}/cgroup.procs")]


def kill(folder: str) -> int:
    """Kill what is inside, groups below included; how many there were."""
    pids: list[int] = []
    for path, _, _ in os.walk(folder):
        pids += map(int, _read(f"{path}/cgroup.procs").split())
    if pids and not _try_to_write(f"{folder}/cgroup.kill", "1"):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
    return len(pids)


def remove(folder: str) -> bool:
    """Take it away, groups below included; False while a process is inside."""
    try:
        os.rmdir(folder)
    except OSError:
        try:
            for path, _, _ in os.walk(folder, topdown=False):
                os.rmdir(path)
        except OSError:
            return not os.path.exists(folder)
    return True


def _numbers(path: str) -> dict[str, int]:
    """Lines of a name and a number."""
    pairs = (line.split() for line in _read(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _read(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, MAX_READ_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _write(path: str, text: str) -> None:
    """Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _try_to_write(path: str, text: str) -> bool:
    try:
        _write(path, text)
    except OSError:
        return False
    return True
