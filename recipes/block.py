"""Finds the PEP 723 `# /// script` block of a file and says on which line each key of its TOML stands.

Pure. `tomllib` gives no positions, so the key lines come from a scan of text that tomllib has already
accepted.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from recipes.model import Problem

KeyPath = tuple[str, ...]

_MAX_DEPTH = 8  # no key that matters is deeper; a stranger's may be
_MOST_DOTS = 300  # tomllib's time for a dotted key grows with the square of its length
_START = re.compile(r"# /// script\s*")
_NEAR_START = re.compile(r"#\s*/{2,}\s*script\s*", re.IGNORECASE)
_AT = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$")
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*|[\[\]{}=\n]|[^\[\]{}=\n\"'\#]+|.",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    """The block's table and where its keys stand. `first_line` is the file line of `# /// script`."""

    first_line: int
    table: Mapping[str, Any]
    lines: Mapping[KeyPath, int] = field(default_factory=dict)

    def line(self, *path: str) -> int:
        """The file line of a key, or of the nearest table around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return self.first_line


@dataclass(frozen=True, slots=True)
class _Found:
    first_line: int
    toml: str


def read(text: str) -> Block | tuple[Problem, ...] | None:
    """The block, or its problems, or None when the file has no block with a `[tool.cro]` table."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found: list[_Found] = []
    problems: list[Problem] = []
    after = 0
    near = None
    for index, line in enumerate(lines):
        if index < after:
            continue
        if _START.fullmatch(line):
            after, block, problem = _block_at(lines, index)
            if problem is None:
                found.append(block)
            elif _speaks_of_cro(block.toml):
                problems.append(problem)
        elif near is None and _NEAR_START.fullmatch(line):
            near = index
    if len(found) > 1 and any(_speaks_of_cro(each.toml) for each in found):
        first = found[0].first_line
        problems += [
            Problem(each.first_line, f"A second script block; the first is on line {first}. Keep one.")
            for each in found[1:]
        ]
    if not found:
        if not problems and near is not None and _speaks_of_cro("\n".join(lines[near : near + 200])):
            problems.append(
                Problem(near + 1, "Write the first line of the block exactly as `# /// script`.")
            )
        return tuple(problems) or None
    return _parsed(found[0], problems)


def _block_at(lines: list[str], start: int) -> tuple[int, _Found, Problem | None]:
    """The block that starts at this index: the index after it, its text, and what is wrong with it."""
    stop = start + 1
    closing = None
    while stop < len(lines) and (lines[stop] == "#" or lines[stop].startswith("# ")):
        if lines[stop].rstrip() == "# ///":
            closing = stop
        elif _START.fullmatch(lines[stop]):
            break
        stop += 1
    end = stop if closing is None else closing
    block = _Found(start + 1, "\n".join(line[2:] for line in lines[start + 1 : end]))
    if closing is not None:
        return closing + 1, block, None
    for line in lines[stop:]:
        if _START.fullmatch(line):
            break
        if line.rstrip() == "# ///":
            message = "Inside the script block each line is `#` or starts with `# `."
            return stop, block, Problem(stop + 1, message)
    return stop, block, Problem(start + 1, "The script block has no end: close it with a line `# ///`.")


def _parsed(found: _Found, problems: list[Problem]) -> Block | tuple[Problem, ...] | None:
    if "cro" not in found.toml:
        return tuple(problems) or None
    for number, content in enumerate(found.toml.split("\n"), 1):
        if content.count(".") > _MOST_DOTS:
            message = f"The line has more than {_MOST_DOTS} dots: write it in several lines."
            return (*problems, Problem(found.first_line + number, message))
    try:
        table = tomllib.loads(found.toml)
    except (ValueError, RecursionError) as error:
        if not _speaks_of_cro(found.toml):
            return tuple(problems) or None
        return (*problems, _syntax_problem(found, error))
    tool = table.get("tool")
    if not isinstance(tool, dict) or "cro" not in tool:
        return tuple(problems) or None
    if problems:
        return tuple(problems)
    key_lines: dict[KeyPath, int] = {}
    for path, line in _key_lines(found):
        key_lines.setdefault(path, line)
    return Block(found.first_line, table, key_lines)


def _syntax_problem(found: _Found, error: Exception) -> Problem:
    match = _AT.search(str(error))
    count = found.toml.count("\n") + 1
    within = int(match[1]) if match and match[1] else count if match else 0
    reason = _AT.sub("", str(error)) if isinstance(error, ValueError) else "nested too deeply"
    reason = " ".join(reason.split())[:200] or "cannot be read"
    return Problem(found.first_line + min(within, count), f"Not valid TOML: {reason}.")


def _speaks_of_cro(toml: str) -> bool:
    return "tool.cro" in toml


def _key_lines(found: _Found) -> Iterator[tuple[KeyPath, int]]:
    table: KeyPath = ()
    for line, key, is_header in _statements(found.toml):
        parsed = _path_of(key if is_header else f"{key}=0")
        if parsed is None:
            continue
        if is_header:
            table = parsed
        path = (parsed if is_header else table + parsed)[:_MAX_DEPTH]
        for length in range(1, len(path) + 1):
            yield path[:length], found.first_line + line


def _statements(toml: str) -> Iterator[tuple[int, str, bool]]:
    """Each statement of valid TOML: its line, its key or header text, and whether it is a header."""
    line, start, depth = 1, 1, 0
    text, key = "", None
    for match in _TOKEN.finditer(toml + "\n"):
        token = match[0]
        if token == "\n" and depth == 0:
            if text.strip():
                yield start, text if key is None else key, key is None
            text, key = "", None
        elif not token.startswith("#"):
            if not text.strip():
                start = line
            if token in "[{":
                depth += 1
            elif token in "]}":
                depth -= 1
            elif token == "=" and depth == 0 and key is None:
                key = text
            if key is None:
                text += token
        line += token.count("\n")


def _path_of(toml: str) -> KeyPath | None:
    try:
        node: Any = tomllib.loads(toml)
    except (ValueError, RecursionError):
        return None
    path: list[str] = []
    while isinstance(node, dict) and node:
        name, node = next(iter(node.items()))
        path.append(name)
        if isinstance(node, list):
            node = node[0]
    return tuple(path)
