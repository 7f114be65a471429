"""Keeps a job out of the way of the person at the keyboard: of their CPU, their disk and their memory.

Standard library only. Children inherit all of it. None of it may fail or delay a job: what this kernel
does not know, or forbids, is left as it is.
"""

from __future__ import annotations

import ctypes
import os

NICE_OF_SESSION = b"19"  # where the kernel groups by session, the nice of a process counts for nothing
OOM_SCORE = 500  # a person's own programs have 0 to 200
WHO_PROCESS = 1
CLASS_NONE, CLASS_IDLE = 0, 3 << 13
# other machines share the generic table with aarch64
IOPRIO_SET = {
    "x86_64": 251,
    "i686": 289,
    "armv7l": 314,
    "armv8l": 314,
    "ppc64le": 273,
    "ppc64": 273,
    "s390x": 282,
    "aarch64": 30,
    "riscv64": 30,
    "loongarch64": 30,
}

_number = IOPRIO_SET.get(os.uname().machine)
_syscall = ctypes.CDLL(None, use_errno=True).syscall


class LowPriority:
    """Whoever is made inside has these from its first instruction, and so have all its children.

    Disk time only when nobody else wants it, and the first to go when there is no memory left.
    """

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._score: int | None = None  # what it was, once changed

    def __enter__(self) -> None:
        if not self._wanted:
            return
        _give_disk_time(CLASS_IDLE)
        try:
            with open("/proc/self/oom_score_adj", "r+b", buffering=0) as file:
                before = int(file.read(16))
                if before < OOM_SCORE:
                    file.write(b"%d" % OOM_SCORE)
                    self._score = before
        except OSError:
            pass

    def __exit__(self, *_: object) -> None:
        if self._wanted:
            _give_disk_time(CLASS_NONE)
        if self._score is not None:
            try:
                with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
                    file.write(b"%d" % self._score)
            except OSError:
                pass  # it was raised by whom it may not be lowered


def _give_disk_time(io_class: int) -> None:
    if _number is not None:
        _syscall(_number, WHO_PROCESS, 0, io_class)


def lower_priority(pid: int) -> bool:
    """Let other sessions have the CPU first; False: the kernel limits the rate, try again later."""
    try:
        descriptor = os.open(f"/proc/{pid}/autogroup", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return True  # there is no such thing here
    try:
        os.write(descriptor, NICE_OF_SESSION)
    except BlockingIOError:
        return False
    except OSError:
        pass
    finally:
        os.close(descriptor)
    return True
