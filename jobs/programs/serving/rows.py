"""From the body of a request to columns of values that the model takes, or one clear sentence why not.

Pure. Knows the ways in which people write rows, and the model's signature; neither HTTP nor a library.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.core.tracking import Column

_LISTS = ("records", "dataframe_records", "instances", "inputs", "split", "dataframe_split", "columns")
_BESIDE = ("params", "index", "signature_name")  # of other clients; nothing here goes by them
_WAYS = (
    "a list of rows, or an object with one of records, columns, split, dataframe_split, instances, inputs"
)
_KINDS = {"number": "a number", "text": "a text", "flag": "true or false", "list": "a list"}
_MOST_SHOWN = 60


class RefusedRows(Exception):
    """A request that cannot be answered; the sentence is for whoever sent it."""

    def __init__(self, sentence: str, status: int = 422) -> None:
        super().__init__(sentence)
        self.sentence, self.status = sentence, status


@dataclass(frozen=True, slots=True)
class Rows:
    """`count` rows as columns, in the model's order. A missing value is None."""

    count: int
    columns: Mapping[str, list[Any]]


def read(body: bytes, signature: Sequence[Column], nullable: Collection[str] | None = None) -> Rows:
    """The rows of a body, every value checked. `nullable` are the columns that may be null; None: all.

    Raises Refused.
    """
    rows = _rows(_parsed(body), [column.name for column in signature])
    for column in signature:
        values = rows.columns[column.name]
        may_be_null = nullable is None or column.name in nullable
        quick = column.kind == "number"
        for at, value in enumerate(values):
            if quick and type(value) is float and -math.inf < value < math.inf:
                continue
            if not _fits(value, column.kind, may_be_null):
                raise RefusedRows(
                    f"Row {at + 1}, column {_shown(column.name)}: {_wrong(value, column.kind)}"
                )
    return rows


def _parsed(body: bytes) -> Any:
    try:
        return _DECODER.decode(body.decode())
    except RecursionError:
        raise RefusedRows("The body is nested too deep to be rows.", 400) from None
    except UnicodeDecodeError:
        raise RefusedRows("The body is not UTF-8 text.", 400) from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise RefusedRows(f"The body is not JSON: {error.msg} at {where}.", 400) from None
    except ValueError:  # a whole number of thousands of digits
        raise RefusedRows("The body is not JSON that can be read: a number is too long.", 400) from None


def _not_json(word: str) -> None:
    raise RefusedRows(f"{word} is no JSON value: write null where a value is missing.", 400)


_DECODER = json.JSONDecoder(parse_constant=_not_json)


def _rows(value: Any, names: list[str]) -> Rows:
    if isinstance(value, list):
        return _of_list(value, names)
    if not isinstance(value, dict):
        raise RefusedRows(f"The body must be {_WAYS}.")
    found = [way for way in _LISTS if way in value]
    if found == ["columns"] and "data" in value:
        return _of_split(value, names)
    if len(found) != 1:
        if not found and names and set(names) & set(value):
            return _of_list([value], names)  # one row, bare
        raise RefusedRows(f"The body must be {_WAYS}.")
    if others := [key for key in value if key != found[0] and key not in _BESIDE]:
        raise RefusedRows(f"The body has {_shown(others[0])} beside {found[0]}: send one of them.")
    given = value[found[0]]
    if found[0] in ("split", "dataframe_split"):
        return _of_split(given, names)
    if isinstance(given, dict) and found[0] in ("columns", "inputs"):
        return _of_columns(given, names)
    return _of_list(given, names)


def _of_list(given: object, names: list[str]) -> Rows:
    if not isinstance(given, list) or not given:
        raise RefusedRows("There is no row: send a list with at least one.")
    if all(isinstance(row, dict) for row in given):
        return _of_records(given, names)
    if all(isinstance(row, list) for row in given):
        width = len(names) or len(given[0])
        for at, row in enumerate(given):
            if len(row) != width:
                raise RefusedRows(f"Row {at + 1} has {len(row)} values, and the model takes {width}.")
        order = names or [str(at) for at in range(width)]
        return Rows(len(given), {name: [row[at] for row in given] for at, name in enumerate(order)})
    raise RefusedRows("Every row must be an object with the columns' names, or every row a list of values.")


def _of_records(given: list[dict[str, Any]], names: list[str]) -> Rows:
    order = names or list(given[0])
    for at, row in enumerate(given):
        if row.keys() != given[0].keys() or at == 0:
            _check_names(row, order, f"Row {at + 1}")
    return Rows(len(given), {name: [row[name] for row in given] for name in order})


def _of_columns(given: Mapping[str, Any], names: list[str]) -> Rows:
    order = names or list(given)
    _check_names(given, order, "The body")
    counts = {name: len(given[name]) if isinstance(given[name], list) else -1 for name in order}
    for name, count in counts.items():
        if count < 1:
            raise RefusedRows(f"Column {_shown(name)} must be a list with at least one value.")
        if count != counts[order[0]]:
            one = f"{_shown(order[0])} has {counts[order[0]]} values"
            raise RefusedRows(f"The columns are not of one length: {one}, {_shown(name)} has {count}.")
    if not order:
        raise RefusedRows("There is no column.")
    return Rows(counts[order[0]], {name: given[name] for name in order})


def _of_split(given: object, names: list[str]) -> Rows:
    columns = given.get("columns") if isinstance(given, dict) else None
    data = given.get("data") if isinstance(given, dict) else None
    if not isinstance(data, list) or (columns is not None and not isinstance(columns, list)):
        raise RefusedRows("A split needs columns, a list of names, and data, a list of rows.")
    if columns is None:
        return _of_list(data, names)
    heads = [str(name) for name in columns]
    if len(set(heads)) != len(heads):
        raise RefusedRows("A column is named twice.")
    order = names or heads
    _check_names(dict.fromkeys(heads), order, "The split")
    rows = _of_list(data, heads)
    return Rows(rows.count, {name: rows.columns[name] for name in order})


def _check_names(given: Mapping[str, Any], order: Sequence[str], whose: str) -> None:
    if len(given) == len(order) and all(name in given for name in order):
        return
    known = set(order)
    if unknown := [name for name in given if name not in known]:
        said = f"{whose} has a column {_shown(unknown[0])} that the model does not take."
        raise RefusedRows(f"{said} {_near(unknown[0], order)}")
    missing = [name for name in order if name not in given]
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    raise RefusedRows(
        f"{whose} lacks the column {_shown(missing[0])}{more}: write null where a value is missing."
    )


def _near(name: str, order: Sequence[str]) -> str:
    from difflib import get_close_matches

    by_small = {each.casefold(): each for each in order}
    if near := get_close_matches(name[:200].casefold(), by_small, n=1):
        return f"Did you mean {_shown(by_small[near[0]])}?"
    listed = ", ".join(_shown(each) for each in order[:8])
    return f"It takes {listed}{f' and {len(order) - 8} more' if len(order) > 8 else ''}."


def _fits(value: object, kind: str, may_be_null: bool) -> bool:
    if value is None:
        return may_be_null
    if kind == "number":
        if isinstance(value, float):
            return math.isfinite(value)
        return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 1000
    expected = {"text": str, "flag": bool, "list": list}.get(kind, object)
    return isinstance(value, expected)


def _wrong(value: object, kind: str) -> str:
    wanted = _KINDS.get(kind, "a value")
    if value is None:
        return f"null, and this model needs {wanted} there."
    if kind == "number" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return "a number too large to be one."
    return f"{_shown(value)} is not {wanted}."


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "..."
