"""A compiled network, answered by LiteRT. Only a service, or what compiles for it, imports the runtime."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.core.tracking import Column
from jobs.programs.serving.engines import Engine, Predictions, labels, plain
from jobs.programs.serving.rows import RefusedRows, Rows


@dataclass(frozen=True, slots=True)
class Lookup:
    """A column of words, given to the network as 0 or 1 for each; the first is for all others."""

    column: str
    input: str
    words: Sequence[str]


@dataclass(frozen=True, slots=True)
class LiteRtInputs:
    """`numbers` is the input that takes all columns of numbers, in their order; "" where there are none."""

    numbers: str
    lookups: Sequence[Lookup] = ()


class LiteRtEngine(Engine):
    """An interpreter for each thread that asks, as one holds the values that it computes with."""

    kind, quick = "litert", True

    def __init__(
        self,
        content: bytes,
        signature: Sequence[Column],
        given: LiteRtInputs,
        classes: list[Any],
        nullable: Collection[str],
        *,
        threads: int,
    ) -> None:
        self._content, self._threads = content, threads
        self._numbers, self._names = (
            given.numbers,
            [each.name for each in signature if each.kind == "number"],
        )
        self._lookups = [
            (each, {word: at for at, word in enumerate(each.words) if at}) for each in given.lookups
        ]
        self.signature, self.classes, self.nullable = tuple(signature), classes, nullable
        self._own = threading.local()

    def predict(self, rows: Rows, *, probabilities: bool = True) -> Predictions:
        found = self._computed(rows)
        if not self.classes:
            return Predictions(plain(found[:, 0] if found.size == rows.count else found))
        return Predictions(labels(found, self.classes), found.tolist() if probabilities else None)

    def _computed(self, rows: Rows) -> Any:
        import numpy

        interpreter, inputs, output = self._ready(rows.count)
        columns = rows.columns
        if self._numbers:
            matrix = numpy.array([columns[name] for name in self._names], dtype=numpy.float32)
            index, shape = inputs[self._numbers]
            interpreter.set_tensor(index, numpy.ascontiguousarray(matrix.T).reshape(rows.count, *shape))
        for lookup, places in self._lookups:
            chosen = [places.get(word, 0) for word in columns[lookup.column]]
            hot = numpy.zeros((rows.count, len(lookup.words)), dtype=numpy.float32)
            hot[range(rows.count), chosen] = 1
            interpreter.set_tensor(inputs[lookup.input][0], hot)
        interpreter.invoke()
        found = interpreter.get_tensor(output)
        if not numpy.isfinite(found).all():
            raise RefusedRows("The model has no answer for these values.")
        return found.reshape(rows.count, -1)

    def _ready(self, count: int) -> tuple[Any, dict[str, tuple[int, tuple[int, ...]]], int]:
        """This thread's interpreter with room for so many rows, its inputs (index, shape of a row) by name,
        and the index of its output.
        """
        own = self._own
        if not hasattr(own, "interpreter"):
            from ai_edge_litert.interpreter import Interpreter

            made = Interpreter(model_content=self._content, num_threads=self._threads)
            runner = made.get_signature_runner()
            own.inputs = {
                name: (int(each["index"]), tuple(int(size) for size in each["shape"][1:]))
                for name, each in runner.get_input_details().items()
            }
            del runner  # while it is there, no input can be resized
            own.output = int(made.get_output_details()[0]["index"])
            own.interpreter, own.count = made, 0
        if own.count != count:
            for index, shape in own.inputs.values():
                own.interpreter.resize_tensor_input(index, [count, *shape])
            own.interpreter.allocate_tensors()
            own.count = count
        return own.interpreter, own.inputs, own.output
