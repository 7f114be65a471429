"""Compiles a registered scikit-learn model for ONNX Runtime, in a process of its own, and checks it.

`python -P -m jobs.serving.compiling MODELS REFERENCE`. The outcome is `compiled/<digest>/compiled.json` in
the registry's folder, with `model.onnx` beside it where both agree on the stored rows, and with the reason
where not. The service that asked reads it back; a version is tried once for each set of library versions.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from jobs.serving.engines import Answer, OnnxEngine, SklearnEngine
from jobs.serving.rows import Refused, Rows
from jobs.tracking.model import Column, ModelCard
from jobs.tracking.registry import Registry

TOLERANCE = 1e-5
MIXED_ROWS = 100  # besides the stored rows: each column's values in other company
_STRANGE = "\u2603 never seen"
_PACKAGES = ("scikit-learn", "skl2onnx", "onnxruntime", "onnx")


@dataclass(frozen=True, slots=True)
class Compiled:
    """What became of a version. `why` is empty where it is compiled. `rows` are those that both answered
    alike, the rest is what scikit-learn said to them, so that the file can be checked again without it.
    """

    why: str
    versions: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""
    inputs: Mapping[str, str] | str = ""
    columns: Sequence[Sequence[str]] = ()
    classes: Sequence[Any] = ()
    nullable: Sequence[str] = ()
    rows: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    predictions: Sequence[Any] = ()
    probabilities: Sequence[Sequence[float]] | None = None

    @property
    def signature(self) -> tuple[Column, ...]:
        return tuple(Column(str(name), str(kind)) for name, kind in self.columns)


def versions() -> dict[str, str]:
    """The libraries that an outcome depends on."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def folder(registry: Registry, card: ModelCard) -> Path:
    return registry.content(card).parent.parent / "compiled" / card.digest


def outcome(registry: Registry, card: ModelCard) -> Compiled | None:
    """What an earlier try said; None where there was none with these libraries."""
    try:
        found = Compiled(**json.loads((folder(registry, card) / "compiled.json").read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return found if dict(found.versions) == versions() else None


def engine(registry: Registry, card: ModelCard, compiled: Compiled, threads: int) -> OnnxEngine:
    """The compiled model, checked once more on the stored rows. Raises ValueError (why not), OSError."""
    content = (folder(registry, card) / "model.onnx").read_bytes()
    if hashlib.sha256(content).hexdigest() != compiled.sha256:
        raise ValueError("its compiled file is damaged")
    made = OnnxEngine(
        content,
        compiled.signature,
        compiled.inputs if isinstance(compiled.inputs, str) else dict(compiled.inputs),
        list(compiled.classes),
        tuple(compiled.nullable),
        threads=threads,
    )
    expected = Answer(list(compiled.predictions), _chances(compiled.probabilities))
    columns = {name: list(values) for name, values in compiled.rows.items()}
    given = Rows(len(compiled.predictions), columns)
    if differs := difference(expected, made.predict(given)):
        raise ValueError(f"its compiled file answers differently: {differs}")
    return made


def difference(expected: Answer, found: Answer) -> str:
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
        if isinstance(one, float) and isinstance(other, (int, float)):
            if not abs(one - other) <= TOLERANCE * max(1.0, abs(one)):
                return f"a prediction is {other:.6g} instead of {one:.6g}"
        elif one != other:
            return f"a prediction is {other!r} instead of {one!r}"
    return ""


def compile_version(registry: Registry, card: ModelCard, threads: int = 1) -> Compiled:
    """Try it, keep the outcome and return it. Raises what reading the model raises."""
    from jobs.serving.loading import native

    model = native(registry, card)
    compiled, content = _try(model, card, threads)
    place = folder(registry, card)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if content:
        _put(place / "model.onnx", content)
    _put(place / "compiled.json", json.dumps(_table(compiled)).encode())
    return compiled


def _try(model: Any, card: ModelCard, threads: int) -> tuple[Compiled, bytes]:
    known = versions()
    if not isinstance(model, SklearnEngine):
        return Compiled("only scikit-learn models are compiled", known), b""
    if not card.signature or not isinstance(card.sample, list):
        return Compiled("its run reported no rows to check it with", known), b""
    if odd := [column for column in model.signature if column.kind not in ("number", "text")]:
        return Compiled(f"column {odd[0].name!r} is neither number nor text", known), b""
    rows = mixed(card.sample, model.signature)
    try:
        content, inputs = _converted(model)
        made = OnnxEngine(content, model.signature, inputs, model.classes, (), threads=threads)
        expected = model.predict(rows)
        differs = difference(expected, made.predict(rows))
    except Exception as error:  # converters raise anything
        said = str(error).strip().splitlines()
        return Compiled(f"it cannot be converted: {(said or [type(error).__name__])[0][:200]}", known), b""
    if differs:
        return Compiled(f"compiled, it answers differently: {differs}", known), b""
    for column in model.signature:
        if column.kind == "text" and not _same_with(model, made, rows, column.name, _STRANGE):
            why = f"compiled, it treats words in {column.name!r} that it has never seen differently"
            return Compiled(why, known), b""
    compiled = Compiled(
        "",
        known,
        hashlib.sha256(content).hexdigest(),
        inputs,
        [[column.name, column.kind] for column in model.signature],
        model.classes,
        [column.name for column in model.signature if _same_with(model, made, rows, column.name, None)],
        dict(rows.columns),
        expected.predictions,
        expected.probabilities,
    )
    return compiled, content


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


def _same_with(model: SklearnEngine, made: OnnxEngine, rows: Rows, name: str, value: str | None) -> bool:
    """Whether both answer the same where this column has that value; or both refuse a word."""
    columns = {each: values[:20] for each, values in rows.columns.items()}
    columns[name] = [value] * len(columns[name])
    given = Rows(len(columns[name]), columns)
    try:
        expected = model.predict(given)
    except Refused:
        return value is not None and _refuses(made, given)
    try:
        return not difference(expected, made.predict(given))
    except Exception:  # libraries raise anything for what they do not take
        return False


def _refuses(made: OnnxEngine, given: Rows) -> bool:
    try:
        made.predict(given)
    except Refused:
        return True
    return False


def _converted(model: SklearnEngine) -> tuple[bytes, dict[str, str] | str]:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    fitted = model.fitted
    one = all(column.kind == "number" for column in model.signature) and not _by_name(fitted)
    types: list[tuple[str, Any]]
    if one:
        types = [("rows", FloatTensorType([None, len(model.signature)]))]
    else:
        kinds = {"number": FloatTensorType, "text": StringTensorType}
        types = [(column.name, kinds[column.kind]([None, 1])) for column in model.signature]
    options = {id(fitted): {"zipmap": False}} if model.has_chances else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = to_onnx(fitted, initial_types=types, options=options)
    names = [given.name for given in made.graph.input]
    if len(names) != len(types):
        raise ValueError("its inputs are not its columns")
    content: bytes = made.SerializeToString()
    if one:
        return content, names[0]
    return content, {column.name: name for column, name in zip(model.signature, names, strict=True)}


def _by_name(fitted: Any) -> bool:
    from sklearn.compose import ColumnTransformer

    steps = [step for _, step in getattr(fitted, "steps", ())]
    return isinstance(fitted, ColumnTransformer) or any(_by_name(step) for step in steps)


def _chances(values: Sequence[Sequence[float]] | None) -> list[list[float]] | None:
    return None if values is None else [list(row) for row in values]


def _table(compiled: Compiled) -> dict[str, Any]:
    return {name: getattr(compiled, name) for name in Compiled.__dataclass_fields__}


def _put(path: Path, content: bytes) -> None:
    waiting = path.with_name(path.name + ".part")
    waiting.write_bytes(content)
    waiting.replace(path)


def main(words: Sequence[str]) -> int:
    registry = Registry(Path(words[0]))
    compile_version(registry, registry.card(words[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
