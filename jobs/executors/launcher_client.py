"""The launcher: started when it is needed, asked for supervisors, replaced when it is lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs.core.ports import StateUnavailable
from jobs.executors.child_process import ChildProcess

LOADER = ("LD_LIBRARY_PATH", "LD_PRELOAD")
PASSED_ON = ("LANG", "LC_ALL", "LC_CTYPE", *LOADER, "PATH", "TZ")  # the rest may hold secrets
NO_PROCESS = "No process could be made for the job."


class LauncherClient:
    """One launcher at a time. `on_end` is called with a job folder once its `exit.json` is there."""

    def __init__(self, python: str, on_end: Callable[[str], None], runtime: Path) -> None:
        self._python = python
        self._launcher_path = str(runtime / "launcher.py")
        self._on_end = on_end
        self._launcher: ChildProcess | None = None
        self._cpu_of_gone_s = 0.0
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The launcher's pid, None before the first request."""
        return None if self._launcher is None or self._launcher.lost else self._launcher.pid

    async def fork(self, folder: str) -> tuple[int, int | None]:
        """Have a supervisor forked for the folder: its pid and start time (None: it has ended already).

        Raises Unreachable when no process can be made.
        """
        try:
            answer = await self._ask(folder)
        except OSError:
            answer = await self._ask_again(folder)
        if "error" in answer:
            raise StateUnavailable(NO_PROCESS, str(answer["error"]))
        return answer["pid"], answer["start_ticks"]

    def cpu_s(self) -> float:
        """CPU seconds of all launchers so far, without their supervisors; ever growing."""
        return self._cpu_of_gone_s + (0.0 if self._launcher is None else self._launcher.cpu_s())

    def close(self) -> None:
        """Let the launcher go, and start no other."""
        self._closed = True
        if self._launcher is not None:
            self._launcher.close()

    async def _ask_again(self, folder: str) -> dict[str, Any]:
        """After the launcher was lost; if it did fork a supervisor, that one has claimed the folder."""
        try:
            return await self._ask(folder)
        except OSError as error:
            raise StateUnavailable(NO_PROCESS, str(error)) from error

    async def _ask(self, folder: str) -> dict[str, Any]:
        if self._closed:
            raise StateUnavailable(NO_PROCESS, "the scheduler is leaving")
        if self._launcher is None or self._launcher.lost:
            self._cpu_of_gone_s = self.cpu_s()
            environ = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
            try:
                command = [self._python, "-I", "-S", self._launcher_path]
                self._launcher = ChildProcess(command, environ, self._on_end)
            except OSError as error:
                raise StateUnavailable("The launcher of jobs cannot be started.", str(error)) from error
        return await self._launcher.ask(folder)
