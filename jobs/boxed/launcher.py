"""A small resident process that forks one supervisor for each job folder named on its socket.

Run by path with `python -I -S launcher.py REQUESTS ENDS` (descriptors of two sockets); standard library
only. It keeps no state: when its socket closes it leaves, and the supervisors go on without it. It must
stay single-threaded, and small: every imported module makes each fork dearer, `typing` and `socket`
above all, so nothing in this package imports what it can do without.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from jobs.boxed import proctree, spawn, supervisor
else:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import proctree
    import spawn
    import supervisor


def settle(requests: int, ends: int) -> None:
    """Be a process that nobody's terminal ends, whose children inherit as little as can be."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, supervisor.ORDERS)  # a new supervisor must not miss one
    os.chdir("/")
    gc.disable()
    os.set_blocking(ends, False)
    for inherited in (requests, ends):
        os.set_inheritable(inherited, False)


def serve(
    requests: int,
    ends: int,
    start: Callable[[dict[str, Any], int], int] = spawn.start,
    refuse: Callable[[str], dict[str, Any] | None] = lambda _: None,
) -> None:
    """Answer each message (a job folder's path) with the supervisor's pid and start time, until the end.

    The supervisor begins the job by `start`. What `refuse` returns is answered instead of forking.
    """
    ours = set(proctree.children(os.getpid()))
    supervisor.adopt_orphans()
    gc.freeze()  # so that a fork does not touch, and copy, what it shares
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    poller = select.poll()
    poller.register(requests, select.POLLIN)
    poller.register(wake_read, select.POLLIN)
    while True:
        for descriptor, _ in poller.poll():
            if descriptor == wake_read:
                os.read(wake_read, 4096)
                _reap(ours)
                continue
            message = os.read(requests, 1 << 16)  # a sequenced-packet socket: one message
            if not message:
                return
            folder = os.fsdecode(message)
            if (refusal := refuse(folder)) is not None:
                os.write(requests, json.dumps(refusal).encode())
                continue
            try:
                pid = os.fork()
            except OSError as error:
                os.write(requests, json.dumps({"error": f"fork: {error.strerror}"}).encode())
                continue
            if pid == 0:
                os.close(requests)
                os.close(wake_read)
                signal.set_wakeup_fd(-1)
                os.close(wake_write)
                supervisor.main(folder, ends, start)
            ours.add(pid)
            os.write(requests, json.dumps({"pid": pid, "start_ticks": proctree.start_ticks(pid)}).encode())


def _reap(ours: set[int]) -> None:
    """Wait for who has ended. What a killed supervisor leaves comes back to us, and is ended here.

    A supervisor that ends by itself leaves nothing. Only own children are killed: nobody else can get their
    numbers, and their children come back to us in turn.
    """
    orphaned = False
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            orphaned |= status != 0 or pid not in ours
            ours.discard(pid)
    except ChildProcessError:
        return
    me = os.getpid()
    for pid in proctree.descendants(me) if orphaned else ():
        if pid not in ours and proctree.parent(pid) == me:
            try:
                os.kill(pid, signal.SIGKILL)
            except PermissionError:
                pass  # it has become another user's


if __name__ == "__main__":
    sockets = int(sys.argv[1]), int(sys.argv[2])
    settle(*sockets)
    try:
        serve(*sockets)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the scheduler has gone
