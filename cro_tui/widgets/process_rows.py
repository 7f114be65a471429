"""One row of the process list as exact cells, at any width. Pure: text in, text out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from cro_tui.present import bytes_text, number_text, span_text
from cro_tui.widgets.strips import fit, plain
from jobs.machine.process_groups import GroupKind, Process, ProcessGroup, io_per_s

MISSING = "-"
_KINDS = {
    GroupKind.JOB: "job",
    GroupKind.OWN: "engine",
    GroupKind.CONTAINER: "cont",
    GroupKind.SESSION: "other",
    GroupKind.KERNEL: "kernel",
    GroupKind.UNSEEN: "unseen",
}
_WIDTHS = (
    ("WHO", 7),
    ("USER", 9),
    ("CPU", 5),
    ("MEM", 6),
    ("VRAM", 6),
    ("DISK/s", 7),
    ("AGE", 6),
    ("N", 4),
)


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A group, or (with `process`) one of its processes while it is unfolded."""

    group: ProcessGroup
    process: Process | None = None
    last: bool = False

    @property
    def key(self) -> str:
        return self.group.key if self.process is None else f"{self.group.key} {self.process.pid}"


def head(width: int, *, gpu: bool) -> str:
    """The column names."""
    cells = [fit(name, size, right=name not in ("WHO", "USER")) for name, size in _columns(width, gpu=gpu)]
    return fit("  " + " ".join(cells) + "  WHAT", width)


def text_of(
    row: ProcessRow, width: int, now: float, *, cursor: bool, unfolded: bool, gpu: bool
) -> tuple[str, str]:
    """The mark and the first column, and the rest: the first one has a look of its own."""
    values = _values(row, now)
    columns = _columns(width, gpu=gpu)
    cells = [fit(values[name], size, right=name not in ("WHO", "USER")) for name, size in columns]
    sign = "" if row.process is not None else ("- " if unfolded else "+ ")
    if len(row.group.processes) == 1:
        sign = "" if row.process is not None else "  "
    branch = "" if row.process is None else ("`- " if row.last else "|- ")
    what = _held(row, now) + _shown(_what(row))
    lead = f"{'>' if cursor else ' '} {cells[0]}"
    rest = " " + " ".join(cells[1:]) + f"  {sign}{branch}{what}"
    return lead, fit(rest, max(0, width - len(lead)))


def _columns(width: int, *, gpu: bool) -> list[tuple[str, int]]:
    columns = [each for each in _WIDTHS if gpu or each[0] != "VRAM"]
    if width < 100:
        columns = [each for each in columns if each[0] not in ("N", "DISK/s")]
    return columns


def _values(row: ProcessRow, now: float) -> dict[str, str]:
    of, group = row.process or row.group, row.group
    io = io_per_s(of) if isinstance(of, Process) else of.io_per_s
    who = _KINDS[group.kind] if group.job_id is None else f"#{group.job_id}"
    return {
        "WHO": who if row.process is None else str(row.process.pid),
        "USER": plain(of.user or MISSING, 20),
        "CPU": _cores(of.cpus),
        "MEM": bytes_text(of.mem_bytes),
        "VRAM": bytes_text(of.gpu_mem_bytes),
        "DISK/s": MISSING if io is None else bytes_text(io),
        "AGE": _age(of.started_at, now),
        "N": str(len(group.processes)) if row.process is None else "",
    }


@lru_cache(maxsize=1024)  # the same words come every second
def _shown(what: str) -> str:
    return plain(what, 400)


def _age(started_at: float | None, now: float) -> str:
    """In minutes at least, so that rows which do nothing need not be drawn every second."""
    if started_at is None:
        return MISSING
    return "<1m" if now - started_at < 60 else span_text(now - started_at)


def _cores(cpus: float | None) -> str:
    return number_text(None if cpus is None else round(cpus, 2))


def idle(row: ProcessRow) -> tuple[int, float] | None:
    """GPU memory that it holds for nothing, and since when."""
    process = row.process
    if process is None:
        return row.group.gpu_idle
    return (
        None if process.gpu_idle_since_at is None else (process.gpu_idle_bytes, process.gpu_idle_since_at)
    )


def _held(row: ProcessRow, now: float) -> str:
    found = idle(row)
    return "" if found is None else f"holds {bytes_text(found[0])}, idle {span_text(now - found[1])}: "


def _what(row: ProcessRow) -> str:
    if row.process is None:
        return row.group.title
    return row.process.command or f"[{row.process.name}]"
