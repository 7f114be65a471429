"""A header's `[tool.uv]` table as TOML text of its own: where uv is to take packages from.

Pure. Folders that it names are made absolute, since the text is read away from the recipe's file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any


def uv_table(table: object, folder: Path) -> str:
    """Lines of `key = value`, each value on one line; empty for what is no table, or an empty one."""
    if not isinstance(table, Mapping):
        return ""
    found = dict(table)
    sources = found.get("sources")
    if isinstance(sources, Mapping):
        found["sources"] = {name: _absolute(source, folder) for name, source in sources.items()}
    return "".join(f"{_quoted(name)} = {_value(value)}\n" for name, value in sorted(found.items()))


def _absolute(source: Any, folder: Path) -> Any:
    if isinstance(source, list):
        return [_absolute(each, folder) for each in source]
    if isinstance(source, Mapping) and isinstance(source.get("path"), str):
        return {**source, "path": str(folder / source["path"])}
    return source


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_quoted(name)} = {_value(each)}" for name, each in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    return _quoted(value) if isinstance(value, str) else repr(value)


def _quoted(text: str) -> str:
    return json.dumps(text).replace("\x7f", "\\u007f")
