"""How soon the screen shows that a job was queued, runs and has ended.

`uv run python -m benchmarks.repaint` (needs `cc`), `--quick` for a rough form. The real dashboard runs in a
terminal of its own beside a real scheduler; what it draws is read and stamped as it comes. A job's
beginning and end are moments of its own process on the same monotonic clock, so the scheduler's part is in
the figures.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import random
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

from benchmarks.latency import NEEDS, WARM_UP, stamp_program
from benchmarks.measure import SPREAD, cpu_percent, machine, running_client, scratch, spread, wait_for
from jobs.client import Client
from jobs.core.requests import SubmitRequest
from jobs.installation.home import Home

ROWS, COLUMNS = 40, 160
SETTINGS = """[admission]
foreign_cpu_tolerance = 1.0
memory_some_close = 100
memory_full_close = 100
cpu_some_close = 100
"""
RUNS_US = 400_000
FIRST_ROW = b"\x1b[H"  # the key Home: what runs stands on top, and a long list follows its cursor
CONTROL = re.compile(
    rb"\x1b(?:\[[0-9;:?<=>$ ]*[a-zA-Z@`~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|.)"
)
SECONDS = 10.0


class Terminal:
    """The dashboard in a pseudo-terminal, and all that it has drawn: when, and which text."""

    def __init__(self, home: Home) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        environ = {**os.environ, "CRO_HOME": str(home.data), "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cro_tui"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environ,
            start_new_session=True,
        )
        os.close(theirs)
        self._drawn: list[tuple[float, bytes]] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                drawn = os.read(self._ours, 1 << 16)
            except OSError:
                return  # the dashboard has left
            if not drawn:
                return
            with self._news:
                self._drawn.append((time.monotonic(), drawn))
                self._news.notify_all()

    def forget(self) -> None:
        """What was drawn so far is not looked at again."""
        with self._news:
            self._drawn.clear()

    def drawn_at(self, pattern: str) -> float:
        """When a text that matches was first drawn since `forget`; waits for it. Raises TimeoutError."""
        deadline, wanted = time.monotonic() + SECONDS, re.compile(pattern.encode())
        with self._news:
            while True:
                if wanted.search(_text(b"".join(drawn for _, drawn in self._drawn))):
                    break
                if not self._news.wait(deadline - time.monotonic()):
                    shown = _text(b"".join(drawn for _, drawn in self._drawn)).decode(errors="replace")
                    rows = "\n".join(re.findall(r".{0,20}row[0-9]{4}x.{0,60}", shown)[-8:])
                    raise TimeoutError(f"the dashboard did not draw {pattern!r}, but:\n{rows}")
            so_far = b""
            for at, drawn in self._drawn:
                so_far += drawn
                if wanted.search(_text(so_far)):
                    return at
        raise AssertionError("it was there")

    def press(self, key: bytes) -> None:
        os.write(self._ours, key)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(SECONDS)
        os.close(self._ours)


def _text(drawn: bytes) -> bytes:
    return CONTROL.sub(b"", drawn)


class Shown:
    """One job: seconds from its three events to the row that says so."""

    def __init__(
        self, client: Client, terminal: Terminal, program: str, moments: Path, number: int
    ) -> None:
        name = f"row{number:04}x"
        terminal.forget()
        words = (program, str(moments), str(RUNS_US))
        client.jobs.submit([SubmitRequest(argv=words, name=name, needs=NEEDS)])
        acknowledged = time.monotonic()
        queued = terminal.drawn_at(rf"(WAIT|START|RUN|DONE) +{name}")
        runs = terminal.drawn_at(rf"RUN +{name}")
        done = terminal.drawn_at(rf"DONE +{name}")
        began, ended = map(float, moments.read_text().split())
        self.queued_s, self.runs_s, self.done_s = queued - acknowledged, runs - began, done - ended


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int)
    parser.add_argument("--quick", action="store_true", help="20 samples")
    options = parser.parse_args()
    count = options.samples or (20 if options.quick else 200)
    print(f"{machine()}; the dashboard at {COLUMNS}x{ROWS}\n")
    with scratch() as folder, running_client(folder, SETTINGS) as client:
        program = stamp_program(folder)
        terminal = Terminal(client.home)
        try:
            terminal.drawn_at("No jobs")
            pause = random.Random(0)
            found = []
            for number in range(count + WARM_UP):
                found.append(Shown(client, terminal, program, folder / "moments", number))
                terminal.press(FIRST_ROW)
                time.sleep(pause.uniform(0.2, 0.6))
            wait_for(lambda: terminal.process.poll() is None, "the dashboard")
            cpu = cpu_percent(terminal.process.pid, 5.0)
        finally:
            terminal.close()
    found = found[WARM_UP:]
    print(SPREAD)
    print(spread("acknowledged submit to its row", [s.queued_s for s in found], "50"))
    print(spread("the process's first line to RUN in its row", [s.runs_s for s in found], "50"))
    print(spread("the process's last line to DONE in its row", [s.done_s for s in found], "50"))
    late = [s for s in found if max(s.runs_s, s.done_s) > 0.05]
    print(f"\nOver 50 ms in one of the last two: {len(late)} of {len(found)}. Afterwards {cpu:.2f} % CPU.")


if __name__ == "__main__":
    main()
