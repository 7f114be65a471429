"""Reads typed values out of a header's TOML table and collects every problem with its line.

Pure. A reader answers `None` for what is absent or wrong; what is wrong is also in `problems`, so that a
person sees all of them at once.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, TypeVar

from recipes.block import Block
from recipes.model import Problem
from recipes.quantities import BadQuantity

Member = TypeVar("Member", bound=StrEnum)
Amount = TypeVar("Amount", int, float)

_LONGEST_TEXT = 4_000
_HINTS = 50
_WORDS = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    dict: "a table",
    list: "a list",
}


def kind_of(value: object) -> str:
    """The TOML value's type in a person's words."""
    return _WORDS.get(type(value), "a date or time")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """' Did you mean "title"?' or nothing."""
    near = get_close_matches(word[:60], list(known), n=1)
    return f' Did you mean "{near[0]}"?' if near else ""


def quoted(value: object) -> str:
    """The value as a short quoted text, safe to put on one line."""
    text = str(value) if not isinstance(value, int) or abs(value) < 10**30 else "that number"
    text = "".join(char if is_plain(char) else "?" for char in text)
    return f'"{text}"' if len(text) <= 60 else f'"{text[:57]}..."'


def is_plain(text: str, *, lines: bool = False) -> bool:
    """Whether the text has no control, formatting or broken characters; `lines` allows newlines."""
    allowed = "\n\t" if lines else ""
    return all(
        char in allowed or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in text
    )


@dataclass(slots=True)
class Checker:
    block: Block
    problems: list[Problem] = field(default_factory=list)

    def problem(self, message: str, *path: str) -> None:
        self.problems.append(Problem(self.block.line(*path), message))

    def unknown(self, table: Mapping[str, Any], known: Iterable[str], *path: str) -> None:
        known = tuple(known)
        all_known = f" Known: {', '.join(known)}."
        for key in table:
            if key not in known:
                # Near misses cost time, and a header of thousands of wrong keys needs none.
                hint = did_you_mean(key, known) if len(self.problems) < _HINTS else ""
                self.problem(f"Unknown key {quoted(key)}.{hint or all_known}", *path, key)

    def text(self, table: Mapping[str, Any], *path: str, lines: bool = False) -> str | None:
        """The text of the last key of `path` in `table`."""
        value = table.get(path[-1])
        if value is None:
            return None
        if not isinstance(value, str):
            self.problem(f"{path[-1]} must be a text, not {kind_of(value)}.", *path)
        elif len(value) > _LONGEST_TEXT:
            self.problem(f"{path[-1]} is longer than {_LONGEST_TEXT} characters.", *path)
        elif not is_plain(value, lines=lines):
            self.problem(f"{path[-1]} must be plain text: it has a control character.", *path)
        else:
            return value
        return None

    def texts(self, table: Mapping[str, Any], *path: str) -> tuple[str, ...]:
        value = table.get(path[-1])
        if value is None:
            return ()
        if not isinstance(value, list) or not all(
            isinstance(each, str) and is_plain(each) for each in value
        ):
            self.problem(f"{path[-1]} must be a list of plain texts.", *path)
            return ()
        return tuple(value)

    def flag(self, table: Mapping[str, Any], *path: str) -> bool | None:
        value = table.get(path[-1])
        if value is None or isinstance(value, bool):
            return value
        self.problem(f"{path[-1]} must be true or false, not {kind_of(value)}.", *path)
        return None

    def number(self, table: Mapping[str, Any], *path: str) -> int | float | None:
        value = table.get(path[-1])
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.problem(f"{path[-1]} must be a number, not {kind_of(value)}.", *path)
        elif not math.isfinite(value) or abs(value) >= 2**63:
            self.problem(f"{path[-1]} is out of range.", *path)
        else:
            return value
        return None

    def one_of(self, words: type[Member], table: Mapping[str, Any], *path: str) -> Member | None:
        value = table.get(path[-1])
        if value is None:
            return None
        known = [member.value for member in words]
        if value in known:
            return words(value)
        hint = did_you_mean(value, known) if isinstance(value, str) else ""
        self.problem(f"{path[-1]} must be one of {', '.join(known)}, not {quoted(value)}.{hint}", *path)
        return None

    def table(self, table: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
        value = table.get(path[-1], {})
        if isinstance(value, dict):
            return value
        self.problem(f"{path[-1]} must be a table, not {kind_of(value)}.", *path)
        return {}

    def amount(
        self, parse: Callable[[str | int | float], Amount], table: Mapping[str, Any], *path: str
    ) -> Amount | None:
        """A quantity above zero, read by `parse_bytes` or `parse_seconds`."""
        value = table.get(path[-1])
        if value is None:
            return None
        if not isinstance(value, str | int | float):
            self.problem(f'{path[-1]} must be an amount like "600M" or "3m", not {kind_of(value)}.', *path)
            return None
        try:
            amount = parse(value)
        except BadQuantity as error:
            self.problem(f"{path[-1]}: {error}", *path)
            return None
        if amount <= 0:
            self.problem(f"{path[-1]} must be more than zero.", *path)
            return None
        return amount
