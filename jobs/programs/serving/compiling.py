"""Compiles a registered model for a fast runtime, in a process of its own, and checks it.

`python -P -m jobs.programs.serving.compiling MODELS REFERENCE`: scikit-learn becomes ONNX, Keras LiteRT.
The file is kept where both agree on the stored rows, and the reason where not; `compiled.py` reads them
back. A version is tried once for each set of library versions.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from jobs.core.ports import CroError
from jobs.core.tracking import ModelCard
from jobs.programs.serving.compiled import Compiled, difference, folder, hopeless, made_of, mixed, versions
from jobs.programs.serving.engines import Engine, KerasEngine, SklearnEngine
from jobs.programs.serving.rows import RefusedRows, Rows
from jobs.registry.store import Registry
from jobs.runtime import atomic_write

_STRANGE: tuple[Callable[[str], str], ...] = (  # what a word may be that was never seen
    lambda _: "\u2603 never seen",
    str.swapcase,
    lambda text: "".join(f"{word}\u00e9, " for word in text.split()),
)
_LOCALE = "locale with name:en_US.UTF-8"
_NO_LOCALE = "ONNX needs the locale en_US.UTF-8 for texts, and this machine lacks it"


def compile_version(registry: Registry, card: ModelCard, threads: int = 1) -> Compiled:
    """Try it, keep the outcome and return it. Raises what reading the model raises."""
    from jobs.programs.serving.loading import native

    model = native(registry, card)
    compiled, content = _try(model, card, threads)
    place = folder(registry, card)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    if content:
        atomic_write.replace(place / compiled.file, content)
    atomic_write.replace(place / "compiled.json", json.dumps(asdict(compiled)).encode())
    return compiled


def _try(model: Engine, card: ModelCard, threads: int) -> tuple[Compiled, bytes]:
    known = versions(".keras" if isinstance(model, KerasEngine) else ".joblib")
    if (why := hopeless(card)) or not isinstance(card.sample, list):
        return Compiled(why, known), b""
    if odd := [column for column in model.signature if column.kind not in ("number", "text")]:
        return Compiled(f"column {odd[0].name!r} is neither number nor text", known), b""
    try:
        rows = mixed(card.sample, model.signature)
        content, compiled = _converted(model)
        compiled = replace(
            compiled,
            versions=known,
            sha256=hashlib.sha256(content).hexdigest(),
            columns=[[column.name, column.kind] for column in model.signature],
            classes=model.classes,
            rows=dict(rows.columns),
        )
        made = made_of(content, compiled, threads)
        expected = model.predict(rows)
        differs = difference(expected, made.predict(rows))
    except Exception as error:  # converters raise anything
        said = str(error).strip().splitlines()
        why = f"it cannot be converted: {(said or [type(error).__name__])[0][:200]}"
        return Compiled(_NO_LOCALE if _LOCALE in str(error) else why, known), b""
    if differs:
        return Compiled(f"compiled, it answers differently: {differs}", known), b""
    for column in model.signature:
        if column.kind == "text" and not all(
            _same_with(model, made, rows, column.name, strange) for strange in _STRANGE
        ):
            why = f"compiled, it treats words in {column.name!r} that it has never seen differently"
            return Compiled(why, known), b""
    nullable = [
        column.name
        for column in model.signature
        if _same_with(model, made, rows, column.name, lambda _: None)
    ]
    answered = replace(compiled, predictions=expected.predictions, probabilities=expected.probabilities)
    return replace(answered, nullable=nullable), content


def _converted(model: Engine) -> tuple[bytes, Compiled]:
    """The compiled file, and how it is fed. Raises anything."""
    if isinstance(model, KerasEngine):
        from jobs.programs.serving.to_litert import converted

        content, numbers, lookups = converted(model)
        feeds = [asdict(lookup) for lookup in lookups]
        return content, Compiled("", file="model.tflite", inputs=numbers, lookups=feeds)
    if isinstance(model, SklearnEngine):
        from jobs.programs.serving.to_onnx import converted as to_onnx

        content, inputs = to_onnx(model)
        return content, Compiled("", inputs=inputs)
    raise ValueError(f"{model.kind} models are not compiled")


def _same_with(
    model: Engine, made: Engine, rows: Rows, name: str, altered: Callable[[Any], str | None]
) -> bool:
    """Whether both answer the same where this column's values are altered so; or both refuse a word."""
    columns = {each: values[:20] for each, values in rows.columns.items()}
    columns[name] = [altered(value) for value in columns[name]]
    given = Rows(len(columns[name]), columns)
    try:
        expected = model.predict(given)
    except RefusedRows:
        return None not in columns[name] and _refuses(made, given)
    try:
        return not difference(expected, made.predict(given))
    except Exception:  # libraries raise anything for what they do not take
        return False


def _refuses(made: Engine, given: Rows) -> bool:
    try:
        made.predict(given)
    except RefusedRows:
        return True
    return False


def main(words: Sequence[str]) -> int:
    registry = Registry(Path(words[0]))
    try:
        compile_version(registry, registry.card(words[1]))
    except CroError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
