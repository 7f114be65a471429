"""The columns of the job list: which there are at a width, and one job's cells as one row of text.

Pure. Numbers stand right-aligned with one unit per column; every row is exactly as wide as asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

from cro_tui.present import JobRow, percent_text
from cro_tui.widgets.graph import bar
from cro_tui.widgets.strips import fit

_BAR_CELLS = 8
_WIDE_FROM = 80


@dataclass(frozen=True, slots=True)
class ColumnWidths:
    """Widths in cells; 0 hides a column."""

    id: int
    name: int
    why: int
    cpu: int
    mem: int
    elapsed: int = 9
    eta: int = 6


def columns(width: int, largest_id: int) -> ColumnWidths:
    """The columns for a list of `width` cells."""
    id_cells = max(4, len(str(largest_id)) + 1)
    wide = width >= _WIDE_FROM
    cpu, mem = (5, 6) if wide else (0, 0)
    fixed = 2 + id_cells + 11 + cpu + mem + 9 + 6
    flexible = max(16, width - fixed)
    name = max(8, min(18, flexible - 21) + max(0, flexible - 44) // 2)
    return ColumnWidths(id_cells, name, flexible - name, cpu, mem)


def head(cols: ColumnWidths) -> str:
    """The captions."""
    return (
        "  " + fit("ID", cols.id - 1, right=True) + " STATE " + fit("RECIPE", cols.name) + " PRI "
        + fit("PROGRESS / WHY", cols.why)
        + fit("CPU", cols.cpu, right=True) + fit("MEM", cols.mem, right=True)
        + fit("ELAPSED", cols.elapsed, right=True) + fit("ETA", cols.eta, right=True)
    )  # fmt: skip


def cells(
    row: JobRow, cols: ColumnWidths, *, cursor: bool, marked: bool, ascii_only: bool
) -> tuple[str, str, str]:
    """The row in three parts, so that the state in the middle can have a look of its own."""
    lead = (">" if cursor else " ") + ("*" if marked else " ") + fit(row.id, cols.id - 1, right=True) + " "
    rest = (
        " " + fit(row.name, cols.name) + fit(row.priority, 4, right=True) + " "
        + fit(_why(row, cols.why, ascii_only), cols.why)
        + fit(row.cpus, cols.cpu, right=True) + fit(row.mem, cols.mem, right=True)
        + fit(row.elapsed, cols.elapsed, right=True) + fit(row.eta, cols.eta, right=True)
    )  # fmt: skip
    return lead, fit(row.state, 5), rest


def _why(row: JobRow, width: int, ascii_only: bool) -> str:
    texts = (row.why, *row.shorter)
    if row.progress is not None:
        drawn = f"{bar(row.progress, _BAR_CELLS, ascii_only=ascii_only)} {percent_text(row.progress):>4}"
        with_bar = tuple(f"{drawn} {text}".rstrip() for text in texts)
        texts = (*with_bar[:3], *texts) if row.shorter else with_bar  # what it says is more than its bar
    return next((text for text in texts if len(text) < width), texts[0 if not row.shorter else -1])
