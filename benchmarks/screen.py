"""What the open dashboard costs, beside htop, in the same terminal size and the same minute.

`uv run python -m benchmarks.screen` (`--quick`: one round) opens both in tmux at 200x50, one reading a
second, lets them settle and prints the CPU each process used. The dashboard shows three running jobs and
ten waiting ones.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

import psutil

from benchmarks.measure import cpu_percent, machine, running_api, scratch, version, wait_for
from jobs.views import NeedsRequest, SubmitRequest


def tmux(*words: str, **environ: str) -> str:
    done = subprocess.run(
        ["tmux", "-L", "cro-bench", *words],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def open_in_tmux(name: str, command: str) -> int:
    """Start `command` in a 200x50 terminal; returns the pid of the program itself."""
    tmux("new-session", "-d", "-s", name, "-x", "200", "-y", "50", f"exec {command}")
    wait_for(lambda: tmux("capture-pane", "-p", "-t", name).strip() != "", f"{name} draws")
    return int(tmux("display-message", "-p", "-t", name, "#{pane_pid}"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round of 5 seconds")
    options = parser.parse_args()
    rounds, over_s = (1, 5.0) if options.quick else (options.rounds, options.seconds)
    with scratch() as folder, running_api(folder) as api:
        needs = NeedsRequest(cpus=0.5, mem_bytes=64 * 2**20)
        ids = api.submit([SubmitRequest(argv=("sleep", "3600"), name="sleeper", needs=needs)] * 13)
        environ = f"env CRO_HOME={api.home.data} TERM=xterm-256color"
        try:
            screen = open_in_tmux("cro", f"{environ} {sys.executable} -m cro_tui")
            htop = open_in_tmux("htop", "env TERM=xterm-256color htop -d 10")
            time.sleep(8)
            shown = tmux("capture-pane", "-p", "-t", "cro")
            if "sleeper" not in shown:
                raise RuntimeError(f"the dashboard does not show its jobs:\n{shown}")
            ours, theirs = [], []
            for _ in range(rounds):
                ours.append(cpu_percent(screen, over_s))
                theirs.append(cpu_percent(htop, over_s))
            memory = psutil.Process(screen).memory_info().rss / 2**20
            started = psutil.Process(screen).cpu_times()
        finally:
            api.cancel(ids)
            tmux("kill-server")
    mine, peer = statistics.median(ours), statistics.median(theirs)
    print(f"{machine()}; {version('htop', '--version')}; {len(psutil.pids())} processes\n")
    print("| 200x50, one reading a second | CPU, % of one core | ratio |\n| --- | ---: | ---: |")
    print(f"| htop -d 10 | {peer:.2f} | 1.00 |")
    print(f"| cro-tui, 3 running, 10 waiting | {mine:.2f} | {mine / peer:.2f} |")
    print(f"\nmemory {memory:.0f} MiB, CPU since start {started.user + started.system:.2f} s")


if __name__ == "__main__":
    main()
