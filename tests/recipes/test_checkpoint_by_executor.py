"""The same promise where the queue runs a recipe: forked from a warm process, stopped by its supervisor."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from jobs.core.jobs import Grant, JobId, Needs
from jobs.core.ports import Exit, Launch, Phase
from jobs.core.world import WarmKey, WarmPlan
from jobs.executors.granted_variables import grant_environment
from jobs.executors.local import LocalExecutor
from jobs.records import checkpoints
from jobs.runtime import job_folder
from recipes.discover import library_folder

DEADLINE_S = 120
GRACE_S = 30.0
RUNS = {
    "sklearn_forest": ("sklearn", "trees 120/600", ("--n-estimators", "600", "--min-samples-leaf", "2")),
    "sklearn_linear": ("sklearn", "fold 3/12", ("--folds", "12", "--c", "10")),
    "tf_deep": ("tensorflow", "Epoch 3/12", ("--epochs", "12", "--patience", "3")),
}
STACKS = {stack: [name for name in RUNS if RUNS[name][0] == stack] for stack, _, _ in RUNS.values()}


class Queue:
    """Attempts of one job after the other, by the real executor."""

    def __init__(self, folder: Path) -> None:
        self.executor = LocalExecutor(folder / "jobs")
        self.environment = str(folder / "environment.json")
        # as if it were queued from within a job that was resumed
        job_folder.write_json(self.environment, {**os.environ, "CRO_RESUME": "/of/another/job"})
        self.folder = folder

    def warm(self, name: str, recipe: str) -> None:
        """Have a process started that imports the framework, as for this recipe."""
        stack = WarmKey(name, sys.executable)
        argv = (sys.executable, str(library_folder() / f"{recipe}.py"))
        self.executor.keep_warm(WarmPlan(frozenset({stack})), {stack: (argv, self.environment)})

    async def run(
        self, job: int, attempt: int, name: str, *flags: str, stop: bool = False
    ) -> tuple[Exit, Path]:
        """From start to end, or to the stop that comes once the log shows some work."""
        stack, shows, usual = RUNS.get(name, ("sklearn", "", flags))
        launch = Launch(
            name=f"cro-check-{job}-{attempt}",
            job_id=JobId(job),
            attempt=attempt,
            argv=(sys.executable, str(library_folder() / f"{name}.py"), *usual),
            cwd=str(self.folder),
            environment_path=self.environment,
            extra_env=grant_environment(Needs(cpus=2), Grant()),
            mem_limit_bytes=None,
            time_limit_s=DEADLINE_S,
            grace_s=1,
            framework=stack,
            low_priority=False,  # or a busy machine would starve it
        )
        launched = await self.executor.submit(launch)
        assert launched.native.isdigit() and launched.how.startswith("started warm"), launched
        folder = self.executor.folder(launch.name)
        end = time.monotonic() + DEADLINE_S
        while (status := (await self.executor.poll([launch.name]))[launch.name]).phase is not Phase.ENDED:
            assert time.monotonic() < end
            log = folder / job_folder.LOG
            if stop and log.exists() and shows in log.read_text():
                await self.executor.cancel(launch.name, GRACE_S)
                stop = False
            await asyncio.sleep(0.005)
        assert status.exit is not None and not stop
        return status.exit, folder


def metrics(folder: Path) -> Any:
    return json.loads((folder / "output" / "metrics.json").read_text())


@pytest.mark.parametrize("stack", ["sklearn", pytest.param("tensorflow", marks=pytest.mark.tensorflow)])
async def test_evicted_and_started_again(tmp_path: Path, stack: str) -> None:
    queue = Queue(tmp_path)
    queue.warm(stack, STACKS[stack][0])
    try:
        for number, name in enumerate(STACKS[stack]):
            (whole, at_once), (stopped, first) = await asyncio.gather(
                queue.run(2 * number + 1, 1, name), queue.run(2 * number + 2, 1, name, stop=True)
            )
            assert whole.exit_code == 0 and "resuming" not in (at_once / job_folder.LOG).read_text()
            assert stopped.exit_code == 75, (first / job_folder.LOG).read_text()
            assert checkpoints.saved_at(str(first)) is not None
            assert not (first / "output" / "metrics.json").exists()

            ended, second = await queue.run(2 * number + 2, 2, name)
            log = (second / job_folder.LOG).read_text()
            assert ended.exit_code == 0 and "resuming after " in log and "note:" not in log, log
            assert metrics(second) == metrics(at_once)
            assert checkpoints.saved_at(str(first)) is None, "a finished run leaves no checkpoint behind"
    finally:
        await queue.executor.close()


async def test_texts_are_learned_and_evaluated_warm(tmp_path: Path) -> None:
    queue = Queue(tmp_path)
    queue.warm("sklearn", "sklearn_text")
    try:
        ended, trained = await queue.run(1, 1, "sklearn_text", "--folds", "2")
        assert ended.exit_code == 0 and metrics(trained)["accuracy"] > 0.75
        model = str(trained / "output" / "model.joblib")
        ended, measured = await queue.run(
            2, 1, "sklearn_evaluate", "--model", model, "--data", "docstrings"
        )
        assert ended.exit_code == 0, (measured / job_folder.LOG).read_text()
        assert metrics(measured)["accuracy"] == metrics(trained)["accuracy"]
        told = (measured / job_folder.EVENTS).read_text()
        assert all(name in told for name in ("confusion.png", "roc.png", "importance.png", "roc.csv"))
        assert (measured / "output" / "importance.png").stat().st_size > 5_000
    finally:
        await queue.executor.close()


def test_what_is_still_being_written_is_no_checkpoint(tmp_path: Path) -> None:
    attempt = tmp_path / "0" / "7" / "1"
    attempt.mkdir(parents=True)
    kept = attempt.parent / "checkpoint"
    empty = {"CRO_CHECKPOINT_DIR": str(kept), "CRO_RESUME": ""}
    assert checkpoints.variables(str(attempt)) == empty
    kept.mkdir()
    (kept / "state.part").write_text("half")
    assert checkpoints.variables(str(attempt)) == empty
    (kept / "state.part").rename(kept / "state")
    assert checkpoints.variables(str(attempt)) == {**empty, "CRO_RESUME": str(kept)}
