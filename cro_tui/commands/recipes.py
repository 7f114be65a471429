"""recipes: what can be queued by name, and the parameters of one."""

from __future__ import annotations

from typing import Any

import click

from cro_tui.commands.command_context import fit, note, open_client, print_json, print_pairs, print_table
from cro_tui.commands.options import json_option
from cro_tui.present import bytes_text, clean, number_text, span_text


@click.command(short_help="List the recipes, or show one.")
@click.argument("name", required=False)
@json_option
def recipes(name: str | None, as_json: bool) -> int:
    """List the recipes, or show one with its parameters.

    \b
      cro-tui recipes
      cro-tui recipes sklearn_forest
    """
    with open_client() as client:
        if name is not None:
            recipe = client.recipes.get(name)
            if as_json:
                print_json(_json(recipe))
            else:
                _print_one(recipe)
            return 0
        catalogue = client.recipes.catalogue()
    broken = [entry for entry in catalogue.entries if entry not in catalogue.recipes]
    if as_json:
        print_json([_json(entry) for entry in catalogue.entries])
        return 0
    rows = [
        (clean(recipe.name), recipe.framework.value, recipe.kind.value, clean(recipe.title, 80))
        for recipe in catalogue.recipes
    ]
    if rows:
        print_table(("NAME", "FRAMEWORK", "KIND", "TITLE"), rows, stretch=(3,))
    for entry in broken:
        for problem in getattr(entry, "problems", ()):
            note(f"{clean(str(entry.path), 300)}, line {problem.line}: {problem.message}")
    for each in catalogue.notes:
        note(f"{clean(str(each.path), 300)}: {each.message}")
    return 0


def _print_one(recipe: Any) -> None:
    print(f"{clean(recipe.name)}  {clean(recipe.title)}")
    if recipe.description:
        print(fit(clean(recipe.description, 1000)))
    print_pairs([("Needs", _needs(recipe)), ("File", clean(str(recipe.path), 1000))])
    if recipe.params:
        print()
        rows = [
            (param.name, param.type.value, _default(param.default), _allowed(param), clean(param.help, 200))
            for param in recipe.params
        ]
        print_table(("PARAMETER", "TYPE", "DEFAULT", "ALLOWED", "HELP"), rows, stretch=(4, 3))
    first = next((param for param in recipe.params if param.default is not None), None)
    example = "" if first is None else f" -p {first.name}={_default(first.default)}"
    print(f"\nQueue it: cro-tui submit {clean(recipe.name)}{example}")


def _needs(recipe: Any) -> str:
    needs = recipe.needs
    parts = []
    if needs.cpus is not None:
        parts.append(f"{number_text(needs.cpus)} cores")
    if needs.mem_bytes is not None:
        parts.append(f"{bytes_text(needs.mem_bytes)} memory")
    if needs.gpus:
        parts.append(f"{needs.gpus} GPU")
    if needs.time_limit_s is not None:
        parts.append(f"at most {span_text(needs.time_limit_s)}")
    return ", ".join(parts)


def _default(value: object) -> str:
    if value is None:
        return "(needed)"
    return str(value).lower() if isinstance(value, bool) else clean(str(value), 60)


def _allowed(param: Any) -> str:
    if param.choices:
        return clean(", ".join(param.choices), 80)
    low, high = param.minimum, param.maximum
    if low is None and high is None:
        return ""
    return f"{'' if low is None else low} to {high}" if high is not None else f"{low} or more"


def _json(entry: Any) -> dict[str, Any]:
    """A recipe, or a broken one with its problems."""
    problems = [{"line": each.line, "message": each.message} for each in getattr(entry, "problems", ())]
    table: dict[str, Any] = {"name": entry.name, "path": str(entry.path), "problems": problems}
    if problems:
        return table
    needs = entry.needs
    return table | {
        "title": entry.title,
        "framework": entry.framework.value,
        "kind": entry.kind.value,
        "description": entry.description,
        "dependencies": list(entry.dependencies),
        "checkpoint": entry.checkpoint,
        "needs": {
            "cpus": needs.cpus,
            "mem_bytes": needs.mem_bytes,
            "gpus": needs.gpus,
            "gpu_mem_bytes": needs.gpu_mem_bytes,
            "time_limit_s": needs.time_limit_s,
        },
        "params": [
            {
                "name": param.name,
                "type": param.type.value,
                "default": param.default,
                "minimum": param.minimum,
                "maximum": param.maximum,
                "choices": list(param.choices),
                "help": param.help,
            }
            for param in entry.params
        ],
        "metrics": dict(entry.metrics),
    }
