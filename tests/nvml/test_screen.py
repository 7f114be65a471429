"""The real screen over the real engine and sensor, on GPUs whose driver stops answering."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from jobs.machine import latest_sample
from tests.nvml.stand_in import Gpu, StandIn

# Reads one JSON list of keys a line, presses them, and answers with what the screen shows then.
SCREEN = """
import asyncio, json, sys
from cro_tui.app import CroApp
from jobs.client import Client
from jobs.installation.home import Home\nfrom jobs.installation.settings import Settings

async def main():
    home = Home.find()
    settings = Settings.load(home.settings_file)
    client = Client(home, settings)
    app = CroApp(client, settings)
    loop = asyncio.get_running_loop()
    async with app.run_test(size=(120, 40)) as pilot:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            await pilot.press(*json.loads(line))
            await pilot.pause()
            strips = app.screen._compositor.render_strips()
            print(json.dumps(["".join(part.text for part in strip) for strip in strips]), flush=True)
    client.scheduler.stop()
    client.close()

asyncio.run(main())
"""


class Screen:
    def __init__(self, environ: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCREEN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environ, "TEXTUAL_ANIMATIONS": "none"},
        )

    def press(self, *keys: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(keys) + "\n")
        self.process.stdin.flush()
        return "\n".join(json.loads(self.process.stdout.readline()))

    def shows(self, words: str) -> None:
        deadline = time.monotonic() + 120
        while words not in (shown := self.press()):
            assert time.monotonic() < deadline, f"waited for {words!r}; the screen was:\n{shown}"
            time.sleep(0.05)


def until_the_scheduler_knows_them(home: Path) -> None:
    """Until then the screen measures by itself, and one that has never seen a GPU misses none."""
    deadline = time.monotonic() + 120
    while (found := latest_sample.read(home / "run" / "vitals.json")) is None or len(
        found.capacity.devices
    ) < 2:
        assert time.monotonic() < deadline, "the scheduler to have read the GPUs"
        time.sleep(0.05)


def test_keys_are_answered_while_the_driver_hangs_and_it_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "nvml"
    folder.mkdir()
    gpus = StandIn(folder)
    gpus.set(Gpu(24_000, 9000, 42, processes=[(os.getpid(), 8000)]), Gpu(24_000, 0, 43), delay_ms=5)
    screen = Screen({**gpus.environ, "CRO_HOME": str(tmp_path / "home")})
    try:
        for words in ("42%", "43%", "8.8G/23.4G"):
            screen.shows(words)
        screen.press("4")
        screen.shows("7.8G")  # of this very process
        until_the_scheduler_knows_them(tmp_path / "home")
        gpus.set(Gpu(24_000), Gpu(24_000), delay_ms=120_000)
        for key, words in (
            ("1", "No jobs."),
            ("4", "Free for jobs"),
            ("2", "Random forest"),
            ("1", "2 GPUs"),
        ):
            screen.press(key)
            screen.shows(words)
        screen.shows("GPU 0 cannot be read: the NVIDIA driver does not answer")
        screen.press("4")
        screen.shows("Free for jobs")
    finally:
        assert screen.process.stdin is not None
        screen.process.stdin.close()
        assert screen.process.wait(60) == 0
        assert screen.process.stdout is not None
        screen.process.stdout.close()
