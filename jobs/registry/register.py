"""From a job that has ended to a version in the registry: which files, and what the card says of them.

Looks at the job's folder and at the data files that its parameters name; loads nothing of the model.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from jobs.core.jobs import Job, Succeeded
from jobs.core.ports import BadInput, WrongState
from jobs.core.tracking import ModelCard
from jobs.records.events import EVENTS, read
from jobs.registry.signature import signature_of
from jobs.registry.store import Registry

USUAL = ("model.joblib", "model.keras", "model.skops", "model.onnx", "model.tflite")
_FLAVORS = {
    ".joblib": "sklearn",
    ".keras": "keras",
    ".skops": "skops",
    ".onnx": "onnx",
    ".tflite": "litert",
}
_MOST_DATA_BYTES = 8 << 30
_CLOCK_S = 1.0  # by which the file system's clock and that of the end may differ


def register(
    registry: Registry,
    job: Job,
    attempt: Path,
    *,
    name: str,
    file: str | None,
    note: str,
    licence: str,
    better: Sequence[tuple[str, str]],
    dependencies: Sequence[str],
    now: float,
) -> tuple[ModelCard, bool]:
    """The version that the job's model is, and whether it is a new one. Raises BadInput, NotNow."""
    state = job.state
    if not isinstance(state, Succeeded):
        said = state.name.replace("_", " ")
        raise WrongState(
            f"Job {job.id} is {said}: only one that succeeded has a model.", "Wait for it, or retry it."
        )
    output, reported = attempt / "output", read(attempt / EVENTS)
    if not output.is_dir():
        raise WrongState(
            f"The files of job {job.id} are gone: they were removed to make room.", "Run it again."
        )
    path = file or (reported.model.path if reported.model else None)
    if path is None:
        path = next((usual for usual in USUAL if (output / usual).is_file()), None)
    if path is None:
        raise BadInput(
            f"Job {job.id} reports no model, and has none of {', '.join(USUAL)}.",
            "Name its file with --file.",
        )
    beside = str(Path(path).with_suffix(".json"))  # what the columns are, as our Keras recipes write it
    files = [path, *([beside] if beside != path and (output / beside).is_file() else [])]
    if changed := [path for path in files if _changed(output / path, state.finished_at)]:
        raise WrongState(
            f"{changed[0][:200]} changed after job {job.id} had ended: it is not what the job wrote.",
            f"If you trust it: cro-tui model import {output / path} NAME",
        )
    same = reported.model if reported.model is not None and reported.model.path == path else None
    sample = same.sample if same else None
    card: dict[str, Any] = {
        "name": name,
        "flavor": (same.flavor if same else "") or _FLAVORS.get(Path(path).suffix, ""),
        "registered_at": now,
        "job_id": job.id,
        "attempt": job.attempts,
        "recipe": job.spec.recipe or "",
        "user": job.spec.user,
        "note": note,
        "licence": licence,
        "params": dict(job.spec.params),
        "metrics": dict(job.metrics),
        "better": tuple(better),
        "data": _data(job, state.started_at),
        "packages": _packages(dependencies),
        "signature": signature_of(sample),
        "sample": sample,
        "spread": same.spread if same else None,
        "cpu_s": state.usage.cpu_s,
        "peak_mem_bytes": state.usage.peak_mem_bytes,
        "wall_s": state.finished_at - state.started_at,
    }
    return registry.register(output, files, card)


def _changed(path: Path, finished_at: float) -> bool:
    """Whether the file, or its name, is younger than the job's end: nobody can set this time back."""
    try:
        return path.lstat().st_ctime > finished_at + _CLOCK_S
    except OSError:
        return False  # the registry says what is wrong with it


def _data(job: Job, started_at: float) -> Mapping[str, str]:
    """The digest of each file that a parameter names, as it is now."""
    found: dict[str, str] = {}
    for name, value in job.spec.params:
        if not isinstance(value, str) or "\0" in value or not value.startswith("/"):
            continue
        try:
            found_file = os.stat(value)
            if not stat.S_ISREG(found_file.st_mode) or found_file.st_size > _MOST_DATA_BYTES:
                continue
            with open(value, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            continue
        changed = " (changed since the run began)" if found_file.st_mtime > started_at else ""
        found[name] = f"{value}  sha256 {digest}{changed}"
    return found


def _packages(dependencies: Sequence[str]) -> Mapping[str, str]:
    """The installed version of each package that the recipe's header names."""
    found: dict[str, str] = {}
    for dependency in dependencies:
        package = "".join(char if char.isalnum() or char in "._-" else " " for char in dependency).split()
        if package:
            try:
                found[package[0]] = metadata.version(package[0])
            except metadata.PackageNotFoundError:
                continue
    return found
