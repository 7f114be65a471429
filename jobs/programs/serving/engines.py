"""What computes predictions: ONNX Runtime, scikit-learn or Keras, each behind the same call.

Only a service, or the process that compiles for it, imports one of these libraries, and only the one that
it needs. Nothing is read from a file here.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.core.tracking import Column
from jobs.programs.serving.rows import RefusedRows, Rows

TIE_PLACES = 5  # probabilities closer than this are a tie, won by the first class


@dataclass(frozen=True, slots=True)
class Predictions:
    """A prediction for each row; probabilities in the order of the classes, where the model has them."""

    predictions: list[Any]
    probabilities: list[list[float]] | None = None


class Engine(ABC):
    """A model that answers. `quick`: a few rows cost less than handing them to a thread. `nullable` has the
    columns that may be null; None is any.
    """

    kind: str
    quick: bool
    classes: list[Any]
    signature: Sequence[Column]
    nullable: Collection[str] | None

    @abstractmethod
    def predict(self, rows: Rows, *, probabilities: bool = True) -> Predictions:
        """Raises Refused for rows that the model cannot take."""


class OnnxEngine(Engine):
    """A compiled scikit-learn model. `inputs` has an input for each column, or is one for them all."""

    kind, quick = "onnx", True

    def __init__(
        self,
        content: bytes,
        signature: Sequence[Column],
        inputs: Mapping[str, str] | str,
        classes: list[Any],
        nullable: Collection[str],
        *,
        threads: int,
    ) -> None:
        import numpy
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        options.log_severity_level = 4  # what it refuses is told to the caller
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._numpy = numpy
        self._inputs = inputs
        self._columns = [(column.name, column.kind) for column in signature]
        self.signature, self.classes, self.nullable = signature, classes, nullable

    def predict(self, rows: Rows, *, probabilities: bool = True) -> Predictions:
        numpy, columns = self._numpy, rows.columns
        if isinstance(self._inputs, str):
            matrix = numpy.array([columns[name] for name, _ in self._columns], dtype=numpy.float32)
            feed = {self._inputs: numpy.ascontiguousarray(matrix.T)}
        else:
            feed = {
                self._inputs[name]: numpy.array(
                    columns[name]
                    if kind == "number"
                    else ["" if text is None else text for text in columns[name]],
                    dtype=numpy.float32 if kind == "number" else object,
                ).reshape(-1, 1)
                for name, kind in self._columns
            }
        try:
            found = self._session.run(self._outputs, feed)
        except Exception as error:  # the runtime has its own kind for each way to fail
            raise RefusedRows("The model cannot take these values.") from error
        if not self.classes or len(found) < 2:
            return Predictions(plain(found[0].reshape(rows.count, -1)[:, 0]))
        chances = found[1]
        if not numpy.isfinite(chances).all():
            raise RefusedRows("The model has no answer for these values.")
        return Predictions(labels(chances, self.classes), chances.tolist() if probabilities else None)


class SklearnEngine(Engine):
    """The fitted object itself."""

    kind, quick = "sklearn", False

    def __init__(self, model: Any, signature: Sequence[Column]) -> None:
        named = [str(name) for name in getattr(model, "feature_names_in_", ())]
        if not signature:
            signature = [Column(name, "") for name in named]
        known = {column.name: column for column in signature}
        if named and set(named) == set(known):
            signature = [known[name] for name in named]
        self.fitted, self._named = model, bool(named)
        self.signature, self.nullable = tuple(signature), None
        self.has_chances = hasattr(model, "predict_proba")
        self.classes = plain(getattr(model, "classes_", ())) if self.has_chances else []

    def predict(self, rows: Rows, *, probabilities: bool = True) -> Predictions:
        table = self._table(rows)
        try:
            found = self.fitted.predict(table)
            wanted = probabilities and self.has_chances
            chances = self.fitted.predict_proba(table).tolist() if wanted else None
        except AttributeError as error:
            if any(None in values for values in rows.columns.values()):  # it looked into a missing text
                raise RefusedRows("The model cannot take these values: one is missing.") from error
            raise
        except (ValueError, TypeError) as error:
            said = str(error).strip().splitlines()
            raise RefusedRows(
                f"The model cannot take these values: {(said or ['it says no more'])[0][:300]}"
            ) from error
        return Predictions(plain(found), chances)

    def _table(self, rows: Rows) -> Any:
        import numpy
        import pandas

        kinds = {column.name: column.kind for column in self.signature}
        table = pandas.DataFrame(
            {
                name: numpy.array(values, dtype=float)
                if kinds.get(name) == "number"
                else pandas.Series(values, dtype=object if kinds.get(name) == "text" else None)
                for name, values in rows.columns.items()
            }
        )
        return table if self._named else table.to_numpy()


class KerasEngine(Engine):
    """A network. `schema` is what our recipes write beside it: numbers in one input, each column of words
    in its own. Without one it has one input, which takes all columns, or one column of texts.
    """

    kind, quick = "keras", False

    def __init__(self, model: Any, schema: Mapping[str, Any] | None, signature: Sequence[Column]) -> None:
        import tensorflow

        self._tensorflow, self._schema = tensorflow, schema
        inputs = list(model.inputs)
        if not schema and len(inputs) != 1:
            raise ValueError(f"it has {len(inputs)} inputs, and nothing says which columns are which")
        texts = not schema and str(inputs[0].dtype) == "string"
        numbers = list(schema["numbers"]) if schema else [each.name for each in signature if not texts]
        words = list(schema["words"]) if schema else [each.name for each in signature if texts]
        self._numbers, self._words = numbers, words
        self.signature = (
            *(Column(name, "number") for name in numbers),
            *(Column(name, "text") for name in words),
        )
        self.classes = list(schema["classes"]) if schema and schema["task"] == "classification" else []
        self.nullable = None if schema else ()
        self.network, self.word_columns = model, {f"word_{at}": name for at, name in enumerate(words)}
        self._shape = [len(numbers)] if schema else list(inputs[0].shape[1:])
        spec: Any = tensorflow.TensorSpec([None, *self._shape], inputs[0].dtype)
        if schema:
            spec = {"numbers": tensorflow.TensorSpec([None, len(numbers)], tensorflow.float32)}
            spec = spec if numbers else {}
            spec |= {name: tensorflow.TensorSpec([None], tensorflow.string) for name in self.word_columns}
        call = tensorflow.function(lambda given: model(given, training=False))
        self._call = call.get_concrete_function(spec)

    def predict(self, rows: Rows, *, probabilities: bool = True) -> Predictions:
        import numpy

        found = self._call(self._given(rows)).numpy()
        if not numpy.isfinite(found).all():
            raise RefusedRows("The model has no answer for these values.")
        found = found.reshape(rows.count, -1)
        if not self.classes:
            return Predictions(plain(found[:, 0] if found.size == rows.count else found))
        return Predictions(labels(found, self.classes), found.tolist() if probabilities else None)

    def _given(self, rows: Rows) -> Any:
        import numpy

        tensorflow, columns = self._tensorflow, rows.columns
        words = [tensorflow.constant([word or "" for word in columns[name]]) for name in self._words]
        if not self._schema and words:
            return tensorflow.reshape(words[0], [rows.count, *self._shape])
        matrix = numpy.array([columns[name] for name in self._numbers], dtype=numpy.float32).T
        try:
            given: Any = tensorflow.constant(matrix.reshape(rows.count, *self._shape))
        except ValueError:
            raise RefusedRows(
                f"The model takes {self._shape} numbers a row, not {len(self._numbers)}."
            ) from None
        if not self._schema:
            return given
        return ({"numbers": given} if self._numbers else {}) | dict(
            zip(self.word_columns, words, strict=True)
        )


def labels(chances: Any, classes: Sequence[Any]) -> list[Any]:
    """The class with the highest probability in each row; of those that are a tie, the first."""
    import numpy

    return [classes[at] for at in numpy.round(chances, TIE_PLACES).argmax(axis=1).tolist()]


def plain(values: Any) -> list[Any]:
    """An array as values that JSON has: what is no number is a missing one."""
    found = values.tolist() if hasattr(values, "tolist") else list(values)
    return [None if isinstance(value, float) and not math.isfinite(value) else value for value in found]
