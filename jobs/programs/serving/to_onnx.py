"""A fitted scikit-learn model as ONNX. Imported by the process that compiles, and by no service."""

from __future__ import annotations

import warnings
from typing import Any

from jobs.programs.serving.engines import SklearnEngine


def converted(model: SklearnEngine) -> tuple[bytes, dict[str, str] | str]:
    """The file, and its one input for all columns or an input for each. Raises anything."""
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
