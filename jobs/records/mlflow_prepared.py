"""Runs of MLflow that were made beforehand, a file each: a job takes one by renaming it.

So that a recipe that calls MLflow finds the run that is its own, and nobody who starts a job loads MLflow.
Standard library only.
"""

from __future__ import annotations

import os
from pathlib import Path

from jobs.runtime import atomic_write

EXPERIMENT = "cro-tui"
READY = "ready"  # there once the database can be used and runs can be taken
DATABASE = "mlflow.db"
_BUSY_S = 60  # that a writer waits for another; SQLite's five seconds are soon over when many recipes write


def address(folder: Path) -> str:
    """The store for people who look at it."""
    return f"sqlite:///{folder / DATABASE}"


def uri(folder: Path) -> str:
    """The tracking and registry URI of who writes."""
    return f"{address(folder)}?timeout={_BUSY_S}"


def is_ready(folder: Path) -> bool:
    return (folder / READY).exists()


def variables(folder: Path, job_id: int) -> dict[str, str]:
    """What lets MLflow's own calls land in the run of this job; without a run if none is prepared."""
    environ = {
        "MLFLOW_TRACKING_URI": uri(folder),
        "MLFLOW_EXPERIMENT_NAME": EXPERIMENT,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    run_id = given(folder, job_id) or _take(folder, job_id)
    return environ | ({"MLFLOW_RUN_ID": run_id} if run_id else {})


def given(folder: Path, job_id: int) -> str:
    """The run that this job has taken, for all its attempts; empty if none."""
    try:
        return (folder / "given" / str(job_id)).read_text()
    except OSError:
        return ""


def add(folder: Path, run_id: str) -> None:
    """Let the run be taken. Raises OSError."""
    atomic_write.replace(folder / "free" / run_id, run_id)


def left(folder: Path) -> int:
    """How many can still be taken."""
    return sum(not name.startswith(".") for name in _free(folder))


def _take(folder: Path, job_id: int) -> str:
    for name in _free(folder):
        if name.startswith("."):
            continue
        try:
            (folder / "free" / name).rename(folder / "given" / str(job_id))
        except OSError:
            continue
        return given(folder, job_id)
    return ""


def _free(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder / "free"))
    except OSError:
        return []
