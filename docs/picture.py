"""Draw the pictures of the documentation: the real app, a real daemon, real jobs.

`uv run python docs/picture.py` writes docs/dashboard-120x40.svg and docs/dashboard-80x24.svg.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from pathlib import Path

from cro_tui.app import CroApp
from jobs.api import Api
from jobs.model import StateName
from jobs.settings import Home, Settings
from jobs.views import JobQuery, NeedsRequest, SubmitRequest

GIB = 2**30
HERE = Path(__file__).resolve().parent


def recipe(name: str, mem_bytes: int | None = None, cpus: float = 1, **params: int | str) -> SubmitRequest:
    return SubmitRequest(
        recipe=name, params=dict(params), needs=NeedsRequest(cpus=cpus, mem_bytes=mem_bytes)
    )


def queue_a_day(api: Api) -> None:
    """A morning's work: some done, one failed, two running, the rest waiting for a reason."""
    done = api.submit([recipe("sklearn_linear"), recipe("sklearn_forest", n_estimators=120)])
    api.wait(done, timeout_s=120)
    running = api.submit(
        [recipe("tf_deep", epochs=60, patience=60), recipe("sklearn_forest", n_estimators=4000)]
    )
    waiting = api.submit([recipe("sklearn_linear"), recipe("tf_linear")])
    held = api.submit(
        [SubmitRequest(argv=("python", "train.py", "--lr", "0.1"), name="train.py", hold=True)]
    )
    print(f"done {done}, running {running}, waiting {waiting}, held {held}")


async def draw(api: Api, settings: Settings, size: tuple[int, int]) -> None:
    app = CroApp(api, settings)
    async with app.run_test(size=size) as pilot:
        for _ in range(24):
            await asyncio.sleep(1)
            await pilot.pause()
        svg = app.export_screenshot(title="cro-tui")
    without_web_fonts = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    (HERE / f"dashboard-{size[0]}x{size[1]}.svg").write_text(without_web_fonts)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="cro-picture-") as folder:
        home = Home.find({**os.environ, "CRO_HOME": folder})
        settings = Settings()
        with Api(home, settings) as api:
            api.ensure_daemon()
            try:
                queue_a_day(api)
                for size in ((120, 40), (80, 24)):
                    asyncio.run(draw(api, settings, size))
            finally:
                waiting = {StateName.QUEUED, StateName.HELD, StateName.RUNNING, StateName.STARTING}
                left = [job.id for job in api.jobs(JobQuery(states=frozenset(waiting)))]
                api.cancel(left)
                api.wait(left, timeout_s=30)
                api.stop_daemon()


if __name__ == "__main__":
    main()
