"""A real executor on a folder of its own, and words for starting and awaiting attempts."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from jobs.core.ports import Exit, Launch, Phase, Status
from jobs.executors.local import LocalExecutor
from jobs.runtime import procfs

PREFIX = f"cro-test{os.getpid()}"  # another test process must not end what is ours


class Bench:
    """Starts attempts in one state folder; a second executor on it plays the restarted daemon."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = folder / "environment.json"
        self.environment.write_text(json.dumps({**os.environ, "CAPTURED": "at submit"}))
        self.executor = LocalExecutor(folder / "jobs")

    @property
    def launcher(self) -> int:
        pid = self.executor._forker.pid
        assert pid is not None
        return pid

    def launch(
        self,
        job_id: int,
        *argv: str,
        cwd: str | None = None,
        mem_limit_bytes: int | None = None,
        time_limit_s: float | None = None,
        grace_s: float = 5.0,
        extra_env: Mapping[str, str] | None = None,
    ) -> Launch:
        return Launch(
            name=f"{PREFIX}-{job_id}-1",
            job_id=job_id,  # type: ignore[arg-type]
            attempt=1,
            argv=argv,
            cwd=cwd or str(self.folder),
            environment_path=str(self.environment),
            extra_env={"GRANTED": "at start", **(extra_env or {})},
            mem_limit_bytes=mem_limit_bytes,
            time_limit_s=time_limit_s,
            grace_s=grace_s,
        )

    async def start(self, launch: Launch) -> str:
        await self.executor.submit(launch)
        return launch.name

    async def status(self, name: str) -> Status:
        return (await self.executor.poll([name]))[name]

    async def until(self, name: str, *phases: Phase, timeout_s: float = 60.0) -> Status:
        deadline = time.monotonic() + timeout_s
        while (status := await self.status(name)).phase not in phases:
            assert time.monotonic() < deadline, f"{name} is {status}"
            await asyncio.sleep(0.01)
        return status

    async def end(self, name: str, timeout_s: float = 60.0) -> Exit:
        status = await self.until(name, Phase.ENDED, timeout_s=timeout_s)
        assert status.exit is not None
        return status.exit

    async def run(self, launch: Launch) -> Exit:
        return await self.end(await self.start(launch))

    def log(self, name: str) -> str:
        path = self.executor.folder(name) / "output.log"
        return path.read_text() if path.exists() else ""

    async def until_true(self, true: Callable[[], bool], timeout_s: float = 60.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not true():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)

    async def logged(self, name: str, text: str, times: int = 1) -> None:
        deadline = time.monotonic() + 60
        while self.log(name).count(text) < times:
            assert time.monotonic() < deadline, f"waited for {text!r}, found {self.log(name)!r}"
            await asyncio.sleep(0.01)

    def left_running(self, name: str) -> list[int]:
        """Processes that carry this attempt in their environment."""
        mark = f"CRO_OUTPUT_DIR={self.executor.folder(name) / 'output'}".encode()
        return [pid for pid in procfs.all_pids() if mark in procfs.environment(pid)]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    for folder in (tmp_path / "jobs").glob("*/*/*"):
        name = f"{PREFIX}-{folder.parent.name}-{folder.name}"
        await bench.executor.cancel(name, 0)
        await bench.until(name, Phase.ENDED, Phase.MISSING, Phase.ORPHANED)
        await bench.executor.sweep(name)
        assert bench.left_running(name) == []
    await bench.executor.close()
