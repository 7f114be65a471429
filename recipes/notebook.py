"""Reads a notebook as a recipe: an .ipynb, or a .py in percent format, with a cell tagged `parameters`.

Pure, and of the text alone: no cell is ever run. A header as in a script (PEP 723 with `[tool.cro]`) may
stand in a cell; without one, the assignments of literals in the tagged cell are the parameters.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recipes import manifest
from recipes.checking import is_plain, quoted
from recipes.model import Param, ParamType, ParamValue, Problem, Recipe

TAG = "parameters"
LARGEST_BYTES = 16 << 20  # with its outputs
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_MARK = re.compile(r"# %%(?P<rest>.*)")
_TAGGED = re.compile(r"tags\s*=\s*\[[^\]]*[\"']parameters[\"']")
_TITLE = re.compile(r"#\s+(?P<title>\S.*)")
_TYPES = {bool: ParamType.BOOL, int: ParamType.INT, float: ParamType.FLOAT, str: ParamType.STR}
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell; `number` counts from 1. `line` is where it stands, 1 where lines mean nothing."""

    number: int
    line: int
    code: bool
    text: str
    tagged: bool = False


def is_percent(text: str) -> bool:
    """Whether a .py is a notebook: one of its cells is tagged `parameters`."""
    return any(_TAGGED.search(mark["rest"]) for mark in map(_MARK.fullmatch, text.splitlines()) if mark)


def parse(text: str, path: Path, name: str | None = None) -> Recipe | tuple[Problem, ...] | None:
    """The recipe, or its problems, or None for a notebook that does not mean to be one."""
    found = cells(text, path)
    if isinstance(found, Problem):
        return (found,)
    name = path.stem if name is None else name
    tagged = [cell for cell in found if cell.tagged and cell.code]
    header: Recipe | None = None
    for cell in found:
        said = manifest.parse(cell.text, path, name)
        if isinstance(said, tuple):
            return tuple(replace(each, line=cell.line + each.line - 1) for each in said)
        header = header or said
    if header is None and not tagged:
        return None
    if len(tagged) > 1:
        return (Problem(tagged[1].line, f"Two cells are tagged {TAG}: keep one."),)
    recipe = header or Recipe(name=name, path=path, title=_title(found) or name.replace("_", " "))
    if recipe.params and not tagged:
        return (Problem(1, f"It has parameters: tag the cell that sets them with {TAG}."),)
    params = recipe.params
    if tagged and not params:
        read = _params(tagged[0])
        if isinstance(read, Problem):
            return (read,)
        params = read
    return replace(recipe, params=params, notebook=True, warm=False)


def check(text: str, path: Path) -> tuple[Problem, ...]:
    """What is wrong with the recipe, its parameters beside the tagged cell, and the syntax of its cells."""
    recipe = parse(text, path)
    if recipe is None:
        return (Problem(1, f"It is no recipe yet: tag the cell that sets its parameters with {TAG}."),)
    if isinstance(recipe, tuple):
        return recipe
    found = cells(text, path)
    assert not isinstance(found, Problem)  # it has been read above
    code = [cell for cell in found if cell.code]
    problems = [tree for tree in map(_tree, code) if isinstance(tree, Problem)]
    if problems:
        return tuple(problems)
    return tuple(wrong for cell in code if cell.tagged for wrong in _differences(recipe, cell))


def cells(text: str, path: Path) -> tuple[Cell, ...] | Problem:
    """The cells of a notebook of either kind."""
    return _of_json(text) if path.suffix == ".ipynb" else tuple(_of_percent(text))


def _of_json(text: str) -> tuple[Cell, ...] | Problem:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return Problem(1, "It is no notebook, or a damaged one: it cannot be read as JSON.")
    if not isinstance(document, dict) or not isinstance(document.get("cells"), list):
        return Problem(1, "It is no notebook of format 4: open it in Jupyter and save it.")
    language = _language(document.get("metadata"))
    if language not in ("", "python"):
        return Problem(1, f"It is written in {quoted(language)}: only Python notebooks run here.")
    found = []
    for number, cell in enumerate(document["cells"], 1):
        if not isinstance(cell, dict):
            return Problem(1, f"Cell {number} is damaged: open it in Jupyter and save it.")
        source = cell.get("source", "")
        if isinstance(source, list):
            source = "".join(part for part in source if isinstance(part, str))
        about = cell.get("metadata")
        tags = about.get("tags") if isinstance(about, dict) else None
        found.append(
            Cell(
                number,
                1,
                cell.get("cell_type") == "code",
                source if isinstance(source, str) else "",
                isinstance(tags, list) and TAG in tags,
            )
        )
    return tuple(found)


def _language(metadata: object) -> str:
    for table, key in (("kernelspec", "language"), ("language_info", "name")):
        about = metadata.get(table) if isinstance(metadata, dict) else None
        if isinstance(about, dict) and isinstance(about.get(key), str):
            return str(about[key]).lower()
    return ""


def _of_percent(text: str) -> Iterator[Cell]:
    lines = text.splitlines()
    starts = [at for at, line in enumerate(lines) if at == 0 or _MARK.fullmatch(line)]
    for number, (start, stop) in enumerate(zip(starts, [*starts[1:], len(lines)], strict=True), 1):
        mark = _MARK.fullmatch(lines[start])
        rest = mark["rest"] if mark else ""
        code = not re.match(r"\s*(?:\S.*\s)?\[(?:markdown|md|raw)\]", rest)
        body = lines[start + 1 : stop] if mark else lines[start:stop]
        yield Cell(number, start + (2 if mark else 1), code, "\n".join(body), bool(_TAGGED.search(rest)))


def _title(found: Sequence[Cell]) -> str:
    """The first heading."""
    for cell in found:
        for line in cell.text.splitlines() if not cell.code else ():
            said = line.removeprefix("# ") if line.startswith("# #") else line  # in percent format
            if mark := _TITLE.fullmatch(said):
                title = mark["title"].strip()[:_LONGEST]
                return title if is_plain(title) else ""
    return ""


def _tree(cell: Cell) -> ast.Module | Problem:
    """The code without the lines that are IPython's own."""
    lines = ["pass" if line[:1] in "%!?" and line else line for line in cell.text.splitlines()]
    if cell.text.startswith("%%"):
        return ast.Module([], [])
    try:
        return ast.parse("\n".join(lines))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = cell.line + (getattr(error, "lineno", None) or 1) - 1
        message = getattr(error, "msg", None) or "it cannot be read"
        return Problem(line, f"Cell {cell.number}: {message}.")


def _params(cell: Cell) -> tuple[Param, ...] | Problem:
    tree = _tree(cell)
    if isinstance(tree, Problem):
        return tree
    return tuple(
        Param(name, _TYPES[type(value)], value, help=_comment(cell, line))
        for name, (value, line) in _assigned(tree).items()
    )


def _assigned(tree: ast.Module) -> Mapping[str, tuple[ParamValue, int]]:
    """Each name that is set to a literal, with the value and the line of the last time."""
    found: dict[str, tuple[ParamValue, int]] = {}
    for node in tree.body:
        targets: list[ast.expr] = []
        value: Any = None
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value = [node.target], node.value
        if len(targets) != 1 or not isinstance(targets[0], ast.Name):
            continue
        name = targets[0].id
        try:
            literal = ast.literal_eval(value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
        if _NAME.fullmatch(name) and name != "help" and _can_be_set(literal):
            found[name] = literal, node.end_lineno or node.lineno
    return found


def _can_be_set(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST and is_plain(value)
    if isinstance(value, bool):
        return True
    if isinstance(value, int):
        return abs(value) < 2**63
    return isinstance(value, float) and math.isfinite(value)


def _comment(cell: Cell, line: int) -> str:
    """What is said behind an assignment."""
    text = cell.text.splitlines()[line - 1].rpartition("  # ")
    return text[2].strip()[:_LONGEST] if text[1] and is_plain(text[2]) else ""


def _differences(recipe: Recipe, cell: Cell) -> Iterator[Problem]:
    tree = _tree(cell)
    assert isinstance(tree, ast.Module)  # its syntax has been checked
    set_there = _assigned(tree)
    for param in recipe.params:
        if param.name not in set_there:
            if not param.required:
                yield Problem(cell.line, f"The cell tagged {TAG} does not set {quoted(param.name)}.")
            continue
        value, line = set_there[param.name]
        if not param.required and (value != param.default or type(value) is not type(param.default)):
            yield Problem(
                cell.line + line - 1,
                f"The default of {param.name} is {param.default!r} in the header, {value!r} in the cell.",
            )
