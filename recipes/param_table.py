"""Reads `[tool.cro.params]`: each entry a typed parameter that is passed as a command-line flag.

Pure. The type is named by `type` or else inferred: from `choices`, from the default, from the bounds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from recipes.checking import Checker, kind_of, quoted
from recipes.model import Param, ParamType, ParamValue

_KEYS = ("type", "default", "min", "max", "choices", "help", "must_exist")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_PATH = ("tool", "cro", "params")
_NUMERIC = (ParamType.INT, ParamType.FLOAT)
_TYPE_WORDS = {
    ParamType.INT: "a whole number",
    ParamType.FLOAT: "a number",
    ParamType.BOOL: "true or false",
    ParamType.CHOICE: "a text",
    ParamType.PATH: "a text",
    ParamType.STR: "a text",
}


def read_params(checker: Checker, table: Mapping[str, Any]) -> tuple[Param, ...]:
    """The parameters in the header's order, without the broken ones (their problems are in the checker)."""
    params: list[Param] = []
    for name, entry in table.items():
        if not _NAME.fullmatch(name):
            message = "use up to 40 letters, digits and _, starting with a letter."
            checker.problem(f"{quoted(name)} cannot be a flag: {message}", *_PATH, name)
        elif name == "help":
            checker.problem('A parameter cannot be called "help": --help is taken.', *_PATH, name)
        if not isinstance(entry, dict):
            checker.problem(f"{quoted(name)} must be a table like {{ default = 100 }}.", *_PATH, name)
            continue
        before = len(checker.problems)
        param = _param(checker, name, entry)
        if param is not None and len(checker.problems) == before:
            params.append(param)
    _no_clash(checker, table, params)
    return tuple(params)


def _param(checker: Checker, name: str, entry: Mapping[str, Any]) -> Param | None:
    path = (*_PATH, name)
    checker.unknown(entry, _KEYS, *path)
    help_text = checker.text(entry, *path, "help") or ""
    must_exist = checker.flag(entry, *path, "must_exist")
    choices = _choices(checker, entry, *path)
    minimum = checker.number(entry, *path, "min")
    maximum = checker.number(entry, *path, "max")
    kind = _type(checker, name, entry)
    if kind is None:
        return None
    for key, kinds in (("min", _NUMERIC), ("max", _NUMERIC), ("must_exist", (ParamType.PATH,))):
        if key in entry and kind not in kinds:
            checker.problem(f"{quoted(name)} is {kind.value}: it cannot have {key}.", *path, key)
    if "choices" in entry and kind not in (ParamType.CHOICE, ParamType.PATH):
        checker.problem(
            f"{quoted(name)} is {kind.value}: only a choice or a path has choices.", *path, "choices"
        )
    if kind is ParamType.CHOICE and "choices" not in entry:
        checker.problem(f'{quoted(name)} is a choice: it needs choices = ["a", "b"].', *path)
    if kind is ParamType.INT:
        for key, bound in (("min", minimum), ("max", maximum)):
            if isinstance(bound, float):
                checker.problem(f"{quoted(name)} is a whole number, so {key} must be one too.", *path, key)
    if minimum is not None and maximum is not None and minimum > maximum:
        checker.problem(f"{quoted(name)} has min {minimum} above max {maximum}.", *path, "min")
    default = _default(checker, name, kind, entry)
    if default is not None:
        _default_allowed(checker, Param(name, kind, default, minimum, maximum, choices))
    return Param(
        name,
        kind,
        default,
        minimum,
        maximum,
        choices,
        help_text,
        True if must_exist is None else must_exist,
    )


def _type(checker: Checker, name: str, entry: Mapping[str, Any]) -> ParamType | None:
    if "type" in entry:
        return checker.one_of(ParamType, entry, *_PATH, name, "type")
    if "choices" in entry:
        return ParamType.CHOICE
    sources = [entry[key] for key in ("default", "min", "max") if key in entry]
    if not sources:
        checker.problem(f'{quoted(name)} needs a default, or a type like type = "int".', *_PATH, name)
        return None
    if isinstance(sources[0], bool):
        return ParamType.BOOL
    if isinstance(sources[0], str):
        return ParamType.STR
    if isinstance(sources[0], int) and (
        "default" in entry or not any(isinstance(each, float) for each in sources)
    ):
        return ParamType.INT
    if isinstance(sources[0], int | float):
        return ParamType.FLOAT
    checker.problem(f"{quoted(name)} has {kind_of(sources[0])} as its default.", *_PATH, name, "default")
    return None


def _default(checker: Checker, name: str, kind: ParamType, entry: Mapping[str, Any]) -> ParamValue | None:
    if "default" not in entry:
        return None
    path = (*_PATH, name, "default")
    value = entry["default"]
    if kind in _NUMERIC and isinstance(value, int | float) and not isinstance(value, bool):
        number = checker.number(entry, *path)
        if kind is ParamType.FLOAT and number is not None:
            return float(number)
        if isinstance(number, int) or number is None:
            return number
    elif kind is ParamType.BOOL and isinstance(value, bool):
        return value
    elif kind not in _NUMERIC and kind is not ParamType.BOOL and isinstance(value, str):
        return checker.text(entry, *path)
    checker.problem(
        f"The default of {quoted(name)} must be {_TYPE_WORDS[kind]}, not {kind_of(value)}.", *path
    )
    return None


def _default_allowed(checker: Checker, param: Param) -> None:
    path = (*_PATH, param.name, "default")
    value = param.default
    if isinstance(value, int | float) and not isinstance(value, bool):
        if param.minimum is not None and value < param.minimum:
            checker.problem(
                f"The default {value} of {quoted(param.name)} is below min {param.minimum}.", *path
            )
        if param.maximum is not None and value > param.maximum:
            checker.problem(
                f"The default {value} of {quoted(param.name)} is above max {param.maximum}.", *path
            )
    if param.type is ParamType.CHOICE and param.choices and value not in param.choices:
        checker.problem(
            f"The default {quoted(value)} of {quoted(param.name)} is none of its choices.", *path
        )


def _choices(checker: Checker, entry: Mapping[str, Any], *path: str) -> tuple[str, ...]:
    choices = checker.texts(entry, *path, "choices")
    if entry.get("choices") == []:
        checker.problem("choices is empty: name what may be chosen.", *path, "choices")
    if len(set(choices)) < len(choices):
        checker.problem("choices has the same text twice.", *path, "choices")
    if any(not choice.strip() or choice.startswith("-") for choice in choices):
        checker.problem('A choice cannot be empty or start with "-".', *path, "choices")
    return choices


def _no_clash(checker: Checker, table: Mapping[str, Any], params: list[Param]) -> None:
    for param in params:
        if param.type is ParamType.BOOL and f"no_{param.name}" in table:
            clash = f"no_{param.name}"
            checker.problem(
                f"{quoted(clash)} is the flag that switches {quoted(param.name)} off.", *_PATH, clash
            )
