"""Warm starts against what else there is: short scikit-learn and TensorFlow jobs, a process for each.

`uv run python -m benchmarks.warm` (Debian package `task-spooler` for its row), `--quick` for a rough form.
Every round has a scheduler, a queue and warm processes (or workers) of its own, so that their start is in
the figures; the pools of `benchmarks.peers` alone are up, with all imported, before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from benchmarks import peers
from benchmarks.measure import SPREAD, Row, machine, packaged, running_client, scratch, spread, table, timed
from jobs.client import Client
from jobs.core.requests import SubmitRequest

FOREST = """# /// script
# dependencies = ["scikit-learn"]
# [tool.cro]
# title = "A small forest"
# framework = "sklearn"
# [tool.cro.resources]
# cpus = 1
# mem = "400M"
# ///
import json, os, time
import sklearn.datasets, sklearn.ensemble
imported_at = time.time()
X, y = sklearn.datasets.load_digits(return_X_y=True)
sklearn.ensemble.RandomForestClassifier(20, n_jobs=1, random_state=0).fit(X, y)
with open(os.path.join(os.environ.get("CRO_OUTPUT_DIR", "."), "metrics.json"), "w") as file:
    json.dump({"imported_at": imported_at}, file)
"""
DENSE = """# /// script
# dependencies = ["tensorflow"]
# [tool.cro]
# title = "A small network"
# framework = "tensorflow"
# [tool.cro.resources]
# cpus = 0.5
# mem = "1500M"
# ///
import json, os, time
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras, sklearn.datasets, tensorflow
imported_at = time.time()
X, y = sklearn.datasets.load_digits(return_X_y=True)
model = keras.Sequential(
    [keras.Input((64,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(10, "softmax")]
)
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(X / 16, y, epochs=3, verbose=0)
with open(os.path.join(os.environ.get("CRO_OUTPUT_DIR", "."), "metrics.json"), "w") as file:
    json.dump({"imported_at": imported_at}, file)
"""
SETTINGS = """[admission]
warm_starts = {warm}
foreign_cpu_tolerance = 1.0
memory_some_close = 100
memory_full_close = 100
cpu_some_close = 100
"""


class Round:
    """What one queue of recipe jobs took: wall seconds and peak memory."""

    def __init__(self, folder: Path, recipe: str, jobs: int, *, warm: bool) -> None:
        with running_client(folder, SETTINGS.format(warm=str(warm).lower())) as client:
            (client.home.recipes / "job.py").write_text(recipe)
            with Memory(client) as memory:
                self.seconds = timed(lambda: self._run(client, jobs))
            self.peak_bytes = memory.peak_bytes

    def _run(self, client: Client, jobs: int) -> None:
        ids = client.jobs.submit([SubmitRequest(recipe="job")] * jobs)
        ended = client.jobs.wait(ids)
        assert all(job.state.name == "succeeded" for job in ended), ended[0]


class Memory:
    """The most that jobs, supervisors and resident processes hold together, shared pages counted once."""

    def __init__(self, client: Client) -> None:
        self._daemon = psutil.Process(client.scheduler.status().pid)
        self.peak_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.25):
            held = 0
            for process in self._daemon.children(recursive=True):
                try:
                    held += process.memory_full_info().pss
                except psutil.Error:
                    continue
            self.peak_bytes = max(self.peak_bytes, held)


def forest() -> None:
    """The same work as FOREST's, for workers that have imported the library."""
    import sklearn.datasets
    import sklearn.ensemble

    data, target = sklearn.datasets.load_digits(return_X_y=True)
    sklearn.ensemble.RandomForestClassifier(20, n_jobs=1, random_state=0).fit(data, target)


def loky(jobs: int) -> None:
    """Two warm workers, which all jobs share."""
    from joblib.externals.loky import ProcessPoolExecutor

    with ProcessPoolExecutor(2, initializer=forest) as pool:
        for future in [pool.submit(forest) for _ in range(jobs)]:
            future.result()


def task_spooler(folder: Path, jobs: int) -> None:
    """A fresh interpreter for each job, two slots."""
    folder = Path(tempfile.mkdtemp(dir=folder))
    (folder / "job.py").write_text(FOREST)
    environ = {**os.environ, "TS_SOCKET": str(folder / "socket"), "TMPDIR": str(folder)}
    environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

    def tsp(*words: str) -> None:
        subprocess.run(["tsp", *words], env=environ, cwd=folder, check=True, capture_output=True)

    tsp("-S", "2")
    for _ in range(jobs):
        tsp(sys.executable, "job.py")
    for number in range(jobs):
        tsp("-w", str(number))
    tsp("-K")


def launches(folder: Path, recipe: str, jobs: int, *, warm: bool) -> list[float]:
    """Seconds from the executor's request to the recipe's first line with all imported, one at a time."""
    found: list[float] = []
    with running_client(folder, SETTINGS.format(warm=str(warm).lower())) as client:
        (client.home.recipes / "job.py").write_text(recipe)
        (first,) = client.jobs.wait(
            client.jobs.submit([SubmitRequest(recipe="job")])
        )  # fills caches, starts the zygote
        assert first.state.name == "succeeded", first
        for _ in range(3 * jobs + 20):  # the first ones start cold, until the warm process is up
            if len(found) == jobs:
                break
            (job,) = client.jobs.wait(client.jobs.submit([SubmitRequest(recipe="job")]))
            of_it = client.runs.output_dir(job.id).parent
            if json.loads((of_it / "pid.json").read_text())["warm"] is warm:
                asked_at = json.loads((of_it / "spec.json").read_text())["asked_at"]
                found.append(dict(job.metrics)["imported_at"] - asked_at)
    return found


def repeated(rounds: int, work: Callable[[], object]) -> tuple[float, ...]:
    return tuple(timed(work) for _ in range(rounds))


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything one run does."""

    rounds: int = 5
    forests: int = 100
    cold_forests: int = 20
    networks: int = 20
    warm_launches: int = 200
    cold_launches: int = 50
    cold_network_launches: int = 20


QUICK = Size(1, 20, 6, 4, 20, 5, 2)


def of_forests(folder: Path, size: Size) -> str:
    warm = [Round(folder, FOREST, size.forests, warm=True) for _ in range(size.rounds)]
    cold = [Round(folder, FOREST, size.cold_forests, warm=False) for _ in range(size.rounds)]
    rows = [
        Row("loky, two warm workers", repeated(size.rounds, lambda: loky(size.forests)), size.forests),
        Row("cro-tui, warm", tuple(each.seconds for each in warm), size.forests),
        Row("cro-tui, cold", tuple(each.seconds for each in cold), size.cold_forests),
    ]
    left_out = []
    if shutil.which("tsp"):
        seconds = repeated(size.rounds, lambda: task_spooler(folder, size.cold_forests))
        rows.append(Row(f"task-spooler {packaged('task-spooler')}", seconds, size.cold_forests))
    for name in peers.POOLS:
        found = peers.measure(name, "forest", size.forests, size.rounds)
        if found.seconds:
            rows.append(
                Row(
                    f"{name} {found.version}, two workers (up before the clock starts)",
                    found.seconds,
                    size.forests,
                )
            )
        else:
            left_out.append(f"\nLeft out: {name}: {found.why_not}.")
    return "\n".join([table("Forests of 20 trees on digits, two at once", rows, rows[0].name), *left_out])


def of_networks(folder: Path, size: Size) -> str:
    warm = [Round(folder, DENSE, size.networks, warm=True) for _ in range(size.rounds)]
    cold = [Round(folder, DENSE, size.networks, warm=False) for _ in range(size.rounds)]
    rows = [
        Row("cro-tui, cold", tuple(each.seconds for each in cold), size.networks),
        Row("cro-tui, warm", tuple(each.seconds for each in warm), size.networks),
    ]
    lines = [table("Networks of one layer on digits, 3 epochs, four at once", rows, rows[0].name), ""]
    for name, each in (("cold", cold), ("warm", warm)):
        peak = statistics.median(one.peak_bytes for one in each)
        lines.append(f"Peak proportional memory, {name}: {peak / 2**20:.0f} MiB")
    return "\n".join(lines)


def of_launches(folder: Path, size: Size) -> str:
    """One job at a time: what a person who queues one job sees."""
    lines = [SPREAD]
    for name, recipe, cold_jobs in (
        ("scikit-learn", FOREST, size.cold_launches),
        ("TensorFlow", DENSE, size.cold_network_launches),
    ):
        warm_s = launches(folder, recipe, size.warm_launches, warm=True)
        lines.append(spread(f"{name}, warm: launch to its libraries imported", warm_s))
        cold_s = launches(folder, recipe, cold_jobs, warm=False)
        lines.append(spread(f"{name}, cold: launch to its libraries imported", cold_s))
    return "\n".join(lines)


PARTS = {"forests": of_forests, "networks": of_networks, "launches": of_launches}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", choices=PARTS, help="one of the tables")
    parser.add_argument("--quick", action="store_true", help="one small round of each")
    options = parser.parse_args()
    size = QUICK if options.quick else Size()
    if options.rounds:
        size = replace(size, rounds=options.rounds)
    print(machine())
    with scratch() as folder:
        for name, part in PARTS.items():
            if options.only in (None, name):
                print("\n" + part(folder, size), flush=True)


if __name__ == "__main__":
    main()
