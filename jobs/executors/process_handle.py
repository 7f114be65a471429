"""Holds on to one live process and hears of its end; never takes another process for it.

By a process descriptor where the kernel gives one and enough are left, else by asking now and then. What
cannot be told for want of a descriptor is an error, never an end. Needs a running event loop.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Callable

from jobs.runtime import procfs

ASK_EVERY_S = 0.1
SPARE_DESCRIPTORS = 32  # for everything else that this process opens


class ProcessHandle:
    """A process that was alive when this was made. `on_end` is called once, on the loop, unless closed."""

    def __init__(self, pid: int, start_ticks: int, pidfd: int | None, on_end: Callable[[], None]) -> None:
        self.pid = pid
        self._start_ticks = start_ticks
        self._pidfd = pidfd
        self._on_end = on_end
        self._timer: asyncio.TimerHandle | None = None
        if pidfd is None:
            self._ask()
        else:
            asyncio.get_running_loop().add_reader(pidfd, self._ended)

    def send(self, number: int) -> None:
        """Signal the process if it is still there."""
        try:
            if self._pidfd is not None:
                signal.pidfd_send_signal(self._pidfd, number)
            elif self._alive():
                os.kill(self.pid, number)
        except ProcessLookupError:
            pass

    def close(self) -> None:
        """Let go of the process; to be repeated safely."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pidfd is not None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    def _alive(self) -> bool:
        try:
            return _is_there(self.pid, self._start_ticks)
        except OSError:
            return True

    def _ask(self) -> None:
        self._timer = None
        if self._alive():
            self._timer = asyncio.get_running_loop().call_later(ASK_EVERY_S, self._ask)
        else:
            self._timer = asyncio.get_running_loop().call_later(0, self._ended)

    def _ended(self) -> None:
        self.close()
        self._on_end()


def open_handle(pid: object, start_ticks: object, on_end: Callable[[], None]) -> ProcessHandle | None:
    """Watch the process that had this pid and start time; None when it is gone or another has its pid.

    Raises OSError when that cannot be told.
    """
    if not isinstance(pid, int) or not isinstance(start_ticks, int) or pid <= 0:
        return None
    pidfd = _open(pid)
    if pidfd is not None and pidfd >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_DESCRIPTORS:
        os.close(pidfd)
        pidfd = None
    try:
        there = _is_there(pid, start_ticks)
    except OSError:
        if pidfd is not None:
            os.close(pidfd)
        raise
    if there:
        return ProcessHandle(pid, start_ticks, pidfd, on_end)
    if pidfd is not None:
        os.close(pidfd)
    return None


def check_descriptors() -> None:
    """Raise OSError if what was not found may only not have been readable."""
    os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))


def _is_there(pid: int, start_ticks: int) -> bool:
    """Whether this very process is there. Raises OSError when that cannot be told."""
    if procfs.start_ticks(pid) == start_ticks:
        return True
    check_descriptors()
    return procfs.start_ticks(pid) == start_ticks


def kill_if(pid: int, ours: Callable[[int], bool]) -> bool:
    """Kill a process that `ours` says yes to, and surely no other one that got its pid; whether it was."""
    pidfd = _open(pid)
    try:
        if not ours(pid):
            return False
        if pidfd is None:
            os.kill(pid, signal.SIGKILL)
        else:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        if pidfd is not None:
            os.close(pidfd)
    return True


def _open(pid: int) -> int | None:
    """A process descriptor, or None: the process is gone, or there is no such thing here."""
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):
        return None
