"""Recipes as a list that narrows while one types; shared by the picker and the recipes screen.

Names and titles were written by strangers: they are shown as plain text.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from cro_tui.present import bytes_text, number_text, span_text
from cro_tui.screens.form_values import default_text, expected
from cro_tui.source import RecipeEntry, RecipeProblem, UsableRecipe
from cro_tui.widgets.strips import fit, plain, wrapped

COMMAND = "a command ..."
_NAME_CELLS = 24


def problems_of(entry: RecipeEntry) -> tuple[RecipeProblem, ...]:
    """What is wrong with a broken recipe; empty for one that can be used."""
    return tuple(getattr(entry, "problems", ()))


def as_recipe(entry: RecipeEntry) -> UsableRecipe | None:
    return None if problems_of(entry) else entry  # type: ignore[return-value]


def matches(entry: RecipeEntry, text: str) -> bool:
    """Every word typed is somewhere in its name, title, framework or kind."""
    parts = [entry.name, *(str(getattr(entry, part, "")) for part in ("title", "framework", "kind"))]
    hay = " ".join(parts).lower()
    return all(word in hay for word in text.lower().split())


def options(entries: Sequence[RecipeEntry], text: str, width: int) -> list[Option]:
    """Those that match; each option's id is its place in `entries`."""
    return [
        Option(_line(entry, width), id=str(number))
        for number, entry in enumerate(entries)
        if matches(entry, text)
    ]


def refill(view: OptionList, found: list[Option]) -> None:
    """Show other options and highlight the first."""
    view.clear_options()
    view.add_options(found)
    view.highlighted = 0 if found else None


def details(entry: RecipeEntry, width: int) -> Content:
    """Everything the header says, in rows of `width` cells."""
    broken = problems_of(entry)
    lines: list[tuple[str, str] | str] = [(plain(entry.name, 60), "bold"), "\n"]
    if broken:
        lines.append("This recipe cannot be used:\n\n")
        lines += [f"line {problem.line:>3}  {plain(problem.message, 300)}\n" for problem in broken]
        lines.append(f"\n{plain(str(entry.path), 300)}\n")
        return Content.assemble(*lines)
    recipe = as_recipe(entry)
    assert recipe is not None
    lines.append(f"{plain(recipe.title, 100)}  ({recipe.framework}, {recipe.kind})\n\n")
    if recipe.description:
        lines.append("\n".join(plain(row, 600) for row in recipe.description.splitlines()) + "\n\n")
    needs = recipe.needs
    asked = [f"{number_text(needs.cpus)} cores", f"{bytes_text(needs.mem_bytes)} memory"]
    if needs.gpus:
        asked.append(
            f"{needs.gpus} GPU"
            + (f" with {bytes_text(needs.gpu_mem_bytes)}" if needs.gpu_mem_bytes else "")
        )
    if needs.time_limit_s is not None:
        asked.append(f"at most {span_text(needs.time_limit_s)}")
    lines.append(("Needs\n", "bold"))
    lines.append(f"  {', '.join(asked)}\n\n")
    lines.append(("Parameters\n", "bold"))
    for param in recipe.params:
        default = plain(default_text(param.default) or "required", 60)
        lines.append(f"  {fit(plain(param.name, 40), 20)} {default}\n")
        said = "; ".join(filter(None, (plain(expected(param), 80), plain(param.help, 200))))
        lines += [(f"    {row}\n", "dim") for row in wrapped(said, width - 4)]
    if not recipe.params:
        lines.append("  none\n")
    lines.append(("\nRuns with\n", "bold"))
    packages = plain(", ".join(recipe.dependencies), 400) or "the standard library"
    lines += [f"  {row}\n" for row in wrapped(packages, width - 2)]
    lines.append(f"  {plain(str(recipe.path), 300)}\n")
    return Content.assemble(*lines)


def _line(entry: RecipeEntry, width: int) -> Content:
    name = fit(plain(entry.name, 60), _NAME_CELLS)
    broken = problems_of(entry)
    if broken:
        count = f"{len(broken)} problem{'s' if len(broken) > 1 else ''}"
        return Content.assemble((f" x {name}", "dim"), fit(f" {count}", max(0, width - _NAME_CELLS - 4)))
    recipe = as_recipe(entry)
    assert recipe is not None
    title = fit(f" {plain(recipe.title, 60)}", max(0, width - _NAME_CELLS - 4 - 12))
    return Content.assemble(f"   {name}", title, (fit(f" {recipe.framework}", 12), "dim"))
