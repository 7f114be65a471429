"""The real executor with warm processes, and what each script that it ran did."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

from jobs.core.jobs import Grant, JobId, Needs
from jobs.core.ports import Launch, Phase
from jobs.core.world import WarmKey, WarmPlan
from jobs.executors.granted_variables import grant_environment
from jobs.executors.local import LocalExecutor
from jobs.runtime import job_folder

AT_ONCE = 2


class Ran(NamedTuple):
    exit_code: int | None
    signal: int | None
    output: str
    left: str | None
    warm: bool
    why_cold: str


class Bench:
    """Runs scripts by the real executor, each in a folder of its own, two at a time."""

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        self.folder = folder
        self.python = python
        self.environment = folder / "environment.json"
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        job_folder.write_json(str(self.environment), {**environ, "CAPTURED": "at submit"})
        self.executor = LocalExecutor(folder / "jobs")
        self._next = 0
        self._places = asyncio.Semaphore(AT_ONCE)

    def warm(self, name: str, python: str = "") -> None:
        """Have a warm process started for the stack, by our own interpreter or another one."""
        stack = WarmKey(name, python or self.python)
        self.executor.keep_warm(
            WarmPlan(frozenset({stack})), {stack: ((stack.python,), str(self.environment))}
        )

    @property
    def zygote(self) -> int:
        """The pid of the only warm process."""
        (zygote,) = self.executor._zygotes._all.values()
        return zygote.process.pid

    async def run(
        self,
        text: str,
        stack: str | None,
        *,
        files: dict[str, str] | None = None,
        extra_env: dict[str, str] | None = None,
        raw: bool = False,
        python: str = "",
    ) -> Ran:
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
                argv=(python or self.python, str(here / "recipe.py"), "--flag", "a b"),
                cwd=str(self.folder),
                environment_path=str(self.environment),
                extra_env={**grant_environment(Needs(cpus=2), Grant()), **(extra_env or {})},
                mem_limit_bytes=None,
                time_limit_s=120,
                grace_s=1,
                framework=stack,
                low_priority=False,  # or a busy machine would starve it
            )
            await self.executor.submit(launch)
            status = (await self.executor.poll([launch.name]))[launch.name]
            while status.phase is not Phase.ENDED:
                await asyncio.sleep(0.005)
                status = (await self.executor.poll([launch.name]))[launch.name]
            assert status.exit is not None
            job = self.executor.folder(launch.name)
            started = job_folder.read_json(str(job / job_folder.PID)) or {}
            left = job / "output" / "left"
            output = (job / "output.log").read_text("utf-8", "backslashreplace")
            return Ran(
                status.exit.exit_code,
                status.exit.signal,
                output if raw else _normal(output, here),
                left.read_text() if left.exists() else None,
                started["warm"],
                started["why_cold"],
            )


def _normal(output: str, here: Path) -> str:
    """Without what differs between any two runs: folders, numbers of processes, addresses."""
    output = output.replace(str(here), "HERE")
    output = re.sub(r"0x[0-9a-f]{6,}", "0xADDRESS", output)
    return re.sub(r"ForkPoolWorker-\d+|pid=\d+|tmp\w{8}", "X", output)
