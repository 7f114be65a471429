"""From a file that no job of this installation wrote to a version in the registry.

The file stands alone, or in a folder that `model export` made, whose card says the rest. All of that is a
stranger's text: it is taken as values, never as a path. Loads nothing of the model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from jobs.core.ports import BadInput, WrongState
from jobs.core.tracking import ModelCard
from jobs.registry.inspect import ModelFileReport
from jobs.registry.signature import signature_of
from jobs.registry.store import CARD, Registry
from jobs.runtime.job_folder import is_finite

FLAVORS = {
    ".joblib": "sklearn",
    ".pkl": "sklearn",
    ".pickle": "sklearn",
    ".skops": "skops",
    ".keras": "keras",
    ".onnx": "onnx",
    ".tflite": "litert",
}
_SERVED = (".joblib", ".pkl", ".pickle", ".skops", ".keras")
_MOST_CARD_BYTES = 16 << 20
_TEXTS = ("recipe", "note", "licence")
_TABLES = ("params", "data", "packages")


def main_file(path: Path) -> Path:
    """The file itself, or the model's file in an exported folder. Raises BadInput."""
    if path.is_dir():
        found = sorted(each for each in path.iterdir() if each.suffix in _SERVED and not each.is_dir())
        if len(found) != 1:
            said = "no model" if not found else "more than one model"
            raise BadInput(
                f"{str(path)[:200]!r} holds {said}.",
                f"Name the file itself, or a folder with one of {', '.join(_SERVED)}.",
            )
        return main_file(found[0])
    if path.is_symlink():
        raise BadInput(f"{path.name[:200]!r} is a link.", "Name the file that it leads to.")
    if path.suffix not in FLAVORS:
        raise BadInput(
            f"{path.name[:200]!r} is of no kind that is known here.", f"Kinds are {', '.join(FLAVORS)}."
        )
    return path


def import_model(
    registry: Registry,
    seen: ModelFileReport,
    *,
    name: str,
    trusted: bool,
    sample: Path | None,
    note: str,
    licence: str,
    now: float,
) -> tuple[ModelCard, bool]:
    """The version that the file is, and whether it is a new one. Raises BadInput, NotNow (not trusted)."""
    path = Path(seen.path)
    if seen.needs_trust and not trusted:
        raise WrongState(
            f"{path.name[:200]} can run code when it is loaded, and nobody has agreed to that: "
            "nothing was registered.",
            "Look at what it would load, then add --trust.",
        )
    told = _told(path.parent / CARD)
    rows = _rows(sample) if sample else told.pop("sample", None)
    card: dict[str, Any] = {
        **told,
        "name": name,
        "flavor": FLAVORS[path.suffix],
        "registered_at": now,
        "job_id": 0,
        "attempt": 0,
        "signature": signature_of(rows),
        "sample": rows,
        "source": str(path.absolute()),
        "types": seen.types or (),
        "trusted": seen.sha256 if seen.needs_trust else "",
    }
    card |= {key: text for key, text in (("note", note), ("licence", licence)) if text}
    beside = path.with_suffix(".json")
    files = [path.name, *([beside.name] if beside.is_file() else [])]
    return registry.register(path.parent, files, card, expected={path.name: seen.sha256})


def _told(path: Path) -> dict[str, Any]:
    """What an exported card says of the model, as far as it is what a card says."""
    try:
        if path.stat().st_size > _MOST_CARD_BYTES:
            return {}
        table = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(table, Mapping):
        return {}
    found: dict[str, Any] = {key: table[key] for key in _TEXTS if isinstance(table.get(key), str)}
    found |= {key: table[key] for key in _TABLES if isinstance(table.get(key), dict)}
    if isinstance(metrics := table.get("metrics"), dict):
        found["metrics"] = {key: float(value) for key, value in metrics.items() if is_finite(value)}
    if isinstance(better := table.get("better"), list):
        pairs = [each for each in better if isinstance(each, list) and len(each) == 2]
        found["better"] = tuple((str(metric), str(end)) for metric, end in pairs)
    if isinstance(table.get("sample"), list):
        found["sample"] = table["sample"]
    if isinstance(table.get("spread"), dict):
        found["spread"] = table["spread"]
    known = {field.name for field in fields(ModelCard)}
    return {key: value for key, value in found.items() if key in known}


def _rows(path: Path) -> list[Any]:
    """Rows that the model takes, from a JSON file. Raises BadInput."""
    try:
        rows = json.loads(path.read_bytes()) if path.stat().st_size <= _MOST_CARD_BYTES else None
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{str(path)[:200]!r} cannot be read as JSON.", "Name a list of rows.") from error
    if not signature_of(rows) or not isinstance(rows, list):
        raise BadInput(f"{str(path)[:200]!r} is no list of rows.", 'Write [{"length": 1.5, ...}, ...].')
    return rows
