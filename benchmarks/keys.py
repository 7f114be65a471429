"""How soon a key is painted while every call of the GPU driver takes half a second.

`uv run python -m benchmarks.keys` (`--gpus 16 --delay-ms 500`; needs gcc) opens the real app in a terminal
of 200x50, over the real scheduler and sensor, on GPUs that the tests' stand-in for the driver simulates. It
presses the key of another place and stops the clock when that one's name comes out of the terminal as the
place in front. The CPU of the app until then is told as well: that holds on a busy machine, too.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path

from benchmarks.measure import SPREAD, machine, running_client, scratch, spread
from benchmarks.screen import stand_in

_KEYS = (b"4", b"1", b"2", b"3")
_PATIENCE_S = 10.0


def cpu_s(pid: int) -> float:
    """What all threads of a process have used, in the scheduler's nanoseconds."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


class Terminal:
    """The app in a terminal of its own."""

    def __init__(self, home: Path) -> None:
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.environ.update(CRO_HOME=str(home), TERM="xterm-256color", TEXTUAL_ANIMATIONS="none")
            os.execv(sys.executable, [sys.executable, "-m", "cro_tui"])
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))

    def read(self, seconds: float, until: bytes = b"") -> bytes:
        """What it writes in that time, or until it has written some words."""
        ends, written = time.monotonic() + seconds, b""
        while (left := ends - time.monotonic()) > 0 and not (until and until in written):
            if select.select([self.descriptor], [], [], left)[0]:
                written += os.read(self.descriptor, 1 << 16)
        return written

    def press(self, key: bytes) -> tuple[float, float]:
        """Wall and CPU seconds from the key of a place to that place."""
        used, began = cpu_s(self.pid), time.perf_counter()
        os.write(self.descriptor, key)
        words = b"[" + key
        if words not in self.read(_PATIENCE_S, words):
            raise TimeoutError(f"{key.decode()} brought up nothing")
        return time.perf_counter() - began, cpu_s(self.pid) - used

    def close(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.descriptor)


def measure(home: Path, samples: int) -> list[tuple[float, float]]:
    terminal, found = Terminal(home), list[tuple[float, float]]()
    try:
        terminal.read(5)
        for number in range(samples + len(_KEYS)):
            taken = terminal.press(_KEYS[number % len(_KEYS)])
            if number >= len(_KEYS):  # a place is made when it is first shown
                found.append(taken)
            terminal.read(0.33)
    finally:
        terminal.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpus", type=int, default=16)
    parser.add_argument("--delay-ms", type=int, default=500)
    parser.add_argument("--samples", type=int, default=60)
    options = parser.parse_args()
    with scratch() as folder:
        os.environ.update(stand_in(options.gpus, folder, options.delay_ms).environ)
        with running_client(folder) as client:
            print(f"{machine()}; {options.gpus} simulated GPUs, {options.delay_ms} ms a call\n\n{SPREAD}")
            found = measure(client.home.data, options.samples)
            print(spread("a key to the place it goes to", [wall for wall, _ in found], "50"))
            print(spread("the app's CPU until then", [used for _, used in found]))


if __name__ == "__main__":
    main()
