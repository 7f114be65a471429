"""What every command begins with and ends with: the client of this installation, and plain output.

The client is made here and nowhere else among the commands. Nothing is printed that could act on a
terminal.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cro_tui.present import cells, cut, pad
from jobs.client import Client
from jobs.core.jobs import Cancelled, Ended, Failed, Job, Lost, OutOfMemory, Succeeded, TimedOut
from jobs.core.ports import StateUnavailable

TIMED_OUT, LOST, COULD_NOT_START, CANCELLED, OUT_OF_MEMORY, SIGNALLED = 124, 125, 127, 130, 137, 128
STILL_GOING = 4
NARROWEST, NARROWEST_COLUMN = 40, 12
EXIT_CODES_HELP = (
    "Exit code: the job's own when it succeeded or failed, 128 + the signal that ended it, 124 at its time "
    "limit, 125 lost, 127 when it could not start, 130 cancelled, 137 out of memory."
)


@contextmanager
def open_client() -> Iterator[Client]:
    """The client of this installation. Raises BadInput for settings that cannot be used."""
    with Client.open() as client:
        try:
            yield client
        finally:
            for text in client.scheduler.notices():
                note(text)


def with_scheduler(client: Client) -> None:
    """Start a scheduler unless one runs; when that fails, say so and go on: what was asked for is kept."""
    try:
        client.scheduler.start()
    except StateUnavailable as error:
        note(f"It is written down and will be done once a scheduler runs. {error}")


def note(text: str) -> None:
    """A remark for the person, beside the answer."""
    from cro_tui.present import clean

    for line in text.splitlines():
        print(clean(line, 2000), file=sys.stderr)


def print_json(value: Any) -> None:
    json.dump(value, sys.stdout, indent=2)
    sys.stdout.write("\n")


def now_s() -> float:
    return time.time()


def exit_code_of(job: Job) -> int:
    """The exit code that stands for a job's end; STILL_GOING while it has not ended."""
    match job.state:
        case Succeeded():
            return 0
        case Failed(exit_code=int(code)):
            return code
        case Failed(signal=int(number)):
            return SIGNALLED + number
        case Failed():
            return COULD_NOT_START
        case Cancelled():
            return CANCELLED
        case TimedOut():
            return TIMED_OUT
        case OutOfMemory():
            return OUT_OF_MEMORY
        case Lost():
            return LOST
        case _:
            return STILL_GOING


def exit_code_of_all(jobs: Iterable[Job]) -> int:
    """0 when all succeeded, else the first that is not 0; a job that has not ended counts last."""
    codes = [exit_code_of(job) for job in jobs]
    ended = [code for code in codes if code not in (0, STILL_GOING)]
    return next(iter(ended), max(codes, default=0))


def has_ended(job: Job) -> bool:
    return isinstance(job.state, Ended)


def print_table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Iterable[int] = (),
    stretch: Sequence[int] = (),
) -> None:
    """Aligned columns. On a narrow terminal the `stretch` columns give way, the first one first."""
    aligned = frozenset(right)
    widths = [max(cells(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    if sys.stdout.isatty():
        missing = sum(widths) + len(widths) - 1 - _columns()
        for i in stretch:
            narrower = max(min(widths[i], NARROWEST_COLUMN), widths[i] - max(0, missing))
            missing -= widths[i] - narrower
            widths[i] = narrower
    for row in (heads, *rows):
        parts = [pad(text, widths[i], right=i in aligned) for i, text in enumerate(row)]
        print(" ".join(parts).rstrip())


def print_pairs(pairs: Iterable[tuple[str, str]]) -> None:
    """Labelled lines, the values aligned."""
    shown = [(label, value) for label, value in pairs if value]
    width = max((cells(label) for label, _ in shown), default=0)
    for label, value in shown:
        print(f"{pad(label, width)}  {value}")


def fit(text: str) -> str:
    """A line as wide as the terminal; whole where there is none."""
    if not sys.stdout.isatty():
        return text
    return cut(text, max(NARROWEST, _columns()))


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size().columns
