"""What reporting costs a job, what following the reports costs a screen, and how soon an alias is resolved.

`uv run python -m benchmarks.reporting`. Jobs report by the plain code that our recipes have; the files
are followed by the screen's own reader. Nothing else runs but what is measured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import machine, scratch
from jobs.records.events import EventsFile
from jobs.registry.store import Registry
from recipes.library.kit.job import report as report_event

EVENTS = 1_000
JOBS = 200
ROUNDS = 5
NAMES = 100


def cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of this process, the least of some rounds."""
    found = []
    for _ in range(ROUNDS):
        before = time.process_time()
        work()
        found.append(time.process_time() - before)
    return min(found)


def report(path: Path) -> None:
    os.environ["CRO_EVENTS"] = str(path)
    for step in range(EVENTS):
        said = {"step": step, "progress": step / EVENTS, "phase": "train", "loss": 1.0 / (step + 1)}
        report_event(**said)


def main() -> None:
    print(machine())
    with scratch() as folder:
        took = cpu_s(lambda: report(folder / "one.jsonl"))
        print(f"reporting, a line each: {took / EVENTS * 1e6:.1f} us of CPU an event")
        paths = [folder / f"{number}.jsonl" for number in range(JOBS)]
        for path in paths:
            report(path)
        files = [EventsFile(path) for path in paths]
        before = time.process_time()
        lost = JOBS * EVENTS - sum(file.look().events for file in files)
        took = time.process_time() - before
        print(f"reading {JOBS} jobs with {EVENTS} events each: {took:.2f} s of CPU, {lost} lost")
        took = cpu_s(lambda: [file.look() for file in files])
        print(f"looking at {JOBS} jobs that said nothing new: {took * 1e3:.2f} ms of CPU")
        output, registry = folder / "output", Registry(folder / "models")
        output.mkdir()
        for number in range(NAMES):
            (output / "model.joblib").write_bytes(os.urandom(1000))
            card = {
                "name": f"m{number}",
                "flavor": "sklearn",
                "registered_at": 0.0,
                "job_id": 1,
                "attempt": 1,
            }
            registry.register(output, ["model.joblib"], card)
            registry.promote(f"m{number}", "champion")
        took = cpu_s(lambda: [registry.card(f"m{number}@champion") for number in range(NAMES)])
        print(f"name@alias to its card: {took / NAMES * 1e3:.3f} ms; all {NAMES} models: ", end="")
        print(f"{cpu_s(registry.names) * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
