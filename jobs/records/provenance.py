"""What a run began with: reads the file that its supervisor left, and judges nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jobs.core.tracking import Provenance
from jobs.runtime import job_folder


def read_provenance(folder: Path) -> Provenance | None:
    """Of the attempt whose job folder it is; None where nothing was left, or nothing that can be read."""
    found = job_folder.read_json(str(folder / job_folder.PROVENANCE))
    if found is None:
        return None
    machine, commit = found.get("machine"), found.get("commit")
    return Provenance(
        _texts(found.get("files")),
        _texts(found.get("packages")),
        machine if isinstance(machine, str) else "",
        commit if isinstance(commit, str) else "",
    )


def _texts(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        return {}
    return {name: text for name, text in value.items() if isinstance(text, str)}
