"""What the queue grants a recipe, and what the recipe reports back.

Run by hand, without the queue's variables, everything here still works: outputs go to a folder named after
the recipe, and reports go nowhere.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path

Main = Callable[[Sequence[str] | None], None]


class BadData(Exception):
    """Input that cannot be used; the message is one sentence for whoever started the recipe."""


def run(main: Main, argv: Sequence[str] | None = None) -> int:
    """Call `main(argv)` and return the exit code: 2, with one line on stderr, for BadData."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, str(cpus()))
    if isinstance(sys.stdout, TextIOWrapper):  # a notebook has a stream of its own
        sys.stdout.reconfigure(line_buffering=True)
    try:
        main(argv)
    except BadData as problem:
        line = "".join(char if char.isprintable() else " " for char in str(problem))
        print(f"error: {' '.join(line.split())[:400]}", file=sys.stderr)
        return 2
    return 0


def cpus() -> int:
    """The number of cores granted, at least 1."""
    try:
        return max(1, int(float(os.environ.get("CRO_CPUS") or os.cpu_count() or 1)))
    except (ValueError, OverflowError):
        return 1


def output_folder() -> Path:
    """The folder for everything the recipe makes; created if need be."""
    recipe = getattr(sys.modules["__main__"], "__file__", None) or "recipe"
    folder = Path(os.environ.get("CRO_OUTPUT_DIR") or f"{Path(recipe).stem}-output")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def save_metrics(metrics: Mapping[str, float], folder: Path) -> None:
    """Write the finite metrics to `metrics.json`, report them, and print them as the last line."""
    finite = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
    part = folder / "metrics.json.part"
    part.write_text(json.dumps(finite, indent=1) + "\n")
    part.replace(folder / "metrics.json")
    report(progress=1, **finite)
    print("metrics  " + "  ".join(f"{name} {value:.4g}" for name, value in finite.items()), flush=True)


OPENED: dict[str, int] = {}  # descriptors that report() keeps: opening a file costs more than a line
OWNER = os.getpid()  # the process they belong to; a forked worker opens the file for each line


def report(**event: object) -> None:
    """Append one line to `CRO_EVENTS`: step, progress (0 to 1), phase, note, or metrics by name."""
    if path := os.environ.get("CRO_EVENTS"):
        line = (json.dumps(event) + "\n").encode()
        try:
            if os.getpid() != OWNER:
                with open(path, "ab", buffering=0) as file:
                    file.write(line)
                return
            if path not in OPENED:
                OPENED[path] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            os.write(OPENED[path], line)  # in one piece, so that lines never mix
        except OSError as problem:  # a full disk, for example: training continues
            print(f"note: nothing could be reported, {problem}", file=sys.stderr, flush=True)
