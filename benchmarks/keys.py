"""How soon a key is painted while every call of the GPU driver takes half a second.

`uv run python -m benchmarks.keys` (`--gpus 16 --delay-ms 500`; needs gcc) runs the real app without a
terminal over the real scheduler and sensor, on GPUs that the tests' stand-in for the driver simulates. It
goes from place to place and stops the clock when the new one is drawn.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time

from benchmarks.measure import SPREAD, machine, running_api, scratch, spread
from benchmarks.screen import stand_in
from jobs.api import Api

_KEYS = (("4", "[4"), ("1", "[1"), ("2", "[2"), ("3", "[3"))


async def measure(api: Api, samples: int) -> list[float]:
    from cro_tui.app import CroApp

    app, found = CroApp(api, api.settings), list[float]()
    async with app.run_test(size=(200, 50)) as pilot:
        await pilot.pause(5)

        def shows(words: str) -> bool:
            first = app.screen._compositor.render_strips()[0]
            return words in "".join(part.text for part in first)

        for number in range(samples + 2 * len(_KEYS)):
            key, words = _KEYS[number % len(_KEYS)]
            began = time.perf_counter()
            await pilot.press(key)
            while not shows(words):  # noqa: ASYNC110
                await asyncio.sleep(0)
            if number >= 2 * len(_KEYS):  # a place is made when it is first shown
                found.append(time.perf_counter() - began)
            await pilot.pause(0.2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpus", type=int, default=16)
    parser.add_argument("--delay-ms", type=int, default=500)
    parser.add_argument("--samples", type=int, default=60)
    options = parser.parse_args()
    with scratch() as folder:
        if (
            "CRO_NVML_STUB" not in os.environ
        ):  # the loader looks for libraries where it was told at the start
            gpus = stand_in(options.gpus, folder, options.delay_ms)
            environ = {**os.environ, **gpus.environ, "TEXTUAL_ANIMATIONS": "none"}
            arguments = [sys.executable, "-m", "benchmarks.keys", *sys.argv[1:]]
            sys.exit(os.spawnve(os.P_WAIT, sys.executable, arguments, environ))
        with running_api(folder) as api:
            print(f"{machine()}; {options.gpus} simulated GPUs, {options.delay_ms} ms a call\n\n{SPREAD}")
            print(spread("a key to the place it goes to", asyncio.run(measure(api, options.samples)), "50"))


if __name__ == "__main__":
    main()
