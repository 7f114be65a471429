"""Requests that come while the model is at work are gathered into its next call; a lone one waits for none.

For engines whose call costs nearly the same for one row as for many. Calls are made one at a time, in a
thread of their own, so that the loop goes on reading what comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from jobs.programs.serving.engines import Engine, Predictions
from jobs.programs.serving.rows import Rows

MOST_ROWS = 2_000  # in one call, unless a single request has more


@dataclass(slots=True)
class _Waiting:
    engine: Engine
    rows: Rows
    full: bool
    answer: asyncio.Future[Predictions] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Batcher:
    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "predict")
        self._waiting: list[_Waiting] = []
        self._works: asyncio.Task[None] | None = None

    async def predict(self, engine: Engine, rows: Rows, *, full: bool) -> Predictions:
        """The answer to these rows, with probabilities where `full`. Raises as `Engine.predict` does."""
        asked = _Waiting(engine, rows, full)
        self._waiting.append(asked)
        if self._works is None:
            self._works = asyncio.create_task(self._work())
        return await asked.answer

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch = gathered(self._waiting)
                del self._waiting[: len(batch)]
                batch = [each for each in batch if not each.answer.cancelled()]
                if not batch:
                    continue
                answers = await loop.run_in_executor(self._thread, _answers, batch)
                for each, answer in zip(batch, answers, strict=True):
                    if each.answer.cancelled():
                        continue
                    if isinstance(answer, Predictions):
                        each.answer.set_result(answer)
                    else:
                        each.answer.set_exception(answer)
        finally:
            self._works = None


def gathered(waiting: Sequence[_Waiting]) -> list[_Waiting]:
    """The first ones that can go into one call: for one engine, and not too many rows."""
    batch: list[_Waiting] = []
    count = 0
    for each in waiting:
        count += each.rows.count
        if batch and (
            each.engine is not batch[0].engine or count > MOST_ROWS or not _alike(each, batch[0])
        ):
            break
        batch.append(each)
    return batch


def _alike(one: _Waiting, other: _Waiting) -> bool:
    return list(one.rows.columns) == list(other.rows.columns)


def _answers(batch: Sequence[_Waiting]) -> list[Predictions | Exception]:
    """An answer or an error for each; rows that the model refuses spoil no other's answer."""
    if len(batch) > 1:
        try:
            return list(_together(batch))
        except Exception:  # which of them it is comes out below
            pass
    found: list[Predictions | Exception] = []
    for each in batch:
        try:
            found.append(each.engine.predict(each.rows, probabilities=each.full))
        except Exception as error:
            found.append(error)
    return found


def _together(batch: Sequence[_Waiting]) -> list[Predictions]:
    names = list(batch[0].rows.columns)
    columns = {name: [value for each in batch for value in each.rows.columns[name]] for name in names}
    rows = Rows(sum(each.rows.count for each in batch), columns)
    whole = batch[0].engine.predict(rows, probabilities=any(each.full for each in batch))
    found: list[Predictions] = []
    at = 0
    for each in batch:
        until = at + each.rows.count
        chances = whole.probabilities[at:until] if whole.probabilities is not None and each.full else None
        found.append(Predictions(whole.predictions[at:until], chances))
        at = until
    return found
