"""Draw the pictures of the documentation: the real app, a real daemon, real jobs.

`uv run python docs/picture.py` writes docs/dashboard-120x40.svg and docs/dashboard-80x24.svg.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from pathlib import Path

from textual.pilot import Pilot

from cro_tui.app import CroApp
from jobs.client import Client
from jobs.core.jobs import Dependency, DependencyKind, StateName
from jobs.core.requests import JobQuery, NeedsRequest, SubmitRequest
from jobs.installation.home import Home
from jobs.installation.settings import Settings

GIB = 2**30
HERE = Path(__file__).resolve().parent


def recipe(name: str, mem_bytes: int | None = None, cpus: float = 1, **params: int | str) -> SubmitRequest:
    return SubmitRequest(
        recipe=name, params=dict(params), needs=NeedsRequest(cpus=cpus, mem_bytes=mem_bytes)
    )


def queue_a_day(client: Client) -> None:
    """A morning's work: some done, one failed, two running, the rest waiting for a reason."""
    client.jobs.wait(
        client.jobs.submit([recipe("sklearn_linear"), recipe("sklearn_forest", n_estimators=120)]),
        timeout_s=120,
    )
    broken = SubmitRequest(
        argv=("python", "-c", "raise SystemExit('no such column: grade')"), name="report.py"
    )
    client.jobs.wait(client.jobs.submit([broken]), timeout_s=60)
    running = client.jobs.submit(
        [recipe("tf_deep", epochs=1200, patience=1000), recipe("tf_linear", epochs=3000)]
    )
    after = (Dependency(running[0], DependencyKind.OK),)
    evaluate = SubmitRequest(argv=("python", "compare.py"), name="compare.py", after=after)
    held = SubmitRequest(argv=("python", "train.py", "--lr", "0.1"), name="train.py", start_held=True)
    client.jobs.submit(
        [recipe("sklearn_forest", n_estimators=800), recipe("sklearn_linear"), evaluate, held]
    )


async def draw(client: Client, settings: Settings) -> None:
    app = CroApp(client, settings)
    async with app.run_test(size=(120, 40)) as pilot:
        await settle(pilot, 60)
        save(app, "120x40")
        await pilot.press("down", "down")
        await pilot.resize_terminal(80, 24)
        await settle(pilot, 2)
        save(app, "80x24")


async def settle(pilot: Pilot[str], seconds: int) -> None:
    for _ in range(seconds):
        await asyncio.sleep(1)
        await pilot.pause()


def save(app: CroApp, size: str) -> None:
    svg = app.export_screenshot(title="cro-tui")
    without_web_fonts = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    (HERE / f"dashboard-{size}.svg").write_text(without_web_fonts.replace("Fira Code", "monospace"))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="cro-picture-") as folder:
        home = Home.find({**os.environ, "CRO_HOME": folder})
        settings = Settings()
        with Client(home, settings) as client:
            client.scheduler.start()
            try:
                queue_a_day(client)
                asyncio.run(draw(client, settings))
            finally:
                waiting = {StateName.QUEUED, StateName.HELD, StateName.RUNNING, StateName.STARTING}
                left = [job.id for job in client.jobs.list(JobQuery(states=frozenset(waiting)))]
                client.jobs.cancel(left)
                client.jobs.wait(left, timeout_s=30)
                client.scheduler.stop()


if __name__ == "__main__":
    main()
