"""What MLflow is told of a finished job. Pure; MLflow's limits are kept here.

A metric comes with its steps as the run reported them, and as the run ended; MLflow takes the same value
again without doubling it, so telling twice does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from jobs.core.jobs import Cancelled, Ended, Job, Succeeded
from jobs.core.tracking import Curve, Provenance

PROGRAM = ("-P", "-m", "jobs.programs.mlflow_mirror")
BUSY = 3  # its exit code when another one runs
JOB_TAG = "cro.job"
MISSING = "MLflow is not installed here."
INSTALL = "Install cro-tui with its extra: cro-tui[mlflow]."
FINISHED, FAILED, KILLED = "FINISHED", "FAILED", "KILLED"
MOST_POINTS = 1000  # of each metric
_BAD = re.compile(r"[^\w\-. :/]", re.ASCII)
_KEY, _VALUE, _TAG = 250, 6000, 5000
_DIGEST = 36


@dataclass(frozen=True, slots=True)
class MlflowRun:
    """One run: metrics as (name, value, milliseconds since 1970, step), data files as (path, digest)."""

    name: str
    status: str
    started_ms: int
    finished_ms: int
    params: tuple[tuple[str, str], ...]
    metrics: tuple[tuple[str, float, int, int], ...]
    tags: tuple[tuple[str, str], ...]
    data: tuple[tuple[str, str], ...]
    packages: Mapping[str, str]


def is_exported(job: Job) -> bool:
    """Whether MLflow is to know of it: every run of a recipe, and whatever has metrics."""
    return isinstance(job.state, Ended) and bool(job.spec.recipe or job.metrics)


def mlflow_run(
    job: Job, curves: Mapping[str, Curve], provenance: Provenance | None, output: str
) -> MlflowRun:
    """What to tell of an ended job; `output` is the folder with what it left."""
    state = job.state
    assert isinstance(state, Ended)
    spec, began = job.spec, provenance or Provenance()
    finished_ms = int(1000 * state.finished_at)
    started_at = getattr(state, "started_at", None)
    metrics = [
        (key(name), value, finished_ms, int(step))
        for name, curve in curves.items()
        for step, value in curve
        if abs(step) < 2**62
    ]
    metrics += [
        (key(name), value, finished_ms, int(curves[name][-1][0]) if curves.get(name) else 0)
        for name, value in job.metrics
        if not curves.get(name) or curves[name][-1][1] != value
    ]
    usage = state.usage
    tags = {
        JOB_TAG: str(job.id),
        "cro.attempt": str(job.attempts),
        "cro.state": state.name.value,
        "cro.recipe": spec.recipe or "",
        "cro.output": output,
        "cro.cpu_s": "" if usage.cpu_s is None else f"{usage.cpu_s:.3f}",
        "cro.peak_mem_bytes": "" if usage.peak_mem_bytes is None else str(usage.peak_mem_bytes),
        "cro.gpu_mem_bytes": "" if usage.gpu_mem_bytes is None else str(usage.gpu_mem_bytes),
        "cro.machine": began.machine,
        "mlflow.user": spec.user,
        "mlflow.source.name": spec.recipe or " ".join(spec.argv),
        "mlflow.source.type": "JOB",
        "mlflow.source.git.commit": began.commit,
        "mlflow.runName": spec.name,
    }
    kind = FINISHED if isinstance(state, Succeeded) else KILLED if isinstance(state, Cancelled) else FAILED
    return MlflowRun(
        name=spec.name[:_KEY],
        status=kind,
        started_ms=finished_ms if started_at is None else int(1000 * started_at),
        finished_ms=finished_ms,
        params=tuple((key(name), str(value)[:_VALUE]) for name, value in spec.params),
        metrics=tuple(metrics),
        tags=tuple((name, text[:_TAG]) for name, text in tags.items() if text),
        data=tuple((path, said.rpartition(" ")[2][:_DIGEST]) for path, said in began.files.items()),
        packages=began.packages,
    )


def key(name: str) -> str:
    """A name that MLflow takes."""
    return _BAD.sub("_", name)[:_KEY] or "_"
