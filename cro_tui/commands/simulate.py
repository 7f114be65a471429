"""simulate: what would become of a trace, or of this machine's own past, with other settings or sizes."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cro_tui.commands.command_context import note, open_client, print_json, print_table
from cro_tui.commands.options import cores, json_option, mem_bytes, whole
from cro_tui.present.amounts import bytes_text, counted, number_text, span_text
from cro_tui.present.replayed import HEADS, replayed_rows
from jobs.core.ports import BadInput

if TYPE_CHECKING:
    from jobs.core.machine import Capacity
    from jobs.simulation.what_if import MachineSize, Replayed

WIDTH, HEIGHT = 60, 3


_count = whole("number of GPUs", "1")


def _on(text: str) -> MachineSize:
    """64,256G,8 - the GPUs may be left out. Raises BadInput."""
    words = text.split(",")
    if len(words) not in (2, 3):
        raise BadInput(f"{text[:40]!r} is no machine: write cores, memory and GPUs like 64,256G,8.")
    from jobs.simulation.what_if import MachineSize

    size = MachineSize(cores(words[0]), mem_bytes(words[1]), _count(words[2]) if len(words) == 3 else 0)
    if size.cpus <= 0 or size.mem_bytes <= 0 or size.gpus < 0:
        raise BadInput(f"{text[:40]!r} is no machine: its numbers must be more than 0.")
    return size


@click.command(short_help="Replay the past, or a trace, with other settings or sizes.")
@click.argument("trace", required=False, type=click.Path(path_type=Path))
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a setting; repeatable.")
@click.option("--on", type=_on, metavar="CPUS,MEM,GPUS",
              help="The machine as it is, if it is not this one: 64,256G,8.")  # fmt: skip
@click.option("--cpus", metavar="N", help="Another number of cores, like 32; +8 is so many more.")
@click.option("--mem", metavar="SIZE", help="Another size of memory, like 128G or +64G.")
@click.option("--gpus", metavar="N", help="Another number of GPUs, like 2 or +1.")
@click.option("--load", type=cores, metavar="SHARE", help="Stretch arrivals to this load, like 0.9.")
@click.option("--last", type=whole("number of jobs", "1000"), default=4000, metavar="N", show_default=True,
              help="Only the last so many jobs.")  # fmt: skip
@json_option
def simulate(
    *,
    trace: Path | None,
    on: MachineSize | None,
    changes: tuple[str, ...],
    cpus: str | None,
    mem: str | None,
    gpus: str | None,
    load: float | None,
    last: int,
    as_json: bool,
) -> int:
    """Replay the jobs that have run here, or a TRACE (CSV or SWF), in virtual time with the scheduler's own
    rules, and compare: one more GPU, no eviction, another order. Nothing is started or changed.

    \b
      cro-tui simulate --gpus +1
      cro-tui simulate --set admission.evict=false --set admission.learned_order=false
      cro-tui simulate trace.swf --on 64,256G,8 --load 0.9 --gpus +1

    A CSV has the columns submit_s, runtime_s, cpus and mem_gb, and may have requested_runtime_s, gpus,
    gpu_frac and user. Slowdown is the time from submit to end over the run time (at least 10 s).
    """
    if load is not None and not 0 < load <= 100:
        raise BadInput(f"The load must be more than 0, not {load:g}.", "Write it like --load 0.9.")
    if last < 1:
        raise BadInput("--last must be 1 or more.")
    with open_client() as client:
        here = _size_of(client.machine.capacity()) if on is None else on
        changed = _changed(here, cpus, mem, gpus)
        found = client.forecasts.replay(
            trace, here, changed, changes=changes, load=load, last=last, progress=_progress
        )
        ascii_only = client.settings.screen.graph == "ascii"
    _progress(None)
    before, after = found.before, found.after
    if as_json:
        print_json(asdict(found))
        return 0
    source = "that have run here" if trace is None else f"of {trace.name}"
    print(f"{counted(found.jobs, 'job')} {source}, on {_machine(here)}")
    if changed != here:
        print(f"changed: {_machine(changed)}")
    for change in changes:
        print(f"changed: {change}")
    print()
    rows = replayed_rows(before, after)
    heads = HEADS if after is not None else HEADS[:2]
    print_table(heads, [row[: len(heads)] for row in rows], right=range(1, len(heads)))
    most = max(*before.waiting, *(after.waiting if after is not None else ()), 1.0)
    for title, each in (("as it is", before), ("changed", after)):
        if each is not None:
            _draw(title, each, most, ascii_only=ascii_only)
    print()
    saving = "" if trace is None else ", and all to be able to save and go on"
    note(f"Jobs are taken to hold what they asked for from start to end, to take as long anywhere{saving}.")
    return 0


def _size_of(capacity: Capacity) -> MachineSize:
    from jobs.simulation.what_if import MachineSize

    return MachineSize(capacity.cpus, capacity.mem_bytes, len(capacity.devices))


def _changed(here: MachineSize, cpus: str | None, mem: str | None, gpus: str | None) -> MachineSize:
    """That machine with the sizes that are named. Raises BadInput."""
    changed = here
    if cpus is not None:
        changed = replace(changed, cpus=_size(cpus, here.cpus, cores, "--cpus"))
    if mem is not None:
        changed = replace(changed, mem_bytes=int(_size(mem, here.mem_bytes, mem_bytes, "--mem")))
    if gpus is not None:
        changed = replace(changed, gpus=int(_size(gpus, here.gpus, _count, "--gpus")))
    return changed


def _size(text: str, here: float, read: object, option: str) -> float:
    """A size, or with + or - how much more or less than here."""
    assert callable(read)
    relative = text[:1] in ("+", "-")
    value = float(read(text[1:] if relative else text))
    if relative:
        value = here + value if text[0] == "+" else here - value
    if value < 0 or (value == 0 and option != "--gpus"):
        raise BadInput(f"{option} {text[:20]} leaves nothing.", "Name a larger size.")
    return value


def _machine(size: MachineSize) -> str:
    cpus, gpus = counted(float(number_text(size.cpus)), "core"), counted(size.gpus, "GPU")
    return f"{cpus}, {bytes_text(size.mem_bytes)} of memory, {gpus}"


def _progress(share: float | None) -> None:
    """A line on the terminal that is written over, and wiped at the end (None)."""
    if sys.stderr.isatty():
        text = "" if share is None else f"replaying {share:4.0%} (ctrl+c stops)"
        print(f"\r{text:<40}" + ("\r" if share is None else ""), end="", file=sys.stderr, flush=True)


def _draw(title: str, replayed: Replayed, most: float, *, ascii_only: bool) -> None:
    from cro_tui.widgets.graph import graph_rows

    print(f"\n{title}: machine in use (top 100 %), jobs waiting (top {most:.0f}), over {_span(replayed)}")
    step = 2 if ascii_only else 1
    busy = [min(1.0, each) for each in replayed.busy[::step]]
    waiting = [each / most for each in replayed.waiting[::step]]
    for name, values in (("use ", busy), ("wait", waiting)):
        for row, cells in enumerate(graph_rows(values, WIDTH, HEIGHT, ascii_only=ascii_only)):
            print(f"  {name if row == HEIGHT - 1 else '    '} |{cells}|")


def _span(replayed: Replayed) -> str:
    return span_text(replayed.figures.makespan_s)
