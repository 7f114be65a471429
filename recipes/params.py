"""From what a person typed to typed values, and from those to command-line flags.

Pure: paths are joined as text, and whether one exists is asked of the caller. Every message is one
sentence.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from recipes.checking import did_you_mean, quoted
from recipes.model import Param, ParamType, ParamValue, Recipe

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_WHOLE = re.compile(r"[+-]?[0-9][0-9_]{0,30}")


class _Refused(Exception):
    """Carries the sentence for one parameter."""


def validate(
    recipe: Recipe,
    values: Mapping[str, ParamValue],
    *,
    cwd: str,
    exists: Callable[[str], bool],
    home: str = "",
) -> tuple[dict[str, ParamValue], dict[str, str]]:
    """The typed values in the header's order with defaults filled in, and one sentence for each wrong
    parameter.

    Values may be text as typed. A relative path is taken from `cwd` (the submitter's), `~/` from `home`;
    `exists` is asked about absolute paths.
    """
    typed: dict[str, ParamValue] = {}
    problems: dict[str, str] = {}
    for param in recipe.params:
        given = values.get(param.name, param.default)
        if given is None or (given == "" and param.default != "" and param.type is not ParamType.STR):
            problems[param.name] = f"{param.name} is required: give {_expected(param)}."
            continue
        try:
            typed[param.name] = _typed(param, given, cwd, home, exists)
        except _Refused as refusal:
            problems[param.name] = str(refusal)
    known = [param.name for param in recipe.params]
    for name in values:
        if name not in known:
            hint = did_you_mean(name, known) or (
                f" It has {', '.join(known)}." if known else " It has none."
            )
            problems[name] = f"{recipe.name} has no parameter {quoted(name)}.{hint}"
    return typed, problems


def flags(recipe: Recipe, typed: Mapping[str, ParamValue]) -> tuple[str, ...]:
    """The values as flags, in the header's order: `--n-estimators 200`, `--shuffle` or `--no-shuffle`.

    An empty text that is also the default is left out. A value that starts with "-" is joined with "=",
    as a parser would otherwise take it for a flag.
    """
    argv: list[str] = []
    for param in recipe.params:
        if param.name not in typed:
            continue
        value = typed[param.name]
        if isinstance(value, bool):
            argv.append(param.flag if value else f"--no-{param.flag[2:]}")
            continue
        text = repr(value) if isinstance(value, float) else str(value)
        if text == "" and param.default == "":
            continue
        argv += [f"{param.flag}={text}"] if text.startswith("-") else [param.flag, text]
    return tuple(argv)


def _typed(
    param: Param, value: ParamValue, cwd: str, home: str, exists: Callable[[str], bool]
) -> ParamValue:
    match param.type:
        case ParamType.INT:
            return _in_bounds(param, _whole(param, value))
        case ParamType.FLOAT:
            return _in_bounds(param, _real(param, value))
        case ParamType.BOOL:
            return _boolean(param, value)
        case ParamType.CHOICE:
            if value in param.choices:
                return value
            raise _refused(param, value)
        case ParamType.STR:
            return _text(param, value)
        case ParamType.PATH:
            return _path(param, _text(param, value), cwd, home, exists)


def _whole(param: Param, value: ParamValue) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        try:
            value = int(value)
        except ValueError:
            raise _refused(param, value) from None
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _refused(param, value)
    if abs(value) >= 2**63:
        raise _Refused(f"{param.name} is too large: give {_expected(param)}.")
    return value


def _real(param: Param, value: ParamValue) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise _refused(param, value)
    return number


def _in_bounds(param: Param, value: int | float) -> int | float:
    low = param.minimum is not None and value < param.minimum
    high = param.maximum is not None and value > param.maximum
    if low or high:
        raise _refused(param, value)
    return value


def _boolean(param: Param, value: ParamValue) -> bool:
    word = str(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise _refused(param, value)


def _text(param: Param, value: ParamValue) -> str:
    text = str(value)
    if "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise _Refused(f"{param.name} has a character that cannot be passed on: type it again.")
    return text


def _path(param: Param, text: str, cwd: str, home: str, exists: Callable[[str], bool]) -> str:
    if text in param.choices or (text == "" and param.default == ""):
        return text
    below_home = home and (text == "~" or text.startswith("~/"))
    path = str(PurePosixPath(home, text[2:]) if below_home else PurePosixPath(cwd, text))
    if param.must_exist and not exists(path):
        words = f", or one of {', '.join(param.choices)}" if param.choices else ""
        raise _Refused(
            f"{param.name}: there is no {quoted(path)}; give the path of a file that exists{words}."
        )
    return path


def _refused(param: Param, value: ParamValue) -> _Refused:
    return _Refused(f"{param.name} must be {_expected(param)}, not {quoted(value)}.")


def _expected(param: Param) -> str:
    match param.type:
        case ParamType.BOOL:
            return "true or false"
        case ParamType.CHOICE:
            return f"one of {', '.join(param.choices)}"
        case ParamType.PATH:
            return f"a path or one of {', '.join(param.choices)}" if param.choices else "a path"
        case ParamType.STR:
            return "a text"
    kind = "a whole number" if param.type is ParamType.INT else "a number"
    if param.minimum is not None and param.maximum is not None:
        return f"{kind} from {param.minimum} to {param.maximum}"
    if param.minimum is not None:
        return f"{kind}, {param.minimum} or more"
    if param.maximum is not None:
        return f"{kind}, {param.maximum} or less"
    return kind
