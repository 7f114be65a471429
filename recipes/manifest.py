"""Reads a recipe's header: the PEP 723 block with its `[tool.cro]` table -> a Recipe, or its problems.

Pure: text in, values out; it never imports or runs the recipe and never raises for what the text says.
The nouns are re-exported here, so that a caller needs this module alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipes import block
from recipes.checking import Checker, kind_of, quoted
from recipes.model import (
    SECRET_NAME,
    Framework,
    Kind,
    OnReboot,
    Param,
    ParamType,
    ParamValue,
    Problem,
    Recipe,
    RecipeNeeds,
)
from recipes.param_table import read_params
from recipes.quantities import parse_bytes, parse_seconds
from recipes.uv_table import uv_table

__all__ = [
    "Framework",
    "Kind",
    "Param",
    "ParamType",
    "ParamValue",
    "Problem",
    "Recipe",
    "RecipeNeeds",
    "parse",
]

_CRO_KEYS = (
    *("title", "framework", "kind", "description", "summary", "resources", "metrics"),
    *("grace", "repeatable", "on_reboot", "warm", "checkpoint", "params", "secrets"),
)
_RESOURCE_KEYS = ("cpus", "mem", "gpus", "vram", "time")
_METRIC = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_SPECIFIER = re.compile(r"\s*(?:(?:~=|===?|!=|<=?|>=?)\s*[A-Za-z0-9.*+!_-]+\s*(?:,\s*(?=\S)|$))*")
_CRO = ("tool", "cro")


def parse(text: str, path: Path, name: str | None = None) -> Recipe | tuple[Problem, ...] | None:
    """The recipe in this file's text, or its problems in line order, or None when it has no `[tool.cro]`.

    `name` is the file's stem unless given. The path is kept, never opened.
    """
    header = block.read(text)
    if header is None or isinstance(header, tuple):
        return header and tuple(sorted(header, key=lambda problem: problem.line))
    checker = Checker(header)
    recipe = _recipe(checker, header.table, path, path.stem if name is None else name)
    if checker.problems:
        return tuple(sorted(checker.problems, key=lambda problem: problem.line))
    return recipe


def _recipe(checker: Checker, document: Mapping[str, Any], path: Path, name: str) -> Recipe:
    checker.unknown(document, ("dependencies", "requires-python", "tool"))
    cro = checker.table(document["tool"], *_CRO)
    checker.unknown(cro, _CRO_KEYS, *_CRO)
    title = checker.text(cro, *_CRO, "title")
    if "title" not in cro:
        checker.problem('[tool.cro] needs a title: title = "What it does".', *_CRO)
    elif title is not None and not title.strip():
        checker.problem("title is empty: say in a few words what the recipe does.", *_CRO, "title")
    if "description" in cro and "summary" in cro:
        checker.problem("Give description or summary, not both: they mean the same.", *_CRO, "summary")
    description = checker.text(cro, *_CRO, "description", lines=True)
    summary = checker.text(cro, *_CRO, "summary", lines=True)
    requires_python = checker.text(document, "requires-python") or ""
    if not _SPECIFIER.fullmatch(requires_python):
        checker.problem(
            f'requires-python {quoted(requires_python)} is no version range: write it like ">=3.11".',
            "requires-python",
        )
    repeatable = checker.flag(cro, *_CRO, "repeatable") or False
    on_reboot = checker.one_of(OnReboot, cro, *_CRO, "on_reboot")
    return Recipe(
        name=name,
        path=path,
        title=(title or "").strip(),
        framework=checker.one_of(Framework, cro, *_CRO, "framework") or Framework.NONE,
        kind=checker.one_of(Kind, cro, *_CRO, "kind") or Kind.OTHER,
        description=(description or summary or "").strip(),
        dependencies=checker.texts(document, "dependencies"),
        requires_python=requires_python,
        uv=uv_table(document["tool"].get("uv"), path.absolute().parent),
        needs=_needs(checker, checker.table(cro, *_CRO, "resources")),
        params=read_params(checker, checker.table(cro, *_CRO, "params")),
        metrics=_metrics(checker, checker.table(cro, *_CRO, "metrics")),
        grace_s=checker.amount(parse_seconds, cro, *_CRO, "grace"),
        repeatable=repeatable,
        on_reboot=on_reboot or (OnReboot.REQUEUE if repeatable else OnReboot.FAIL),
        warm=checker.flag(cro, *_CRO, "warm") is not False,
        checkpoint=checker.flag(cro, *_CRO, "checkpoint") or False,
        secrets=_secrets(checker, cro),
    )


def _needs(checker: Checker, table: Mapping[str, Any]) -> RecipeNeeds:
    path = (*_CRO, "resources")
    checker.unknown(table, _RESOURCE_KEYS, *path)
    cpus = checker.number(table, *path, "cpus")
    if cpus is not None and cpus <= 0:
        checker.problem("cpus must be more than zero.", *path, "cpus")
    gpus = checker.number(table, *path, "gpus")
    if gpus is not None and (not isinstance(gpus, int) or gpus < 0):
        checker.problem("gpus must be a whole number, 0 or more.", *path, "gpus")
    if "vram" in table and not gpus:
        checker.problem("vram is memory of a GPU: ask for gpus = 1 or more as well.", *path, "vram")
    return RecipeNeeds(
        cpus=None if cpus is None else float(cpus),
        mem_bytes=checker.amount(parse_bytes, table, *path, "mem"),
        gpus=None if gpus is None else int(gpus),
        gpu_mem_bytes=checker.amount(parse_bytes, table, *path, "vram"),
        time_limit_s=checker.amount(parse_seconds, table, *path, "time"),
    )


def _secrets(checker: Checker, table: Mapping[str, Any]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(checker.texts(table, *_CRO, "secrets")))
    for name in names:
        if not SECRET_NAME.fullmatch(name):
            checker.problem(
                f"{quoted(name)} cannot name a secret: write a variable's name, like HF_TOKEN.",
                *_CRO,
                "secrets",
            )
    return names


def _metrics(checker: Checker, table: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    path = (*_CRO, "metrics")
    read: list[tuple[str, str]] = []
    for name, better in table.items():
        if not _METRIC.fullmatch(name):
            checker.problem(f"{quoted(name)} cannot name a metric: use letters, digits and _.", *path, name)
        elif better not in ("max", "min"):
            shown = quoted(better) if isinstance(better, str) else kind_of(better)
            checker.problem(f'Metric {quoted(name)} must be "max" or "min", not {shown}.', *path, name)
        else:
            read.append((name, better))
    return tuple(read)
