"""Bells between processes: who wrote something rings who waits for it.

Datagrams on unix sockets, never blocking and carrying nothing: a ring only means "look at the store". A
lost ring is no error, so whoever waits also looks at the database's `data_version` now and then.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 100  # sun_path holds 107 bytes on Linux, 103 on macOS


class Listener:
    """A socket that rings. `fileno()` suits select and asyncio. Binding replaces what was at the path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = _datagram_socket()
        try:
            path.unlink(missing_ok=True)
            with _address(path) as address:
                self._socket.bind(address)
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def clear(self) -> bool:
        """Take all rings that came; whether there were any."""
        rang = False
        while True:
            try:
                self._socket.recv(16)
            except (BlockingIOError, InterruptedError):
                return rang
            except OSError:  # closed by another thread
                return rang
            rang = True

    def close(self) -> None:
        """Take the bell down. Safe to repeat."""
        if self._socket.fileno() >= 0:
            self._socket.close()
            self.path.unlink(missing_ok=True)


class Subscription(Listener):
    """A front end's own bell, rung after each change, until it is closed or its process has gone."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / f"{os.getpid()}-{os.urandom(4).hex()}")

    def wait(self, timeout_s: float) -> bool:
        """Whether it rang within the time; takes all rings that came."""
        number = self.fileno()
        if number < 0:
            return False
        poll = select.poll()
        poll.register(number, select.POLLIN)
        return bool(poll.poll(max(0.0, timeout_s) * 1000)) and self.clear()


class Notifier:
    """Rings the bells of others; `notify` costs some microseconds and tells whether somebody listens."""

    def __init__(self) -> None:
        self._socket = _datagram_socket()

    def notify(self, path: Path) -> bool:
        return self._reaches(path, lambda address: self._socket.sendto(b"!", address))

    def notify_all(self, folder: Path) -> int:
        """Ring every bell in a folder, take down the dead ones, and return how many live."""
        return self._each(folder, self.notify)

    def count(self, folder: Path) -> int:
        """How many bells in a folder live, without ringing them; the dead ones are taken down."""
        return self._each(folder, self.reaches)

    def reaches(self, path: Path) -> bool:
        """Whether somebody listens there, without ringing."""
        with _datagram_socket() as probe:
            return self._reaches(path, probe.connect)

    def close(self) -> None:
        self._socket.close()

    @staticmethod
    def _each(folder: Path, reach: Callable[[Path], bool]) -> int:
        alive = 0
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            return 0
        for name in names:
            if reach(folder / name):
                alive += 1
            else:
                (folder / name).unlink(missing_ok=True)
        return alive

    @staticmethod
    def _reaches(path: Path, reach: Callable[[str], object]) -> bool:
        try:
            with _address(path) as address:
                reach(address)
        except (BlockingIOError, InterruptedError):
            return True  # its queue is full of rings already
        except OSError:
            return False
        return True


def _datagram_socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """An address short enough for the kernel: a long folder is reached through an open descriptor."""
    text = str(path)
    if len(os.fsencode(text)) <= _LONGEST:
        yield text
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
