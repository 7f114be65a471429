"""What the open screen costs, beside the monitors people use, in the same terminal and the same minute.

`uv run python -m benchmarks.screen` (`--quick`: one round; `--extra 500`: so many more sleeping processes)
opens all of them in tmux at 200x50, one reading a second, lets them settle and prints the CPU each process
used, what it wrote to its terminal, and the CPU seconds until it drew (`--starts 11` of them, one after the
other). The dashboard shows three running jobs and ten waiting ones, the Processes place every process; one
more app has the Recipes place in front. An empty Textual app tells what of it is the library's.
btop, glances and nvitop are measured where they are on the PATH; `--gpus 2` simulates so many by the tests'
stand-in for the driver library (needs gcc).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.measure import cpu_percent, machine, running_client, scratch, version, wait_for
from jobs.core.requests import NeedsRequest, SubmitRequest
from tests.nvml.stand_in import Gpu, StandIn

PEERS = {
    "htop": "htop -d 10",
    "btop": "btop",
    "glances": "glances --time 1",
    "nvitop": "nvitop --interval 1",
}


def tmux(*words: str, **environ: str) -> str:
    done = subprocess.run(
        ["tmux", "-L", "cro-bench", *words],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@dataclass(frozen=True, slots=True)
class Opened:
    """A program in a terminal: its pid, CPU seconds to its first picture, and the file of all it writes."""

    pid: int
    first_s: float
    written: Path


def open_in_tmux(name: str, command: str, folder: Path) -> Opened:
    """Start `command` in a 200x50 terminal."""
    written = folder / f"{name}.out"
    tmux("new-session", "-d", "-s", name, "-x", "200", "-y", "50", f"exec {command}")
    tmux("pipe-pane", "-t", name, f"cat > {written}")
    wait_for(lambda: tmux("capture-pane", "-p", "-t", name).strip() != "", f"{name} draws")
    pid = int(tmux("display-message", "-p", "-t", name, "#{pane_pid}"))
    times = psutil.Process(pid).cpu_times()
    return Opened(pid, times.user + times.system, written)


def first_s(command: str, folder: Path, starts: int) -> float:
    """CPU seconds to the first picture: the median of so many starts."""
    taken = []
    for _ in range(starts):
        taken.append(open_in_tmux("first", command, folder).first_s)
        tmux("kill-session", "-t", "first")
    return statistics.median(taken)


def stand_in(count: int, folder: Path, delay_ms: int = 0) -> StandIn:
    """So many GPUs at work, for all that is started with its `environ`."""
    place = folder / "nvml"
    place.mkdir()
    made = StandIn(place)
    gpus = [Gpu(80_000, 20_000, 40 + 3 * each, 60, 300_000) for each in range(count)]
    made.set(*gpus, delay_ms=delay_ms)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--starts", type=int, default=11)
    parser.add_argument("--extra", type=int, default=0, help="more processes on the machine")
    parser.add_argument("--gpus", type=int, default=0, help="so many simulated GPUs")
    parser.add_argument("--quick", action="store_true", help="one round of 5 seconds")
    options = parser.parse_args()
    rounds, over_s = (1, 5.0) if options.quick else (options.rounds, options.seconds)
    peers = {
        name: f"env TERM=xterm-256color {command}"
        for name, command in PEERS.items()
        if shutil.which(command.split()[0])
    }
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        if options.gpus:
            os.environ.update(stand_in(options.gpus, folder).environ)
        client = stack.enter_context(running_client(folder))
        needs = NeedsRequest(cpus=0.5, mem_bytes=64 * 2**20)
        ids = client.jobs.submit([SubmitRequest(argv=("sleep", "3600"), name="sleeper", needs=needs)] * 13)
        environ = f"env CRO_HOME={client.home.data} TERM=xterm-256color"
        others = [subprocess.Popen(["sleep", "3600"]) for _ in range(options.extra)]
        opened: dict[str, Opened] = {}
        app = f"{environ} {sys.executable} -m cro_tui"
        beside = {"an empty Textual app": f"{environ} {sys.executable} -m benchmarks.empty", **peers}
        try:
            opened["cro-tui, dashboard"] = open_in_tmux("cro", app, folder)
            opened["cro-tui, Processes"] = open_in_tmux("cro4", app, folder)
            opened["cro-tui, another place in front"] = open_in_tmux("cro2", app, folder)
            for name, command in beside.items():
                opened[name] = open_in_tmux(name.replace(" ", "-"), command, folder)
            wait_for(lambda: "sleeper" in tmux("capture-pane", "-p", "-t", "cro4"), "the list of jobs", 30)
            tmux("send-keys", "-t", "cro4", "4")
            wait_for(lambda: "sleeper" in tmux("capture-pane", "-p", "-t", "cro2"), "the list of jobs", 30)
            tmux("send-keys", "-t", "cro2", "2")
            wait_for(lambda: "Free for jobs" in tmux("capture-pane", "-p", "-t", "cro4"), "processes", 30)
            time.sleep(8)
            used: dict[str, list[float]] = {name: [] for name in opened}
            wrote: dict[str, list[float]] = {name: [] for name in opened}
            for _ in range(rounds):
                for name, each in opened.items():
                    before = each.written.stat().st_size
                    used[name].append(cpu_percent(each.pid, over_s))
                    wrote[name].append((each.written.stat().st_size - before) / over_s / 1024)
            memory = {
                name: psutil.Process(each.pid).memory_info().rss / 2**20 for name, each in opened.items()
            }
            number = len(psutil.pids())
            firsts = {
                name: first_s(beside.get(name, app), folder, options.starts)
                for name in opened
                if name in beside or name == "cro-tui, dashboard"
            }
        finally:
            for other in others:
                other.kill()
                other.wait()
            client.jobs.cancel(ids)
            tmux("kill-server")
    peer = statistics.median(used["htop"])
    known = f"{number} processes, {options.gpus} simulated GPUs"
    print(f"{machine()}; {version('htop', '--version')}; {known}\n")
    print("| 200x50, one reading a second | CPU, % of one core | to htop | KiB/s | first, CPU s | MiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, shares in sorted(used.items(), key=lambda item: statistics.median(item[1])):
        mine, written = statistics.median(shares), statistics.median(wrote[name])
        first = f"{firsts[name]:.2f}" if name in firsts else ""
        row = f"{mine:.2f} | {mine / peer:.2f} | {written:.1f} | {first} | {memory[name]:.0f}"
        print(f"| {name} | {row} |")


if __name__ == "__main__":
    main()
