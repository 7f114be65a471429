"""The chosen job in a narrow panel: why it waits, with each number, or where it stands.

The words come from `present`; this only wraps and draws them, and repaints when they differ.
"""

from __future__ import annotations

import shlex
from itertools import zip_longest
from typing import ClassVar

from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from cro_tui.present import Mark, name_text, needs_text, start_estimate_lines, state_word, why_lines
from cro_tui.present.groups import group_lines, group_name, group_state
from cro_tui.widgets.frame import Framed
from cro_tui.widgets.strips import fit, plain, strip, wrapped
from jobs.core.jobs import Job, Waiting
from jobs.core.machine import Capacity
from jobs.core.requests import JobGroup, ListRow, StartEstimate

_LABEL_CELLS = 7


def command_text(job: Job, width: int = 400) -> str:
    """What it runs, as a person would type it."""
    if job.spec.recipe is not None:
        words = [job.spec.recipe, *(f"{name}={value}" for name, value in job.spec.params)]
        return plain(" ".join(words), width)
    return plain(shlex.join(job.spec.argv), width)


class WhyPanel(Framed, Widget):
    """`show` takes the row under the cursor."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"why-panel--good", "why-panel--bad", "why-panel--quiet"}

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._facts: tuple[tuple[str, str, str], ...] = ()
        self._rows: list[tuple[str, str]] = []
        self._rows_width = 0

    def show(
        self,
        row: ListRow | None,
        now: float,
        capacity: Capacity | None,
        key: str,
        outlook: StartEstimate | None = None,
    ) -> None:
        """`key` hides the panel and is shown on its edge; `outlook` is of this job, where it is known."""
        self.frame("Why", key)
        if isinstance(row, JobGroup):
            facts = _group_facts(row, now)
        else:
            facts = () if row is None else _facts(row, now, capacity, outlook)
        if facts == self._facts:
            return
        self._facts = facts
        before, width = self._rows, self.size.width
        if self._rows_width != width:
            self.refresh()
            return
        self._rows = _rows(facts, width - 2)
        changed = {
            y
            for y, (old, new) in enumerate(zip_longest(before, self._rows))
            if old != new and y < self.size.height
        }
        if len(before) != len(self._rows):
            changed.add(self.size.height - 1)
        if changed:
            self.refresh(*(Region(0, y, width, 1) for y in changed))

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.look_of()
        if self._rows_width != width:
            self._rows, self._rows_width = _rows(self._facts, width - 2), width
        if y >= len(self._rows):
            return Strip.blank(width, base)
        look, text = self._rows[y]
        if y == self.size.height - 1 and len(self._rows) > self.size.height:
            text = fit(text, max(0, width - 6)) + " ..."
        style = Style(bold=True) if look == "head" else Style()
        if look in ("good", "bad", "quiet"):
            style = self.look_of(look)
        return strip([(" " + text, style)], width, base)


def _facts(
    job: Job, now: float, capacity: Capacity | None, outlook: StartEstimate | None
) -> tuple[tuple[str, str, str], ...]:
    """(look, label, text) of each paragraph."""
    facts = [("head", f"#{job.id} {name_text(job)}", state_word(job)), ("", "", "")]
    for line in why_lines(job, now, capacity, keys=True):
        look = {Mark.BAD: "bad", Mark.GOOD: "good"}.get(line.mark, "")
        sign = "" if line.mark is Mark.NONE else f"{line.mark.value} "
        facts.append((look, sign, line.text))
    if outlook is not None and isinstance(job.state, Waiting):
        facts += [("", "", ""), *(("", "", text) for text in start_estimate_lines(job, outlook, now))]
    facts += [
        ("", "", ""),
        ("quiet", "Needs", needs_text(job.spec.needs)),
        ("quiet", "Run", command_text(job)),
    ]
    if job.spec.framework:
        facts.append(("quiet", "Stack", plain(job.spec.framework, 40)))
    return tuple(facts)


def _group_facts(group: JobGroup, now: float) -> tuple[tuple[str, str, str], ...]:
    facts = [("head", f"#{group.id} {group_name(group)}", group_state(group)), ("", "", "")]
    facts += [("", "", line) for line in group_lines(group, now)]
    facts += [
        ("", "", ""),
        ("quiet", "enter", "shows its jobs, or hides them"),
        ("quiet", "c", "compares its runs"),
        ("quiet", "x h r", "mean all of it"),
    ]
    return tuple(facts)


def _rows(facts: tuple[tuple[str, str, str], ...], width: int) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for look, label, text in facts:
        if look == "head":
            rows.append((look, fit(label, width - len(text) - 1) + " " + text))
            continue
        indent = _LABEL_CELLS if look == "quiet" else len(label)
        for number, part in enumerate(wrapped(text, max(4, width - indent))):
            rows.append((look, fit(label if number == 0 else "", indent) + part))
    return rows
