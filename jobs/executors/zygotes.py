"""The warm processes of this machine, one for each stack and interpreter, started and stopped as told.

Performs what `policy.warm` plans. Whatever is wrong with a warm process has one consequence only: the job
is started cold, with the reason. Needs a running event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jobs.core.ports import Launch
from jobs.core.world import WarmKey, WarmPlan, WarmProcess
from jobs.executors.child_process import ChildProcess
from jobs.runtime import job_folder, start_variables

log = logging.getLogger(__name__)
START_WITHIN_S = 90.0
UNFIT_FOR_S = 300.0
PASSED_ON = ("PATH", "TZ", "TMPDIR", "USER", "LOGNAME")
PRELOADED: Mapping[str, tuple[str, ...]] = {
    "sklearn": (
        *("numpy", "scipy", "joblib", "threadpoolctl", "pandas", "sklearn", "sklearn.base"),
        *("sklearn.datasets", "sklearn.preprocessing", "sklearn.pipeline", "sklearn.compose"),
        *("sklearn.model_selection", "sklearn.metrics", "sklearn.linear_model", "sklearn.ensemble"),
    ),
    "tensorflow": (
        *("numpy", "joblib", "threadpoolctl", "pandas", "sklearn", "sklearn.datasets"),
        *("sklearn.model_selection", "tensorflow"),
    ),
}


class Zygotes:
    """Warm processes by stack. `on_end` is called with a job folder once its `exit.json` is there."""

    def __init__(
        self, on_end: Callable[[str], None], runtime: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self._on_end = on_end
        self._program = str(runtime / "zygote.py")
        self._clock = clock
        self._all: dict[WarmKey, ZygoteHandle] = {}
        self._unfit: dict[WarmKey, tuple[float, str]] = {}  # until when, and why
        self._without: Mapping[WarmKey, str] = {}
        self._cpu_of_gone_s = 0.0

    def kept(self) -> tuple[WarmProcess, ...]:
        """What there is now."""
        for stack, each in list(self._all.items()):
            if each.process.lost:
                self._ended(stack, each)
        return tuple(
            WarmProcess(stack, each.mem_bytes, each.used_at) for stack, each in sorted(self._all.items())
        )

    def keep(self, plan: WarmPlan, by: Mapping[WarmKey, tuple[Sequence[str], str]]) -> None:
        """Start and stop what the plan says; `by` has a job's argv and environment's path by stack."""
        self._without = plan.without
        for stack in plan.stop:
            self._drop(stack)
        for stack in plan.start:
            unfit = self._unfit.get(stack)
            if stack not in self._all and stack in by and (unfit is None or self._clock() >= unfit[0]):
                self._start(stack, *by[stack])

    async def fork(self, launch: Launch, folder: str) -> tuple[int, int | None] | str:
        """Pid and start time of a supervisor that starts the job warm, or why it has to start cold."""
        assert launch.framework is not None
        stack = WarmKey(launch.framework, launch.argv[0])
        zygote = self._all.get(stack)
        if zygote is None:
            unfit = self._unfit.get(stack)
            return unfit[1] if unfit is not None else self._without.get(stack, "no warm process is kept")
        zygote.used_at = self._clock()
        try:
            greeting = await asyncio.wait_for(zygote.process.greeting(), START_WITHIN_S)
            if "unfit" in greeting:
                return self._give_up(stack, zygote, str(greeting["unfit"]))
            answer = await zygote.process.ask(folder)
        except TimeoutError:
            return self._give_up(stack, zygote, "the warm process did not start in time")
        except OSError:
            return self._ended(stack, zygote)
        zygote.used_at = self._clock()
        if "pid" in answer:
            return answer["pid"], answer["start_ticks"]
        if answer.get("retire"):
            self._drop(stack, zygote)
        return str(answer.get("cold") or answer.get("error"))

    def cpu_s(self) -> float:
        """CPU seconds of all warm processes so far; ever growing."""
        return self._cpu_of_gone_s + sum(each.process.cpu_s() for each in self._all.values())

    def close(self) -> None:
        for stack in list(self._all):
            self._drop(stack)

    def _start(self, stack: WarmKey, argv: Sequence[str], environment_path: str) -> None:
        """Start it with the variables that the first job's script will have."""
        captured: dict[str, str] = job_folder.read_json(environment_path) or {}
        with contextlib.suppress(OSError, IndexError):
            found = start_variables.settings(Path(argv[1]).read_bytes())
            captured, _ = start_variables.with_settings(captured, found)
        environ = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environ |= start_variables.read_at_start(captured)
        environ |= {**start_variables.ONE_THREAD, "PYTHONUNBUFFERED": "1"}
        environ |= {"CUDA_VISIBLE_DEVICES": "", "ROCR_VISIBLE_DEVICES": ""}
        try:
            process = ChildProcess(
                [stack.python, self._program],
                environ,
                self._on_end,
                arguments=(stack.framework, *PRELOADED[stack.framework]),
                greets=True,
            )
        except OSError as error:
            self._unfit[stack] = self._clock() + UNFIT_FOR_S, f"no warm process: {error.strerror}"
            return
        log.info("warm process %d for %s starts", process.pid, stack.framework)
        self._unfit.pop(stack, None)
        self._all[stack] = ZygoteHandle(process, self._clock())

    def _ended(self, stack: WarmKey, zygote: ZygoteHandle) -> str:
        """One that has served may have been killed and is replaced; one that never did may be broken."""
        why = "the warm process ended"
        if zygote.mem_bytes is None and self._all.get(stack) is zygote:
            return self._give_up(stack, zygote, why)
        self._drop(stack, zygote)
        return why

    def _give_up(self, stack: WarmKey, zygote: ZygoteHandle, why: str) -> str:
        """Not again for a while: what failed once at its start mostly fails twice."""
        self._drop(stack, zygote)
        self._unfit[stack] = self._clock() + UNFIT_FOR_S, why
        return why

    def _drop(self, stack: WarmKey, zygote: ZygoteHandle | None = None) -> None:
        """Let it go, unless it is another one by now; its jobs go on."""
        known = self._all.get(stack)
        if known is None or (zygote is not None and known is not zygote):
            return
        del self._all[stack]
        known.process.close(0.0)
        self._cpu_of_gone_s += known.process.cpu_s()
        log.info("warm process %d for %s is gone", known.process.pid, stack.framework)


class ZygoteHandle:
    """One warm process."""

    def __init__(self, process: ChildProcess, used_at: float) -> None:
        self.process = process
        self.used_at = used_at

    @property
    def mem_bytes(self) -> int | None:
        """What it holds, None while it starts."""
        greeting = self.process.greeting_now()
        return None if greeting is None else greeting.get("mem_bytes", 0)
