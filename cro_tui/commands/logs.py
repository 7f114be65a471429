"""logs: what a job printed, all of it, its end, or as it comes.

On a terminal every line is cleaned, so that no output can act on it; a pipe gets the bytes as they are.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from contextlib import closing
from pathlib import Path

import click

from cro_tui.commands.command_context import (
    EXIT_CODES_HELP,
    exit_code_of,
    has_ended,
    note,
    now_s,
    open_client,
    print_json,
    with_scheduler,
)
from cro_tui.commands.options import job_id, json_option, whole
from cro_tui.commands.wait import ending
from cro_tui.present import cut, next_step, reason_sentence, state_word
from jobs.client import Client
from jobs.core.jobs import Job, JobId, Waiting
from jobs.core.ports import BadInput
from jobs.records.logs import hole_in, line_for
from jobs.records.text import collapse

BLOCK_BYTES = 1 << 16
MAX_LINE_BYTES = 1 << 16
LOOK_EVERY_S = 0.1
TELL_AFTER_S = 1.0  # of waiting, before it says why
_CLEAR_LINE = "\r\x1b[K"


@click.command(short_help="Print what a job printed.", epilog=f"With --follow: {EXIT_CODES_HELP}")
@click.argument("id_", metavar="ID", type=job_id)
@click.option("-f", "--follow", is_flag=True, help="Go on until it ends, and leave with its fate.")
@click.option(
    "-n", "--lines", type=whole("number of lines", "20"), metavar="N", help="Only the last N lines."
)
@click.option("--attempt", type=whole("attempt", "1"), metavar="N", help="Of an earlier attempt.")
@click.option("--raw", is_flag=True, help="The bytes as they are, on a terminal, too.")
@json_option
def logs(  # noqa: PLR0917 - click calls it by keyword
    id_: JobId, follow: bool, lines: int | None, attempt: int | None, raw: bool, as_json: bool
) -> int:
    """Print what a job printed. Ctrl-C leaves the job running.

    \b
      cro-tui logs -f 12
      cro-tui logs -n 20 12
    """
    if lines is not None and lines < 0:
        raise BadInput(f"The number of lines must be 0 or more, not {lines}.")
    if as_json and (follow or raw):
        raise BadInput("--json prints what is there now: leave out --follow and --raw.")
    with open_client() as client:
        job = client.forecasts.explain(id_)
        if attempt is not None and not 1 <= attempt <= max(1, job.attempts):
            raise BadInput(
                f"Job {id_} has no attempt {attempt}: write one from 1 to {max(1, job.attempts)}."
            )
        path = client.runs.log_path(id_, attempt)
        if follow:
            return follow_job(client, id_, attempt=attempt, last=lines, raw=raw)
        if as_json:
            shown = attempt or job.attempts or None
            print_json({"id": id_, "attempt": shown, "path": str(path), "lines": _lines(path, lines)})
            return 0
        if not path.exists() and (removed_at := client.runs.files_removed_at(id_)) is not None:
            at = time.strftime("%Y-%m-%d %H:%M", time.localtime(removed_at))
            note(f"The files of job {id_} were removed on {at} to make room: see [keep] in the settings.")
            return 0
        if not path.exists():
            note(f"Job {id_} has printed nothing: it is {state_word(job)}. Try: {next_step(job).command}")
            return 0
        with closing(_Printer(path, raw)) as printer:
            printer.skip_to_last(lines)
            printer.print_new()
            printer.finish()
    return 0


def follow_job(
    client: Client, id_: JobId, *, attempt: int | None = None, last: int | None = None, raw: bool = False
) -> int:
    """Print what the job prints until it has ended; its exit code."""
    printer: _Printer | None = None
    try:
        with closing(client.scheduler.watch()) as watcher:
            if not has_ended(client.jobs.get(id_)):
                with_scheduler(client)
            tell_at = time.monotonic() + TELL_AFTER_S
            while True:
                job = client.jobs.get(id_)
                if time.monotonic() > tell_at:
                    tell_at = math.inf
                    if isinstance(job.state, Waiting):
                        note(_waits(job))
                over = has_ended(job)
                path = client.runs.log_path(id_, attempt)
                if printer is None or printer.path != path:
                    if printer is not None:
                        printer.finish()
                        printer.close()
                    printer = _Printer(path, raw)
                    printer.skip_to_last(last)
                    last = None
                printer.print_new()
                if over:
                    break
                watcher.wait(LOOK_EVERY_S)
        printer.finish()
        note(ending(job))
        return exit_code_of(job)
    except KeyboardInterrupt:
        if printer is not None:
            printer.finish()
        note(f"#{id_} goes on. Come back with: cro-tui logs -f {id_}. Stop it with: cro-tui cancel {id_}")
        raise
    finally:
        if printer is not None:
            printer.close()


class _Printer:
    """Prints a growing file; remembers how far it came."""

    def __init__(self, path: Path, raw: bool) -> None:
        self.path = path
        self._clean = sys.stdout.isatty() and not raw
        self._descriptor: int | None = None
        self._offset = 0
        self._last = b""
        self._rest = b""

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def skip_to_last(self, lines: int | None) -> None:
        """Begin so many lines before the end; None begins at the start."""
        if lines is None or not self._opened():
            return
        assert self._descriptor is not None
        dropped, after = hole_in(self._descriptor) or (0, 0)
        start = os.fstat(self._descriptor).st_size
        wanted, first = lines, True
        while start > 0 and wanted >= 0:
            if start == after:  # the rest, and before it the line that says how much was dropped
                self._offset = dropped
                return
            size = min(BLOCK_BYTES, start - (after if start > after else 0))
            block = os.pread(self._descriptor, size, start - size)
            at = len(block)
            if first and block.endswith(b"\n"):
                at -= 1
            first = False
            while wanted > 0 and (at := block.rfind(b"\n", 0, at)) >= 0:
                wanted -= 1
            if wanted == 0:
                self._offset = start - size + at + 1 if lines else start
                return
            start -= size

    def print_new(self) -> None:
        """Print what was written since the last time."""
        if not self._opened():
            return
        assert self._descriptor is not None
        while block := self._next():
            if self._clean:
                self._print_clean(block)
            else:
                sys.stdout.buffer.write(block)
        sys.stdout.flush()

    def _next(self) -> bytes:
        """The next bytes; for a part that was dropped before it was read here, a line that says so."""
        assert self._descriptor is not None
        while True:
            first, after = hole_in(self._descriptor) or (0, 0)
            if first <= self._offset < after:
                missed, self._offset = after - self._offset, after
                return line_for(missed, after=self._last)
            size = min(BLOCK_BYTES, first - self._offset) if self._offset < first else BLOCK_BYTES
            block = os.pread(self._descriptor, size, self._offset)
            if (hole_in(self._descriptor) or (0, 0))[1] <= max(after, self._offset):
                self._offset += len(block)
                self._last = block[-1:] or self._last
                return block

    def finish(self) -> None:
        """End an unfinished line on a terminal."""
        if self._clean and self._rest:
            sys.stdout.write("\n")
            self._rest = b""
        sys.stdout.flush()

    def _print_clean(self, block: bytes) -> None:
        if self._rest:
            sys.stdout.write(_CLEAR_LINE)
        *whole_lines, rest = (self._rest + block).split(b"\n")
        for line in whole_lines:
            sys.stdout.write(collapse(line) + "\n")
        self._rest = rest[-MAX_LINE_BYTES:]
        if self._rest:
            sys.stdout.write(cut(collapse(self._rest), shutil.get_terminal_size().columns - 1))

    def _opened(self) -> bool:
        if self._descriptor is None:
            try:
                self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return False
        return True


def _lines(path: Path, last: int | None) -> list[str]:
    from jobs.records.logs import LogFile

    with LogFile(path) as log:
        log.refresh()
        if last is not None:
            return log.tail(last)
        while not log.complete and log.refresh():
            pass
        return log.read_lines(0, log.line_count)


def _waits(job: Job) -> str:
    why = reason_sentence(job.reasons[0], now_s()) if job.reasons else ""
    return f"#{job.id} waits. {why} What it prints follows here."
