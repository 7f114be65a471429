"""A small resident process that finds a supervisor for each job folder named on its socket.

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

    from jobs.runtime import pool, procfs, spawn, supervisor
else:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import pool
    import procfs
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
    """Answer each message (a job folder's path) with its supervisor's pid and start time, until the end.

    The supervisor begins the job by `start`. What `refuse` returns is answered instead.
    """
    others = set(procfs.children(os.getpid()))
    supervisor.adopt_orphans()
    gc.freeze()  # so that a fork does not touch, and copy, what it shares
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    supervisors = pool.Pool(ends, start, [requests, wake_read, wake_write])
    poller = select.poll()
    for descriptor in (requests, wake_read, supervisors.words):
        poller.register(descriptor, select.POLLIN)
    while True:
        supervisors.prepare()
        wait_s = supervisors.wait_s()
        heard = dict(poller.poll(None if wait_s is None else wait_s * 1000))
        if not heard:
            supervisors.thin_out()
        if wake_read in heard:
            os.read(wake_read, 4096)
            _reap(others, supervisors)
        if requests in heard:
            message = os.read(requests, 1 << 16)  # a sequenced-packet socket: one message
            if not message:
                return
            answer = refuse(os.fsdecode(message)) or _have_supervised(supervisors, message)
            os.write(requests, json.dumps(answer).encode())


def _have_supervised(supervisors: pool.Pool, folder: bytes) -> dict[str, Any]:
    try:
        pid, start_ticks = supervisors.give(folder)
    except OSError as error:
        return {"error": f"fork: {error.strerror}"}
    return {"pid": pid, "start_ticks": start_ticks}


def _reap(others: set[int], supervisors: pool.Pool) -> None:
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
            orphaned |= status != 0 or not (pid in supervisors or pid in others)
            supervisors.gone(pid)
            others.discard(pid)
    except ChildProcessError:
        return
    me = os.getpid()
    for pid in procfs.descendants(me) if orphaned else ():
        if not (pid in supervisors or pid in others) and procfs.parent(pid) == me:
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
