"""The fourth place: what runs on the machine, who owns it, and what is free for the next job.

It looks while it is in front, and only then; the reading and the signals are made elsewhere.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from signal import Signals
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Input, Static

from cro_tui.actions import Where, bindings, footer_items
from cro_tui.poller import ScreenState
from cro_tui.present import bytes_text, counted
from cro_tui.present.headroom import headroom_lines
from cro_tui.present.process_filter import EXAMPLE, process_filter
from cro_tui.screens.ask import ConfirmDialog, DialogChoice
from cro_tui.screens.base_screen import BaseScreen
from cro_tui.widgets.lines import FooterLine, HeaderLine, NoticeLine
from cro_tui.widgets.process_list import SORTS, ProcessList
from cro_tui.widgets.strips import plain
from jobs.core.ports import CroError
from jobs.core.requests import Headroom
from jobs.machine.process_groups import GroupKind, Process, ProcessGroup

_SIGNALS = (
    DialogChoice("t", "TERM: asks it to end", "SIGTERM"),
    DialogChoice("i", "INT: as ctrl+c", "SIGINT"),
    DialogChoice("s", "STOP: pauses it", "SIGSTOP"),
    DialogChoice("c", "CONT: lets it go on", "SIGCONT"),
    DialogChoice("h", "HUP", "SIGHUP"),
    DialogChoice("k", "KILL: ends it at once, nothing is saved", "SIGKILL"),
)
_NAMED = 6
_HEADROOM_EVERY = 3  # looks: what is free for the next job takes a decision's work to tell


class ProcessesScreen(BaseScreen[None]):
    MODE = "processes"
    WHERE = Where.PROCESSES
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(Where.PROCESSES)]
    AUTO_FOCUS = "ProcessList"

    def __init__(self) -> None:
        super().__init__()
        self._groups: tuple[ProcessGroup, ...] = ()
        self._headroom: Headroom | None = None
        self._headroom_text = ""
        self._asking = False
        self._looks = 0
        self._wrong = ""
        self._sort = "cpu"
        self._cost = (0.0, 0.0)  # when, CPU seconds of this program

    def compose(self) -> ComposeResult:
        yield HeaderLine(id="header")
        yield Static("", markup=False, id="headroom")
        yield ProcessList(id="processes")
        yield NoticeLine(id="notice")
        yield Input(id="process-filter", compact=True, placeholder=EXAMPLE, select_on_focus=False)
        yield FooterLine(footer_items(Where.PROCESSES, self.host.settings.keys), id="footer")

    def on_mount(self) -> None:
        self.query_one("#process-filter").display = False
        self.each(self.host.settings.screen.refresh_s, self._look)
        self._look()

    def on_screen_resume(self) -> None:
        if self.ready:
            self._look()

    # --- looking ------------------------------------------------------------------------------

    def _look(self) -> None:
        if self._asking or not self.is_current:
            return
        self._asking = True
        source, shown = self.host.source, [process.pid for process in self.query_one(ProcessList).in_view]

        fresh, known = self._looks % _HEADROOM_EVERY == 0, self._headroom
        self._looks += 1

        def look() -> tuple[tuple[ProcessGroup, ...], Headroom | None]:
            return source.machine.processes(shown), source.forecasts.headroom() if fresh else known

        self.host.read(look, self._came, key="processes", failed=self._failed)

    def _came(self, found: tuple[tuple[ProcessGroup, ...], Headroom | None]) -> None:
        self._asking = False
        self._groups, self._headroom = found
        if self.is_attached:
            self._show()

    def _failed(self, error: CroError) -> None:
        self._asking = False
        self.host.set_notice(f"{plain(error.title)} {plain(error.detail)}".rstrip(), "bad")

    def show_state(self, picture: ScreenState) -> None:
        super().show_state(picture)
        snapshot = picture.snapshot
        width = max(20, self.size.width - 2)
        lines = headroom_lines(self._headroom, snapshot.capacity, snapshot.sample, self.host.now(), width)
        text = "\n".join(plain(line, width) for line in lines)
        if text != self._headroom_text:
            self._headroom_text = text
            self.query_one("#headroom", Static).update(text, layout=False)

    def _show(self) -> None:
        view, now = self.query_one(ProcessList), self.host.now()
        gpu = any(group.gpu_mem_bytes is not None for group in self._groups)
        typed = self.query_one("#process-filter", Input).value
        nothing = f'Nothing matches "{plain(typed, 40)}". esc shows all.' if typed else "Reading ..."
        view.show(self._groups, now, gpu=gpu, empty=nothing)
        number = sum(len(group.processes) for group in self._groups)
        state = (
            f"{counted(view.shown, 'row')} · {counted(number, 'process', 'processes')} · sort {self._sort}"
        )
        if cost := self._own_cost():
            state += f" · this screen {cost}"
        view.frame("Processes", state)
        self.show_state(self.host.state)

    def _own_cost(self) -> str:
        """What this program itself uses: CPU since the last look, and memory at most."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        now, cpu_s = time.monotonic(), used.ru_utime + used.ru_stime
        before, self._cost = self._cost, (now, cpu_s)
        if not before[0] or now <= before[0]:
            return ""
        return f"{(cpu_s - before[1]) / (now - before[0]):.1%} {bytes_text(used.ru_maxrss * 1024)}"

    def quiet_notice(self) -> tuple[str, str]:
        if self._wrong:
            return self._wrong, "warn"
        row = self.query_one(ProcessList).row
        if row is None:
            return "", "info"
        process = row.process or row.group.processes[0]
        who = counted(len(row.group.processes), "process", "processes")
        what = f"pid {process.pid} {plain(process.command or process.name, 300)}"
        return (what if row.process or len(row.group.processes) == 1 else f"{who}, first {what}"), "info"

    @on(ProcessList.CursorMoved)
    def _moved(self) -> None:
        self.show_notice()

    # --- narrowing ----------------------------------------------------------------------------

    def action_filter(self) -> None:
        field = self.query_one("#process-filter", Input)
        field.display = True
        field.focus()

    @on(Input.Changed, "#process-filter")
    def _typed(self, event: Input.Changed) -> None:
        test, self._wrong = process_filter(event.value)
        self.query_one(ProcessList).narrow(test, narrowed=bool(event.value.strip()))
        self._show()
        self._look()

    @on(Input.Submitted, "#process-filter")
    def _kept(self) -> None:
        field = self.query_one("#process-filter", Input)
        field.display = bool(field.value)
        self.query_one(ProcessList).focus()

    def action_back(self) -> None:
        field = self.query_one("#process-filter", Input)
        if field.display:
            field.value = ""
            field.display = False
            self.query_one(ProcessList).focus()
            return
        super().action_back()

    def action_sort(self) -> None:
        names = list(SORTS)
        answers = [DialogChoice(name[0], name, name) for name in names]

        def answered(answer: str | None) -> None:
            if answer is not None:
                self._sort = answer
                self.query_one(ProcessList).sort_by(answer)
                self._show()

        self.app.push_screen(ConfirmDialog("Sort by", (), answers, names.index(self._sort)), answered)

    def action_unfold(self) -> None:
        self.query_one(ProcessList).fold()

    # --- signalling ---------------------------------------------------------------------------

    def action_signal(self) -> None:
        row = self.query_one(ProcessList).row
        if row is None:
            return
        processes = (row.process,) if row.process is not None else row.group.processes
        alive = [process for process in processes if process.seen]
        if not alive:
            self.host.set_notice(plain(row.group.title, 300), "warn")
            return
        lines = [
            f"pid {each.pid}  {plain(each.user or '-', 12)}  {plain(each.command or each.name, 50)}"
            for each in alive[:_NAMED]
        ]
        if len(alive) > _NAMED:
            lines.append(f"and {len(alive) - _NAMED} more")
        if row.group.kind is GroupKind.OWN:
            lines.append(
                "This is the scheduler, with what starts jobs: cro-tui daemon --stop ends it properly."
            )
        if row.group.job_id is not None:
            cancel = self.host.key("job.cancel")
            lines.append(f"This is job #{row.group.job_id}: {cancel} on the Jobs place stops it properly.")

        def answered(answer: str | None) -> None:
            if answer is not None:
                self._send(alive, Signals[answer])

        title = f"Signal {'them' if len(alive) > 1 else 'it'}?"
        self.app.push_screen(ConfirmDialog(title, lines, _SIGNALS), answered)

    def _send(self, processes: Sequence[Process], number: Signals) -> None:
        source = self.host.source

        def sent(wrong: tuple[str, ...]) -> None:
            reached = len(processes) - len(wrong)
            said = f"{number.name} sent to {counted(reached, 'process', 'processes')}."
            if wrong:
                said = f"{said if reached else ''} {plain(' '.join(wrong[:3]), 200)}".strip()
            self.host.set_notice(said, "warn" if wrong else "info")
            self._look()

        self.host.write(lambda: source.machine.signal(processes, int(number)), sent)
