"""Requests that come at once share calls of the model, and each gets its own answer."""

from __future__ import annotations

import asyncio
import threading

from jobs.programs.serving.batching import MOST_ROWS, Batcher
from jobs.programs.serving.engines import Engine, Predictions
from jobs.programs.serving.rows import RefusedRows, Rows


class Doubling(Engine):
    """Answers twice what it is given; negative values are refused. Its calls wait until they may go on."""

    kind, quick = "sklearn", False
    classes, signature, nullable = [], (), None

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def predict(self, rows: Rows, *, probabilities: bool = True) -> Predictions:
        self.calls.append(rows.count)
        self.begun.set()
        assert self.go_on.wait(30)
        values = rows.columns["a"]
        if min(values) < 0:
            raise RefusedRows("negative")
        return Predictions(
            [2 * value for value in values], [[value] for value in values] if probabilities else None
        )


def rows(*values: float) -> Rows:
    return Rows(len(values), {"a": list(values)})


async def test_what_comes_while_it_works_is_one_call() -> None:
    batcher, engine = Batcher(), Doubling()
    first = asyncio.create_task(batcher.predict(engine, rows(1), full=True))
    assert await asyncio.to_thread(engine.begun.wait, 30)
    others = [
        asyncio.create_task(batcher.predict(engine, rows(at, at), full=at % 2 == 0)) for at in range(9)
    ]
    gone = asyncio.create_task(batcher.predict(engine, rows(7), full=True))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    engine.go_on.set()
    assert await first == Predictions([2], [[1]])
    for at, answer in enumerate(await asyncio.gather(*others)):
        assert answer == Predictions([2 * at] * 2, [[at]] * 2 if at % 2 == 0 else None)
    assert engine.calls == [1, 18]


async def test_refused_rows_spoil_no_other_answer() -> None:
    batcher, engine = Batcher(), Doubling()
    engine.go_on.set()
    asked = [batcher.predict(engine, rows(value), full=False) for value in (1, -1, 3)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert found[0] == Predictions([2]) and found[2] == Predictions([6])
    assert isinstance(found[1], RefusedRows)
    assert await batcher.predict(engine, rows(4), full=False) == Predictions([8])


async def test_a_call_has_one_engine_and_not_too_many_rows() -> None:
    batcher, one, other = Batcher(), Doubling(), Doubling()
    one.go_on.set()
    other.go_on.set()
    many = rows(*range(MOST_ROWS))
    asked = [(one, many), (one, many), (other, rows(1)), (one, rows(1)), (one, rows(2))]
    await asyncio.gather(*(batcher.predict(engine, given, full=False) for engine, given in asked))
    assert (one.calls, other.calls) == ([MOST_ROWS, MOST_ROWS, 2], [1])
