"""Has a process of its own show MLflow what has ended, where the settings say so.

The scheduler starts it and hands prepared runs to recipes; it never waits for it in its loop, and nothing
depends on it but a recipe's start on a store that is being made.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from time import monotonic

from jobs.mirroring import prepared
from jobs.mirroring.model import PROGRAM
from jobs.model import Job
from jobs.settings import Home

log = logging.getLogger(__name__)
START_EVERY_S = 5.0
READY_WAIT_S = 60.0
LOOK_EVERY_S = 0.1
LOG = "mirror.log"


class Mirrors:
    def __init__(self, home: Home, *, on: bool) -> None:
        self._home = home
        self._on = on and _installed()
        self._process: subprocess.Popen[bytes] | None = None
        self._due = self._on
        self._next_at = 0.0

    def mind(self, *, ended: bool) -> None:
        """To be called on each turn of the loop; `ended`: a job has ended since the last one."""
        self._due |= ended and self._on
        if not self._due or (self._process is not None and self._process.poll() is None):
            return
        if monotonic() >= self._next_at:
            self._next_at = monotonic() + START_EVERY_S
            self._due = False
            try:
                self._process = self._start()
            except OSError as error:
                log.warning("the mirror to MLflow could not be started: %s", error)

    async def variables(self, job: Job) -> dict[str, str]:
        """What a recipe finds of MLflow in its environment; waits for the store, and for a run in it."""
        if not self._on or job.spec.recipe is None:
            return {}
        give_up_at = monotonic() + READY_WAIT_S
        found: dict[str, str] = {}
        while "MLFLOW_RUN_ID" not in found:
            if prepared.is_ready(self._home.mlflow):
                found = prepared.variables(self._home.mlflow, job.id)
            if found.get("MLFLOW_RUN_ID") or monotonic() > give_up_at:
                break
            self._due = True
            await asyncio.sleep(LOOK_EVERY_S)
        return found

    def _start(self) -> subprocess.Popen[bytes]:
        self._home.mlflow.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self._home.mlflow / LOG, "ab") as told:
            return subprocess.Popen(
                [sys.executable, *PROGRAM, str(self._home.data)],
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=told,
                cwd=self._home.data,
                start_new_session=True,
            )


def _installed() -> bool:
    from importlib.util import find_spec

    if find_spec("mlflow") is not None:
        return True
    log.warning("MLflow is not installed, so nothing is told to it: install cro-tui[mlflow]")
    return False
