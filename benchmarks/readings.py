"""What one reading of the machine costs: without a GPU, with two of NVIDIA, with two of AMD.

`uv run python -m benchmarks.readings`. CPU milliseconds of the process, all threads. The cards are
simulated: NVIDIA's by the tests' stand-in for the driver library, AMD's by the kernel's files in a folder.
A real driver takes its own time besides.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import machine
from jobs.machine.amd import Amd
from jobs.machine.drm_clients import DrmClients
from jobs.machine.gpus import Gpus
from jobs.machine.sensor import MachineSensor
from tests.amd.kernel import Kernel
from tests.nvml.stand_in import Gpu, StandIn

ROUNDS, READINGS = 5, 400


def cost_ms(sensor: MachineSensor) -> float:
    """The median over the rounds, of one reading."""
    sensor.capacity()
    found = []
    for _ in range(ROUNDS):
        before = time.process_time()
        for _ in range(READINGS):
            sensor.read(time.time(), {}, {}, 0.0)
        found.append((time.process_time() - before) / READINGS * 1000)
    sensor.close()
    return statistics.median(found)


def nvidia_ms(folder: Path) -> float:
    """In a process of its own, whose loader finds the stand-in."""
    stand_in = StandIn(folder)
    stand_in.set(Gpu(used_mib=9000, utilisation=50, processes=[(1, 1000)]), Gpu())
    words = [sys.executable, "-m", "benchmarks.readings", "--one"]
    done = subprocess.run(
        words, env={**os.environ, **stand_in.environ}, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def amd_ms(folder: Path) -> float:
    kernel = Kernel(folder)
    kernel.card(3, node=1)
    kernel.card(9, node=2, number=1)
    kernel.computes(1, 3, 1000)
    return cost_ms(MachineSensor(Gpus([Amd(kernel.paths)])))


def look_ms() -> float:
    """Looking through the descriptors of every process of this machine, once in ten seconds."""
    clients = DrmClients(Path("/proc"), Path("/sys"))
    found = []
    for number in range(20):
        before = time.process_time()
        clients.held(100.0 * number, {})
        found.append((time.process_time() - before) * 1000)
    return statistics.median(found)


def main() -> None:
    if "--one" in sys.argv:
        print(cost_ms(MachineSensor()))
        return
    with tempfile.TemporaryDirectory() as folder:
        nvidia, amd = Path(folder, "nvidia"), Path(folder, "amd")
        for each in (nvidia, amd):
            each.mkdir()
        none, two, files = cost_ms(MachineSensor(Gpus([]))), nvidia_ms(nvidia), amd_ms(amd)
    print(f"{machine()}\n\n| | CPU ms a reading | ratio |\n| --- | ---: | ---: |")
    for name, cost in (("no GPU", none), ("two of NVIDIA", two), ("two of AMD", files)):
        print(f"| {name} | {cost:.2f} | {cost / none:.2f} |")
    processes = sum(name.isdigit() for name in os.listdir("/proc"))
    print(f"\nlooking through the descriptors of {processes} processes: {look_ms():.1f} ms")


if __name__ == "__main__":
    main()
