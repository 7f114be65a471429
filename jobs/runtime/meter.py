"""What a job's tree uses: looks often and cheaply while memory is limited, writes down once a second.

Standard library only. In a control group the kernel counts memory and keeps the limit. Without one,
resident memory is the quick measure; it counts shared pages and those of mapped files too much, so a limit
is confirmed by an exact measure, which stalls the job and is therefore rare.
"""

from __future__ import annotations

import math
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jobs.runtime import cgroup, job_folder, procfs
else:
    import job_folder
    import procfs

FIRST_LOOK_S = 0.05
LOOK_EVERY_S = 1.0
LIMITED_LOOK_S = 0.1
NEAR_LOOK_S = 0.02
WALK_EVERY_S = 0.2  # with a limit; in between only the processes already known are read
NEAR_LIMIT = 0.5
CONFIRM_EVERY_S = 1.0
WRITE_EVERY_S = 1.0
MAX_LINES = 20_000
SHORTEST_S = 5


class UsageMeter:
    """The use of everything below this process. `peak_bytes` is over all looks.

    `group`: the control group that all of it is in; the kernel keeps the limit then. `inherited_bytes`:
    what the job shares with a warm process and would need of its own if it were started cold; a group does
    not count that, but the peak does, as others learn from it what such a job needs.
    """

    def __init__(self, mem_limit_bytes: int | None) -> None:
        self.mem_limit_bytes = mem_limit_bytes
        self.peak_bytes = 0
        self.ended_cpu_s = 0.0  # of the processes that were waited for
        self.paused = False
        self.group: cgroup.Cgroup | None = None
        self.inherited_bytes = 0
        self._most_cached_bytes = 0
        self._started = time.monotonic()
        self._pids: list[int] = []
        self._mem_bytes = 0
        self._walked: float | None = None
        self._wait_s = FIRST_LOOK_S
        self._look_at = self._started + FIRST_LOOK_S
        self._write_at = self._look_at
        self._confirmed: tuple[float, int, int] | None = None  # when, resident bytes, held bytes
        self._written: tuple[float, float] | None = None  # when, CPU seconds
        self._lines = 0
        self._seconds: dict[int, int] = {}  # how many had so many tenths of a core in use

    @property
    def look_at(self) -> float:
        """When, by the monotonic clock, `look` is due."""
        return self._look_at

    def look(self, now: float, *, write: bool = False) -> bool:
        """Read what is due and write it down once a second, or now; whether the memory limit is broken."""
        limit = self.mem_limit_bytes if self.group is None else None
        write = write or now >= self._write_at
        if limit is None or write or self._walked is None or now - self._walked >= WALK_EVERY_S:
            self._pids, self._walked = procfs.descendants(os.getpid()), now
        if self.group is not None:
            self._read_group(self.group)
        else:
            self._mem_bytes = sum(map(procfs.rss_bytes, self._pids))
        self.peak_bytes = max(self.peak_bytes, self._mem_bytes + self.inherited_bytes)
        if limit is None:
            self._wait_s = min(self._wait_s * 2, LOOK_EVERY_S)
        else:
            self._wait_s = NEAR_LOOK_S if self._mem_bytes > limit * NEAR_LIMIT else LIMITED_LOOK_S
        self._look_at = now + self._wait_s
        if write:
            self._write_at = now + WRITE_EVERY_S
            self._write(now)
        if self.group is not None:
            return self.group.over_limit()
        return limit is not None and self._mem_bytes > limit and self._really_over(now, limit)

    def close(self, *, out_of_memory: bool) -> None:
        """Take in what the control group knows of the time between the looks. Nothing runs any more."""
        if self.group is None:
            return
        self._read_group(self.group)
        peak = self.group.peak_bytes() or 0
        # files that were read are kept while there is room for them: no job needs them to be
        needed = peak if out_of_memory else peak - self._most_cached_bytes
        self.peak_bytes = max(self.peak_bytes, needed + self.inherited_bytes)

    def busy_cpus(self) -> float | None:
        """The cores that 95 % of its seconds did not exceed; None of a job too short to tell."""
        seconds = sum(self._seconds.values())
        if seconds < SHORTEST_S:
            return None
        left = 0.05 * seconds
        for tenths in sorted(self._seconds, reverse=True):
            left -= self._seconds[tenths]
            if left < 0:
                return tenths / 10
        return None

    def _read_group(self, group: cgroup.Cgroup) -> None:
        self._mem_bytes, cached = group.memory()
        self._most_cached_bytes = max(self._most_cached_bytes, cached)

    def _really_over(self, now: float, limit: int) -> bool:
        if self._confirmed is not None:
            at, resident, real = self._confirmed
            grown = self._mem_bytes - resident > (limit - real) / 2
            if not grown and now - at < CONFIRM_EVERY_S:
                return False
        real = 0
        for pid in self._pids:
            held = procfs.held_bytes(pid)
            real += procfs.rss_bytes(pid) if held is None else held
        self._confirmed = (now, self._mem_bytes, real)
        return real > limit

    def _write(self, now: float) -> None:
        live_s = sum(seconds for pid in self._pids if (seconds := procfs.cpu_s(pid)) is not None)
        used = self.ended_cpu_s + live_s
        cpus = None
        if self._written is not None and now > self._written[0]:
            used = max(used, self._written[1])
            cpus = (used - self._written[1]) / (now - self._written[0])
            if not self.paused:
                tenths = math.ceil(10 * cpus)
                self._seconds[tenths] = self._seconds.get(tenths, 0) + 1
        self._written = (now, used)
        line = {
            "at": time.time(),
            "cpu_s": round(used, 3),
            "mem_bytes": self._mem_bytes,
            "peak_mem_bytes": self.peak_bytes,
            "processes": len(self._pids),
            "cpus": cpus if cpus is None else round(cpus, 3),
            "paused": self.paused,
            "log_bytes": _size(job_folder.LOG),
        }
        try:
            if self._lines >= MAX_LINES:
                self._lines = job_folder.thin_usage()
            job_folder.append_usage(line)
            self._lines += 1
        except OSError:
            pass  # a full disk is no reason to let go of the job


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None
