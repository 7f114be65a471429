"""Turns a recipe that imports a kit beside it into one self-contained file. Pure.

What the recipe imports is inlined together with what that uses in turn, word for word and in the kit's own
order; nothing else is. A kit is a flat package: its modules hold definitions, and import each other by
`from .module import name` at their top.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from symtable import SymbolTable, symtable

KIT = "kit"
_WIDTH = 100
_FUTURE = "__future__"
_MENTIONS_KIT = re.compile(rf"^\s*(?:from|import)\s+{KIT}\b", re.MULTILINE)
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Assignment = ast.Assign | ast.AnnAssign


class CannotInline(Exception):
    """The recipe or its kit is written in a way that cannot be inlined; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A top-level definition: its lines, the names it defines, and the global names that it uses."""

    first_line: int
    last_line: int
    text: str
    names: tuple[str, ...]
    uses: frozenset[str]
    is_block: bool  # a function or a class


@dataclass(frozen=True, slots=True)
class _Import:
    """What one name is bound to by `import name` (no module) or `from module import name`."""

    module: str
    name: str
    alias: str = ""

    @property
    def binds(self) -> str:
        return self.alias or (self.name if self.module else self.name.partition(".")[0])

    def __str__(self) -> str:
        return f"{self.name} as {self.alias}" if self.alias else self.name


@dataclass(slots=True)
class _Module:
    """A file taken apart. The dictionaries are by the bound name; `from_kit` has module and name."""

    title: str = ""
    parts: list[_Part] = field(default_factory=list)
    imports: dict[str, _Import] = field(default_factory=dict)
    for_types: dict[str, _Import] = field(default_factory=dict)
    from_kit: dict[str, tuple[str, str]] = field(default_factory=dict)
    imports_from: int = 0  # the first line of its imports, counted from 1, and the line after the last
    imports_to: int = 0

    def part(self, name: str) -> _Part | None:
        return next((part for part in self.parts if name in part.names), None)


def standalone(text: str, kit: Mapping[str, str]) -> str:
    """The recipe's text with what it imports from the kit inlined; unchanged if it imports nothing of it.

    `kit` has the text of each module, by the module's name. Raises CannotInline.
    """
    if not _MENTIONS_KIT.search(text):
        return text  # which may be no Python at all: a notebook with magics
    recipe = _recipe(text)
    if not recipe.from_kit:
        return text
    modules = {name: _kit_module(source, name) for name, source in kit.items()}
    order = list(_in_order(modules))
    wanted = _wanted(recipe, modules)
    sections, imports, for_types = [], set(recipe.imports.values()), set(recipe.for_types.values())
    for name in order:
        module = modules[name]
        if parts := [part for part in module.parts if (name, part) in wanted]:
            used = {each for part in parts for each in part.uses}
            needed = {each for binds, each in module.imports.items() if binds in used}
            imports |= needed | {each for each in module.imports.values() if each.module == _FUTURE}
            for_types |= {each for binds, each in module.for_types.items() if binds in used}
            sections.append(f"{_rule(module.title)}\n{_joined(parts)}")
    for_types -= imports
    _refuse_clashes(recipe, wanted, imports | for_types)
    lines = text.splitlines()
    head = "\n".join(lines[: recipe.imports_from - 1]).rstrip()
    body = "\n".join(lines[recipe.imports_to - 1 :]).strip("\n")
    gap = "\n\n\n" if body.startswith(("def ", "class ", "async ", "@")) else "\n\n"
    sections.append(_rule("The recipe") + gap + body)
    top = [head, *_import_blocks(imports, for_types)]
    return "\n\n".join(top) + "\n\n" + "\n\n\n".join(sections) + "\n"


# --- taking files apart ---------------------------------------------------------------------------


def _parsed(text: str, what: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CannotInline(f"Python cannot read {what}: {error}.") from error


def _recipe(text: str) -> _Module:
    """A recipe: only the imports at its top are taken apart, the rest of it stays as it is."""
    tree = _parsed(text, "the recipe")
    found = _Module()
    statements = tree.body[1:] if ast.get_docstring(tree, clean=False) is not None else tree.body
    top: list[ast.stmt] = []
    for node in statements:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            break
        top.append(node)
        _take_import(node, found, found.imports, "the recipe")
    inside = {id(node) for node in top}
    for each in ast.walk(tree):
        if _is_of_kit(each) and id(each) not in inside:
            line = getattr(each, "lineno", 1)
            raise CannotInline(f"Line {line} imports the kit: move it to the imports at the top.")
    if top:
        found.imports_from, found.imports_to = top[0].lineno, (top[-1].end_lineno or 0) + 1
    own = tuple(name for node in statements for name in _names(node))
    found.parts = [_Part(0, 0, "", own, frozenset(), is_block=True)]
    return found


def _kit_module(text: str, name: str) -> _Module:
    """A module of the kit: docstring, imports, and definitions."""
    where = f"{KIT}/{name}.py"
    tree, lines = _parsed(text, where), text.splitlines()
    scopes = {scope.get_name(): scope for scope in symtable(text, where, "exec").get_children()}
    found = _Module((ast.get_docstring(tree) or name).partition("\n")[0].rstrip("."))
    statements = tree.body[1:] if ast.get_docstring(tree, clean=False) is not None else tree.body
    for node in statements:
        if isinstance(node, ast.Import | ast.ImportFrom):
            _take_import(node, found, found.imports, where)
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and not node.orelse:
            for each in node.body:
                if node.test.id != "TYPE_CHECKING" or not isinstance(each, ast.Import | ast.ImportFrom):
                    raise CannotInline(f"{where}, line {each.lineno}: only definitions can be inlined.")
                _take_import(each, found, found.for_types, where)
        elif names := _names(node):
            found.parts.append(_part(node, names, lines, scopes))
        else:
            raise CannotInline(f"{where}, line {node.lineno}: only definitions can be inlined.")
    return found


def _take_import(
    node: ast.Import | ast.ImportFrom, module: _Module, imports: dict[str, _Import], where: str
) -> None:
    """Note what a top-level import binds."""
    for each in node.names:
        if isinstance(node, ast.Import):
            source, sibling = "", None
            if each.name.split(".")[0] == KIT:
                raise CannotInline(f"{where}, line {node.lineno}: write `from {KIT}.module import name`.")
        else:
            source = node.module or ""
            sibling = _sibling(node)
        if each.name == "*" or sibling == "":
            raise CannotInline(f"{where}, line {node.lineno}: write `from {KIT}.module import name`.")
        if sibling is not None:
            module.from_kit[each.asname or each.name] = (sibling, each.name)
            if each.asname:
                raise CannotInline(f"{where}, line {node.lineno}: import {each.name} by its own name.")
        else:
            found = _Import(source, each.name, each.asname or "")
            imports[found.binds] = found


def _sibling(node: ast.ImportFrom) -> str | None:
    """The kit module that is imported from; "" for the package itself, None for something else."""
    if node.level:
        return node.module or ""
    package, _, module = (node.module or "").partition(".")
    return module if package == KIT else None


def _is_of_kit(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return any(each.name.split(".")[0] == KIT for each in node.names)
    return isinstance(node, ast.ImportFrom) and not node.level and _sibling(node) is not None


def _names(node: ast.stmt) -> tuple[str, ...]:
    """The names that a statement defines; none for one that is not a definition."""
    if isinstance(node, _Definition):
        return (node.name,)
    if isinstance(node, _Assignment):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return tuple(name.id for each in targets for name in ast.walk(each) if isinstance(name, ast.Name))
    return ()


def _part(
    node: ast.stmt, names: tuple[str, ...], lines: list[str], scopes: Mapping[str, SymbolTable]
) -> _Part:
    decorators = [each.lineno for each in getattr(node, "decorator_list", ())]
    first, last = min([node.lineno, *decorators]), node.end_lineno or node.lineno
    while first > 1 and lines[first - 2].startswith("#"):  # what is said of it just above
        first -= 1
    is_block = isinstance(node, _Definition)
    uses = set(_globals_of(scopes[names[0]])) if is_block else set()
    for expression in _expressions_outside(node):
        uses |= {each.id for each in ast.walk(expression) if isinstance(each, ast.Name)}
    text = "\n".join(lines[first - 1 : last])
    return _Part(first, last, text, names, frozenset(uses - set(names)), is_block)


def _expressions_outside(node: ast.stmt) -> Iterator[ast.AST]:
    """What a definition evaluates in the module itself, and its annotations: scopes do not tell those."""
    if not isinstance(node, _Definition):
        yield node
        return
    yield from node.decorator_list
    if isinstance(node, ast.ClassDef):
        yield from (*node.bases, *node.keywords)
    for each in ast.walk(node):
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from (*each.args.defaults, *(default for default in each.args.kw_defaults if default))
            yield from (each.returns,) if each.returns else ()
        elif isinstance(each, ast.arg | ast.AnnAssign) and each.annotation:
            yield each.annotation


def _globals_of(scope: SymbolTable) -> Iterator[str]:
    """The names that a function or class looks up in its module, also from the scopes within."""
    yield from (symbol.get_name() for symbol in scope.get_symbols() if symbol.is_global())
    for inner in scope.get_children():
        yield from _globals_of(inner)


# --- choosing what is needed ----------------------------------------------------------------------


def _wanted(recipe: _Module, modules: Mapping[str, _Module]) -> set[tuple[str, _Part]]:
    """The parts of the kit that the recipe needs, each with its module's name."""
    wanted: set[tuple[str, _Part]] = set()
    waiting = list(recipe.from_kit.values())
    while waiting:
        module_name, name = waiting.pop()
        module = modules.get(module_name)
        if module is None:
            raise CannotInline(f"There is no {KIT}/{module_name}.py beside the recipe.")
        if (part := module.part(name)) is None:
            if name not in module.from_kit:
                raise CannotInline(f"{KIT}/{module_name}.py does not define {name}.")
            waiting.append(module.from_kit[name])
        elif (module_name, part) not in wanted:
            wanted.add((module_name, part))
            waiting += [(module_name, use) for use in part.uses if module.part(use)]
            waiting += [module.from_kit[use] for use in part.uses if use in module.from_kit]
    return wanted


def _in_order(modules: Mapping[str, _Module]) -> Iterator[str]:
    """The modules' names, each after those that it imports from."""
    left = {name: {source for source, _ in module.from_kit.values()} for name, module in modules.items()}
    while left:
        ready = sorted(name for name, sources in left.items() if not sources & left.keys())
        if not ready:
            raise CannotInline(
                f"The kit's modules import each other in a circle: {', '.join(sorted(left))}."
            )
        for name in ready:
            del left[name]
            yield name


def _refuse_clashes(recipe: _Module, wanted: set[tuple[str, _Part]], imports: Iterable[_Import]) -> None:
    """Raises CannotInline where one name would mean two things in the file."""
    meanings: dict[str, set[object]] = {}
    for each in imports:
        meanings.setdefault(each.binds, set()).add(each if each.module or each.alias else each.binds)
    for module_name, part in wanted:
        for name in part.names:
            meanings.setdefault(name, set()).add((module_name, name))
    for name in recipe.parts[0].names:
        meanings.setdefault(name, set()).add("the recipe's own")
    for name, found in sorted(meanings.items()):
        if len(found) > 1:
            raise CannotInline(f"{name!r} would mean two things in one file: rename it in the recipe.")


# --- writing --------------------------------------------------------------------------------------


def _rule(title: str) -> str:
    start = f"# --- {title} "
    return start + "-" * max(3, _WIDTH - len(start))


def _joined(parts: list[_Part]) -> str:
    """The parts with the blank lines that a formatter puts between them, also before the first."""
    text, before = "", None
    for part in parts:
        if part.is_block or (before is not None and before.is_block):
            text += "\n\n"
        elif before is None or part.first_line > before.last_line + 1:
            text += "\n"
        text += part.text + "\n"
        before = part
    return text.rstrip("\n")


def _import_blocks(imports: set[_Import], for_types: set[_Import]) -> Iterator[str]:
    """The imports as isort would write them: of the future, the standard library, others, for types."""
    imports = imports | ({_Import("typing", "TYPE_CHECKING")} if for_types else set())

    def is_standard(each: _Import) -> bool:
        return (each.module or each.name).partition(".")[0] in sys.stdlib_module_names

    future = {each for each in imports if each.module == _FUTURE}
    standard = {each for each in imports - future if is_standard(each)}
    for some in (future, standard, imports - future - standard):
        if some:
            yield "\n".join(_statements(some))
    if for_types:
        yield "\n".join(["if TYPE_CHECKING:", *(f"    {line}" for line in _statements(for_types))])


def _statements(imports: set[_Import]) -> Iterator[str]:
    yield from sorted(f"import {each}" for each in imports if not each.module)
    for module in sorted({each.module for each in imports if each.module}):
        names = sorted((each for each in imports if each.module == module), key=_place)
        line = f"from {module} import {', '.join(map(str, names))}"
        yield (
            line
            if len(line) <= _WIDTH
            else "\n    ".join([f"from {module} import (", *(f"{name}," for name in names)]) + "\n)"
        )


def _place(each: _Import) -> tuple[int, str]:
    """Constants, classes, and the rest: isort's order."""
    name = each.name
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2), name
