"""What became of compiling a version: read back by the service that answers by it, and checked once more.

The outcome is `compiled/<digest>/compiled.json` in the registry's folder, beside the compiled file. Neither
scikit-learn nor TensorFlow is imported here.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from jobs.core.tracking import Column, ModelCard
from jobs.core.versions import read_as
from jobs.programs.serving.engines import Engine, OnnxEngine, Predictions
from jobs.programs.serving.litert import LiteRtEngine, LiteRtInputs, Lookup
from jobs.programs.serving.rows import Rows
from jobs.registry.store import Registry

TOLERANCE = 1e-5
MIXED_ROWS = 100  # besides the stored rows: each column's values in other company
_PACKAGES = {
    ".joblib": ("scikit-learn", "skl2onnx", "onnxruntime", "onnx"),
    ".keras": ("tensorflow", "keras", "ai-edge-litert"),
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """What became of a version. `why` is empty where it is compiled. `rows` are those that both answered
    alike, the rest is what the model itself said to them, so that the file can be checked again without it.
    `inputs` is one input for all numbers, or one for each column; `lookups` are words that become
    0/1 columns.
    """

    why: str
    versions: Mapping[str, str] = field(default_factory=dict)
    file: str = "model.onnx"
    sha256: str = ""
    inputs: Mapping[str, str] | str = ""
    lookups: Sequence[Mapping[str, Any]] = ()
    columns: Sequence[Sequence[str]] = ()
    classes: Sequence[Any] = ()
    nullable: Sequence[str] = ()
    rows: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    predictions: Sequence[Any] = ()
    probabilities: Sequence[Sequence[float]] | None = None

    @property
    def signature(self) -> tuple[Column, ...]:
        return tuple(Column(str(name), str(kind)) for name, kind in self.columns)


def versions(suffix: str) -> dict[str, str]:
    """The installed libraries that an outcome depends on, for a model's file of that kind."""
    found = {}
    for package in _PACKAGES.get(suffix, ()):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def hopeless(card: ModelCard) -> str:
    """Why compiling it need not be tried; "" where it can be."""
    rows = card.sample if isinstance(card.sample, list) else []
    return "" if rows and card.signature else "its run reported no rows to check it with"


def folder(registry: Registry, card: ModelCard) -> Path:
    return registry.content(card).parent.parent / "compiled" / card.digest


def outcome(registry: Registry, card: ModelCard, suffix: str) -> Compiled | None:
    """What an earlier try said; None where there was none with these libraries. One that is not installed
    any more is not needed: the compiled file answers without it.
    """
    try:
        found = read_as(Compiled, json.loads((folder(registry, card) / "compiled.json").read_bytes()))
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    same = all(found.versions.get(package) == version for package, version in versions(suffix).items())
    return found if same else None


def engine(registry: Registry, card: ModelCard, compiled: Compiled, threads: int) -> Engine:
    """The compiled model, checked once more on the stored rows. Raises ValueError (why not), OSError."""
    content = (folder(registry, card) / Path(compiled.file).name).read_bytes()
    if hashlib.sha256(content).hexdigest() != compiled.sha256:
        raise ValueError("its compiled file is damaged")
    made = made_of(content, compiled, threads)
    expected = Predictions(list(compiled.predictions), _chances(compiled.probabilities))
    columns = {name: list(values) for name, values in compiled.rows.items()}
    given = Rows(len(compiled.predictions), columns)
    if differs := difference(expected, made.predict(given)):
        raise ValueError(f"its compiled file answers differently: {differs}")
    return made


def made_of(content: bytes, compiled: Compiled, threads: int) -> Engine:
    """The engine that a compiled file is for."""
    classes, nullable = list(compiled.classes), tuple(compiled.nullable)
    if compiled.file.endswith(".tflite"):
        lookups = [read_as(Lookup, each) for each in compiled.lookups]
        given = LiteRtInputs(str(compiled.inputs), lookups)
        return LiteRtEngine(content, compiled.signature, given, classes, nullable, threads=threads)
    inputs = compiled.inputs if isinstance(compiled.inputs, str) else dict(compiled.inputs)
    return OnnxEngine(content, compiled.signature, inputs, classes, nullable, threads=threads)


def difference(expected: Predictions, found: Predictions) -> str:
    """How far two answers to the same rows are apart, if too far; "" where they agree."""
    if expected.probabilities is not None:
        pairs = zip(expected.probabilities, found.probabilities or (), strict=False)
        if found.probabilities is None or len(found.probabilities) != len(expected.probabilities):
            return "it has no probabilities"
        widest = max(
            (abs(a - b) for one, other in pairs for a, b in zip(one, other, strict=True)), default=0.0
        )
        if not widest <= TOLERANCE:
            return f"a probability differs by {widest:.2g}"
    for one, other in zip(expected.predictions, found.predictions, strict=True):
        if differs := _apart(one, other):
            return differs
    return ""


def _apart(one: Any, other: Any) -> str:
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return next(filter(None, map(_apart, one, other)), "")
    if isinstance(one, float) and isinstance(other, (int, float)):
        near = abs(one - other) <= TOLERANCE * max(1.0, abs(one))
        return "" if near else f"a prediction is {other:.6g} instead of {one:.6g}"
    return "" if one == other else f"a prediction is {other!r} instead of {one!r}"


def mixed(sample: list[Any], signature: Sequence[Column]) -> Rows:
    """The stored rows that lack nothing, and others made of their values."""
    names = [column.name for column in signature]
    rows = [[row.get(name) for name in names] if isinstance(row, dict) else list(row) for row in sample]
    whole = [row for row in rows if len(row) == len(names) and None not in row]
    if not whole:
        raise ValueError("no stored row is without a missing value")
    draw = random.Random(0)
    others = [[draw.choice(whole)[at] for at in range(len(names))] for _ in range(MIXED_ROWS)]
    whole += others
    return Rows(len(whole), {name: [row[at] for row in whole] for at, name in enumerate(names)})


def _chances(values: Sequence[Sequence[float]] | None) -> list[list[float]] | None:
    return None if values is None else [list(row) for row in values]
