"""Compares a recipe's header with its code, as far as text alone can tell: flags, defaults, syntax.

Pure: the code is parsed and never run. It knows argparse's `add_argument` and a literal dictionary that is
joined with `CRO_PARAMS`. What it cannot read, such as flags that another module adds, it does not judge.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from recipes import block, manifest
from recipes.checking import quoted
from recipes.model import Param, ParamType, Problem, Recipe

_UNKNOWN = object()  # a default that is no literal


@dataclass(frozen=True, slots=True)
class Flag:
    """What the code says of one parameter. `default` is _UNKNOWN where it is no literal."""

    line: int
    default: object
    required: bool = False
    switch: bool = False  # there is no `--no-` form of it


def check(text: str, path: Path) -> tuple[Problem, ...]:
    """What is wrong, in line order; empty when nothing was found."""
    recipe = manifest.parse(text, path)
    if recipe is None:
        return (Problem(1, "It has no header: cro-tui recipe new shows what one looks like."),)
    if isinstance(recipe, tuple):
        return recipe
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return (Problem(getattr(error, "lineno", None) or 1, f"Python cannot read it: {error}."),)
    return tuple(sorted(_compared(recipe, text, tree), key=lambda problem: problem.line))


def has_parser(text: str) -> bool:
    """Whether it reads flags with argparse, so that `--help` shows them and does nothing else."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(
        isinstance(node, ast.Call) and _called(node) in ("parse_args", "parse_known_args")
        for node in ast.walk(tree)
    )


def _compared(recipe: Recipe, text: str, tree: ast.Module) -> Iterator[Problem]:
    header = block.read(text)
    assert isinstance(header, block.Block)  # the manifest has read it
    known, complete = _said(tree)
    for param in recipe.params:
        line = header.line("tool", "cro", "params", param.name)
        if (flag := known.get(param.name)) is not None:
            yield from _differences(param, flag, line)
        elif known and complete:
            yield Problem(line, f"The code has no {param.flag}: it would refuse this parameter.")
    for name, flag in known.items():
        if flag.required and recipe.param(name) is None:
            yield Problem(
                flag.line,
                f"The code requires {quoted(name)}: add it to [tool.cro.params], without a default.",
            )


def _differences(param: Param, flag: Flag, line: int) -> Iterator[Problem]:
    if param.type is ParamType.BOOL and flag.switch:
        yield Problem(
            flag.line,
            f"{param.flag} cannot be switched off: write action=argparse.BooleanOptionalAction.",
        )
    if flag.default is _UNKNOWN or param.required:
        return
    same = flag.default == param.default and isinstance(flag.default, bool) == isinstance(
        param.default, bool
    )
    if not same:
        yield Problem(
            line,
            f"The default of {param.name} is {param.default!r} here, {flag.default!r} in line {flag.line}.",
        )


def _said(tree: ast.Module) -> tuple[Mapping[str, Flag], bool]:
    """The parameters that the code reads, and whether these are all of them."""
    found: dict[str, Flag] = {}
    complete = True
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    parsers = set(_parsers(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = _flag_name(node)
            if name is not None:
                found.setdefault(name, _flag(node))
            elif _called(node) == "add_argument" and not _is_positional(node):
                complete = False
            elif _called(node) not in own and any(_name_of(each) in parsers for each in _passed(node)):
                complete = False  # another module's function may add flags to it
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            for name, default in _literal_params(node):
                found.setdefault(name, Flag(node.lineno, default))
    return found, complete


def _parsers(tree: ast.Module) -> Iterator[str]:
    """The names that hold an `ArgumentParser(...)`."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets, value=ast.Call() as call) if _called(call) == "ArgumentParser":
                yield from filter(None, map(_name_of, targets))


def _passed(call: ast.Call) -> Iterator[ast.expr]:
    """The arguments of a call, also those within a list, as in `parents=[parser]`."""
    for each in (*call.args, *(word.value for word in call.keywords)):
        yield from each.elts if isinstance(each, ast.List | ast.Tuple) else (each,)


def _name_of(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _flag_name(call: ast.Call) -> str | None:
    """The name of the first long flag among a call's own words: of add_argument, or a helper like it."""
    for word in call.args:
        if isinstance(word, ast.Constant) and isinstance(word.value, str) and word.value.startswith("--"):
            return word.value[2:].replace("-", "_") if len(word.value) > 2 else None
    return None


def _flag(call: ast.Call) -> Flag:
    words = {each.arg: each.value for each in call.keywords if each.arg}
    if _called(call) != "add_argument":
        return Flag(call.lineno, _UNKNOWN)
    action = words.get("action")
    kind = action.value if isinstance(action, ast.Constant) else ""
    required = _literal(words.get("required")) is True
    switch = kind in ("store_true", "store_false")
    if "default" in words:
        return Flag(call.lineno, _literal(words["default"]), required, switch)
    default = {"store_true": False, "store_false": True}.get(str(kind), _UNKNOWN)
    return Flag(call.lineno, default, required, switch)


def _is_positional(call: ast.Call) -> bool:
    first = call.args[0] if call.args else None
    return isinstance(first, ast.Constant) and isinstance(first.value, str)


def _literal_params(node: ast.BinOp) -> Iterator[tuple[str, object]]:
    """The keys of `{"trees": 100} | json.loads(os.environ.get("CRO_PARAMS", "{}"))`."""
    of_contract = any(
        isinstance(part, ast.Constant) and part.value == "CRO_PARAMS" for part in ast.walk(node.right)
    )
    if not isinstance(node.left, ast.Dict) or not of_contract:
        return
    for key, value in zip(node.left.keys, node.left.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield key.value, _literal(value)


def _literal(node: ast.expr | None) -> object:
    if node is None:
        return _UNKNOWN
    try:
        value: object = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _UNKNOWN
    return value


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""
