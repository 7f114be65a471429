"""Has a process of its own show MLflow what has ended, where the settings say so.

The scheduler starts it and hands prepared runs to recipes; it never waits for it in its loop, and nothing
depends on it but a recipe's start on a store that is being made. While that process fails, recipes start
without a run, and are told why.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from pathlib import Path
from time import monotonic

from jobs.core.jobs import Job
from jobs.installation.home import Home
from jobs.kinds.mlflow_run import BUSY, INSTALL, MISSING, PROGRAM
from jobs.records import mlflow_prepared
from jobs.records.text import collapse

log = logging.getLogger(__name__)
START_EVERY_S = 5.0
AFTER_FAILURE_S = 60.0
READY_WAIT_S = 60.0
LOOK_EVERY_S = 0.1
LOG = "mirror.log"


class MlflowSync:
    def __init__(self, home: Home, *, on: bool) -> None:
        self._home = home
        self._wanted = on
        self._on = on and _installed()
        self._problem = "" if self._on else f"{MISSING} {INSTALL}"
        self._process: subprocess.Popen[bytes] | None = None
        self._due = self._on
        self._next_at = 0.0
        self._told_from = 0  # where in its log the present process began

    def tick(self, *, ended: bool) -> None:
        """To be called on each turn of the loop; `ended`: a job has ended since the last one."""
        self._due |= ended and self._on
        if self._at_work() or not self._due:
            return
        if monotonic() >= self._next_at:
            self._next_at = monotonic() + START_EVERY_S
            self._due = False
            try:
                self._process = self._start()
            except OSError as error:
                self._failed(str(error))

    async def variables(self, job: Job) -> tuple[dict[str, str], str]:
        """What a recipe finds of MLflow in its environment, or else why nothing.

        Waits for the store, and for a run in it, as long as they may come.
        """
        if not self._wanted or job.spec.recipe is None:
            return {}, ""
        give_up_at = monotonic() + READY_WAIT_S
        while True:
            found: dict[str, str] = {}
            if self._on and mlflow_prepared.is_ready(self._home.mlflow):
                found = mlflow_prepared.variables(self._home.mlflow, job.id)
            if "MLFLOW_RUN_ID" in found:
                return found, ""
            self._at_work()
            if self._problem:
                self._due = self._on
                return {}, f"without MLflow: {self._problem}"
            if monotonic() > give_up_at:
                return found, f"without a run of MLflow: none was made within {READY_WAIT_S:.0f} s"
            self._due = True
            await asyncio.sleep(LOOK_EVERY_S)

    def _at_work(self) -> bool:
        """Whether the process runs; if it has ended, how is remembered until the next one ends."""
        code = None if self._process is None else self._process.poll()
        if self._process is None or code is None:
            return self._process is not None
        self._process = None
        self._problem = ""
        if code not in (0, BUSY):
            told = _reason(self._home.mlflow / LOG, self._told_from) if code > 0 else ""
            how = f"with code {code}" if code > 0 else f"by signal {-code}"
            self._failed(told or f"the mirror ended {how}")
        return False

    def _failed(self, problem: str) -> None:
        self._problem = problem
        self._next_at = monotonic() + AFTER_FAILURE_S
        log.warning("the mirror to MLflow failed, and is tried again in a minute: %s", problem)

    def _start(self) -> subprocess.Popen[bytes]:
        self._home.mlflow.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self._home.mlflow / LOG, "ab") as told:
            self._told_from = told.tell()
            return subprocess.Popen(
                [sys.executable, *PROGRAM, str(self._home.data)],
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
                cwd=self._home.data,
                start_new_session=True,
            )


def _reason(path: Path, told_from: int) -> str:
    """The last line that was told, or of a traceback the one that names the error."""
    try:
        with path.open("rb") as file:
            file.seek(max(told_from, path.stat().st_size - 65_536))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    if raised := [place for place, line in enumerate(lines) if line.startswith("Traceback (")]:
        lines = [line for line in lines[raised[-1] + 1 :] if line.strip() and not line.startswith(" ")][:1]
    told = [text for line in lines if (text := collapse(line).strip())]
    return told[-1][:300] if told else ""


def _installed() -> bool:
    from importlib.util import find_spec

    if find_spec("mlflow") is not None:
        return True
    log.warning("%s %s", MISSING, INSTALL)
    return False
