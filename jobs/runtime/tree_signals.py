"""Signals for everything below this process, however it forked, daemonised or changed its session.

Standard library only. It works because the supervisor is the sub-reaper of its job: what loses its parent
comes back to it. It never signals a process outside its own tree.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jobs.runtime import procfs
else:
    import procfs

MAX_ROUNDS = 20


def send(number: int) -> None:
    """Signal every descendant once. What has gone, or belongs to another user, is passed over."""
    for pid in procfs.descendants(os.getpid()):
        _kill(pid, number)


def freeze() -> None:
    """Stop the whole tree where it stands, children born meanwhile included."""
    stopped: set[int] = set()
    for _ in range(MAX_ROUNDS):
        new = [pid for pid in procfs.descendants(os.getpid()) if pid not in stopped]
        if not new:
            return
        for pid in new:
            _kill(pid, signal.SIGSTOP)
        stopped.update(new)


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass
