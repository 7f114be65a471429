"""A warm start is a faithful `python script.py`: the same scripts cold and warm, compared."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from jobs.boxed import bundle
from jobs.executors.environment import grant_environment
from jobs.executors.local import LocalExecutor
from jobs.model import Grant, JobId, Needs
from jobs.ports import Launch, Phase
from jobs.world import WarmPlan
from tests.warm.scripts import SCRIPTS

AT_ONCE = 2
BESIDE = ("bundle", "jobs", "tree", "supervisor", "shelf", "recipes")


class Ran(NamedTuple):
    exit_code: int | None
    signal: int | None
    output: str
    left: str | None
    warm: bool
    why_cold: str


class Bench:
    """Runs scripts by the real executor, cold and warm, each twice in folders of the same shape."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = folder / "environment.json"
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        bundle.write_json(str(self.environment), {**environ, "CAPTURED": "at submit"})
        self.executor = LocalExecutor(folder / "jobs")
        self.executor.keep_warm(
            WarmPlan(frozenset({"sklearn"})), {"sklearn": (sys.executable, str(self.environment))}
        )
        self._next = 0
        self._places = asyncio.Semaphore(AT_ONCE)

    async def run(self, text: str, stack: str | None, *, files: dict[str, str] | None = None) -> Ran:
        async with self._places:
            self._next += 1
            here = self.folder / f"scripts-{self._next}"
            here.mkdir()
            for name, content in (files or {}).items():
                (here / name).write_text(content)
            (here / "recipe.py").write_text(text, encoding="latin-1" if "latin-1" in text else "utf-8")
            launch = Launch(
                name=f"cro-warm-{self._next}-1",
                job_id=JobId(self._next),
                attempt=1,
                argv=(sys.executable, str(here / "recipe.py"), "--flag", "a b"),
                cwd=str(self.folder),
                environment_path=str(self.environment),
                extra_env=grant_environment(Needs(cpus=2), Grant()),
                mem_limit_bytes=None,
                time_limit_s=120,
                grace_s=1,
                stack=stack,
            )
            await self.executor.submit(launch)
            status = (await self.executor.poll([launch.name]))[launch.name]
            while status.phase is not Phase.ENDED:
                await asyncio.sleep(0.005)
                status = (await self.executor.poll([launch.name]))[launch.name]
            assert status.exit is not None
            job = self.executor.folder(launch.name)
            started = bundle.read_json(str(job / bundle.PID)) or {}
            left = job / "output" / "left"
            output = (job / "output.log").read_text("utf-8", "backslashreplace")
            return Ran(
                status.exit.exit_code,
                status.exit.signal,
                _normal(output, here),
                left.read_text() if left.exists() else None,
                started["warm"],
                started["why_cold"],
            )


def _normal(output: str, here: Path) -> str:
    """Without what differs between any two runs: folders, numbers of processes, addresses."""
    output = output.replace(str(here), "HERE")
    output = re.sub(r"0x[0-9a-f]{6,}", "0xADDRESS", output)
    return re.sub(r"ForkPoolWorker-\d+|pid=\d+|tmp\w{8}", "X", output)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Ran, Ran]]:
    """What each script did, cold and warm."""
    folder = tmp_path_factory.mktemp("warm")

    async def both(bench: Bench, text: str) -> tuple[Ran, Ran]:
        files = {f"{name}.py": f"x = {name!r}\n" for name in BESIDE} if "import bundle" in text else {}
        return await bench.run(text, None, files=files), await bench.run(text, "sklearn", files=files)

    async def everything() -> dict[str, tuple[Ran, Ran]]:
        bench = Bench(folder)
        try:
            found = await asyncio.gather(*(both(bench, text) for text in SCRIPTS.values()))
            return dict(zip(SCRIPTS, found, strict=True))
        finally:
            await bench.executor.close()

    return asyncio.run(everything())


@pytest.mark.parametrize("name", SCRIPTS)
def test_cold_and_warm_are_the_same(ran: dict[str, tuple[Ran, Ran]], name: str) -> None:
    cold, warm = ran[name]
    assert not cold.warm
    assert warm.warm, warm.why_cold
    assert warm.output == cold.output
    assert warm[:4] == cold[:4]
