"""What the open screen costs, beside the monitors people use, in the same terminal and the same minute.

`uv run python -m benchmarks.screen` (`--quick`: one round; `--extra 500`: so many more sleeping processes)
opens all of them in tmux at 200x50, one reading a second, lets them settle and prints the CPU each process
used. The dashboard shows three running jobs and ten waiting ones; the Processes place shows every process.
btop and glances are measured where they are on the PATH.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time

import psutil

from benchmarks.measure import cpu_percent, machine, running_api, scratch, version, wait_for
from jobs.views import NeedsRequest, SubmitRequest

PEERS = {
    "htop": "htop -d 10",
    "btop": "btop",
    "glances": "glances --time 1",
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


def open_in_tmux(name: str, command: str) -> int:
    """Start `command` in a 200x50 terminal; returns the pid of the program itself."""
    tmux("new-session", "-d", "-s", name, "-x", "200", "-y", "50", f"exec {command}")
    wait_for(lambda: tmux("capture-pane", "-p", "-t", name).strip() != "", f"{name} draws")
    return int(tmux("display-message", "-p", "-t", name, "#{pane_pid}"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--extra", type=int, default=0, help="more processes on the machine")
    parser.add_argument("--quick", action="store_true", help="one round of 5 seconds")
    options = parser.parse_args()
    rounds, over_s = (1, 5.0) if options.quick else (options.rounds, options.seconds)
    with scratch() as folder, running_api(folder) as api:
        needs = NeedsRequest(cpus=0.5, mem_bytes=64 * 2**20)
        ids = api.submit([SubmitRequest(argv=("sleep", "3600"), name="sleeper", needs=needs)] * 13)
        environ = f"env CRO_HOME={api.home.data} TERM=xterm-256color"
        others = [subprocess.Popen(["sleep", "3600"]) for _ in range(options.extra)]
        pids: dict[str, int] = {}
        try:
            pids["cro-tui, dashboard"] = open_in_tmux("cro", f"{environ} {sys.executable} -m cro_tui")
            pids["cro-tui, processes"] = open_in_tmux("cro4", f"{environ} {sys.executable} -m cro_tui")
            for name, command in PEERS.items():
                if shutil.which(command.split()[0]):
                    pids[name] = open_in_tmux(name, f"env TERM=xterm-256color {command}")
            wait_for(lambda: "sleeper" in tmux("capture-pane", "-p", "-t", "cro4"), "the list of jobs", 30)
            tmux("send-keys", "-t", "cro4", "4")
            wait_for(lambda: "Free for jobs" in tmux("capture-pane", "-p", "-t", "cro4"), "processes", 30)
            time.sleep(8)
            used: dict[str, list[float]] = {name: [] for name in pids}
            for _ in range(rounds):
                for name, pid in pids.items():
                    used[name].append(cpu_percent(pid, over_s))
            memory = {name: psutil.Process(pid).memory_info().rss / 2**20 for name, pid in pids.items()}
            number = len(psutil.pids())
        finally:
            for other in others:
                other.kill()
                other.wait()
            api.cancel(ids)
            tmux("kill-server")
    peer = statistics.median(used["htop"])
    print(f"{machine()}; {version('htop', '--version')}; {number} processes\n")
    print("| 200x50, one reading a second | CPU, % of one core | to htop | MiB |")
    print("| --- | ---: | ---: | ---: |")
    for name, each in sorted(used.items(), key=lambda item: statistics.median(item[1])):
        mine = statistics.median(each)
        print(f"| {name} | {mine:.2f} | {mine / peer:.2f} | {memory[name]:.0f} |")


if __name__ == "__main__":
    main()
