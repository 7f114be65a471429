"""Bodies as people write them, and one clear sentence for each that cannot be used."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.core.tracking import Column
from jobs.programs.serving.rows import RefusedRows, read

TAKES = (Column("a", "number"), Column("b", "text"))
ROW = {"a": 1.5, "b": "x"}


def body(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    "value",
    [
        [ROW, ROW],
        [[1.5, "x"], [1.5, "x"]],
        {"records": [ROW, ROW]},
        {"instances": [ROW, ROW]},
        {"inputs": [[1.5, "x"], [1.5, "x"]]},
        {"inputs": {"b": ["x", "x"], "a": [1.5, 1.5]}},
        {"columns": {"b": ["x", "x"], "a": [1.5, 1.5]}},
        {"columns": ["b", "a"], "data": [["x", 1.5], ["x", 1.5]]},
        {"split": {"columns": ["b", "a"], "data": [["x", 1.5], ["x", 1.5]]}},
        {"dataframe_split": {"index": [0, 1], "columns": ["a", "b"], "data": [[1.5, "x"], [1.5, "x"]]}},
        {"dataframe_records": [ROW, ROW], "params": {}},
    ],
)
def test_every_way_of_writing_rows_is_the_same_rows(value: object) -> None:
    rows = read(body(value), TAKES)
    assert rows.count == 2
    assert list(rows.columns.items()) == [("a", [1.5, 1.5]), ("b", ["x", "x"])]


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b"[{", 400, "not JSON"),
        (b"\xff\xfe[", 400, "UTF-8"),
        (b"[" * 100_000, 400, "nested"),
        (b"[" + b"1" * 10_000 + b"]", 400, "too long"),
        (b'[{"a": NaN, "b": "x"}]', 400, "NaN is no JSON value"),
        (b'[{"a": -Infinity, "b": "x"}]', 400, "Infinity"),
        (b'[{"a": 1e999, "b": "x"}]', 422, "too large"),
        (b"3", 422, "must be"),
        (b"{}", 422, "must be"),
        (b"[]", 422, "no row"),
        (b"[1]", 422, "Every row"),
        (b'[[1, "x", 2]]', 422, "Row 1 has 3 values, and the model takes 2"),
        (body([{**ROW, "A": 1}]), 422, 'column "A" that the model does not take. Did you mean "a"'),
        (body([ROW, {"a": 1}]), 422, 'Row 2 lacks the column "b"'),
        (body([{**ROW, "a": "1.5"}]), 422, 'Row 1, column "a": "1.5" is not a number'),
        (body([{**ROW, "a": True}]), 422, "true is not a number"),
        (body([ROW, {**ROW, "b": 3}]), 422, 'Row 2, column "b": 3 is not a text'),
        (body({"columns": {"a": [1], "b": []}}), 422, 'Column "b"'),
        (body({"columns": {"a": [1, 2], "b": ["x"]}}), 422, "not of one length"),
        (body({"split": {"columns": ["a"]}}), 422, "split needs"),
        (body({"split": {"columns": ["a", "a"], "data": [[1, 2]]}}), 422, "twice"),
        (body({"records": [ROW], "instances": [ROW]}), 422, "must be"),
        (body({"records": [ROW], "other": 1}), 422, '"other" beside records'),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(content: bytes, status: int, said: str) -> None:
    with pytest.raises(RefusedRows) as caught:
        read(content, TAKES)
    assert caught.value.status == status
    assert said in caught.value.sentence
    assert "\n" not in caught.value.sentence and len(caught.value.sentence) < 400


def test_null_is_taken_only_where_the_model_takes_it() -> None:
    content = body([{"a": None, "b": "x"}])
    assert read(content, TAKES).columns["a"] == [None]
    assert read(content, TAKES, ["a"]).columns["a"] == [None]
    with pytest.raises(RefusedRows, match="null, and this model needs a number"):
        read(content, TAKES, ["b"])


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)
_WAYS = st.sampled_from(["records", "instances", "inputs", "split", "columns", "data", "a", "b"])


@given(_JSON | st.dictionaries(_WAYS, _JSON, max_size=3))
def test_nothing_but_rows_or_a_refusal_comes_of_any_body(value: object) -> None:
    try:
        rows = read(json.dumps(value).encode(), TAKES)
    except RefusedRows:
        return
    assert list(rows.columns) == ["a", "b"]
    assert {len(values) for values in rows.columns.values()} == {rows.count}
    assert all(value is None or type(value) in (int, float) for value in rows.columns["a"])
