"""Warm starts against what else there is: short scikit-learn and TensorFlow jobs, a process for each.

`uv run python -m benchmarks.warm` (Debian package `task-spooler` for its row). Every round has a
scheduler, a queue and warm processes (or workers) of its own, so that their start is in the figures.
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
from pathlib import Path

import psutil

from benchmarks.measure import Row, machine, running_api, scratch, table, timed, version
from jobs.api import Api
from jobs.views import SubmitRequest

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
    """What one queue of recipe jobs took: wall seconds, the delays to the imported line, peak memory."""

    def __init__(self, folder: Path, recipe: str, jobs: int, *, warm: bool) -> None:
        with running_api(folder, SETTINGS.format(warm=str(warm).lower())) as api:
            (api.home.recipes / "job.py").write_text(recipe)
            with Memory(api) as memory:
                self.seconds = timed(lambda: self._run(api, jobs))
            self.peak_bytes = memory.peak_bytes

    def _run(self, api: Api, jobs: int) -> None:
        ids = api.submit([SubmitRequest(recipe="job")] * jobs)
        ended = api.wait(ids)
        assert all(job.state.name == "succeeded" for job in ended), ended[0]
        self.delays_s = []
        for job in ended:
            asked_at = json.loads((api.output_dir(job.id).parent / "spec.json").read_text())["asked_at"]
            self.delays_s.append(dict(job.metrics)["imported_at"] - asked_at)


class Memory:
    """The most that jobs, supervisors and resident processes hold together, shared pages counted once."""

    def __init__(self, api: Api) -> None:
        self._daemon = psutil.Process(api.daemon_status().pid)
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


def repeated(rounds: int, work: Callable[[], object]) -> tuple[float, ...]:
    return tuple(timed(work) for _ in range(rounds))


def delays(name: str, seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"| {name} | {statistics.median(ordered) * 1000:.0f} | {p99 * 1000:.0f} | {len(ordered)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tensorflow-rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"{machine()}; {version('tsp', '-V')}\n")
    with scratch() as folder:
        warm = [Round(folder, FOREST, 100, warm=True) for _ in range(options.rounds)]
        cold = [Round(folder, FOREST, 20, warm=False) for _ in range(options.rounds)]
        rows = [
            Row("loky, two warm workers", repeated(options.rounds, lambda: loky(100)), 100),
            Row("cro-tui, warm", tuple(each.seconds for each in warm), 100),
            Row("cro-tui, cold", tuple(each.seconds for each in cold), 20),
        ]
        if shutil.which("tsp"):
            seconds = repeated(options.rounds, lambda: task_spooler(folder, 20))
            rows.append(Row("task-spooler", seconds, 20))
        print(table("Forests of 20 trees on digits, two at once", rows, rows[0].name) + "\n")
        lines = ["| launch to the libraries imported | median ms | 99th percentile ms | jobs |"]
        lines += ["| --- | ---: | ---: | ---: |"]
        lines.append(delays("scikit-learn, warm", [s for each in warm for s in sorted(each.delays_s)[:-2]]))
        lines.append(delays("scikit-learn, cold", [s for each in cold for s in each.delays_s]))
        rounds = options.tensorflow_rounds
        warm = [Round(folder, DENSE, 20, warm=True) for _ in range(rounds)]
        cold = [Round(folder, DENSE, 20, warm=False) for _ in range(rounds)]
        rows = [
            Row("cro-tui, cold", tuple(each.seconds for each in cold), 20),
            Row("cro-tui, warm", tuple(each.seconds for each in warm), 20),
        ]
        print(table("Networks of one layer on digits, 3 epochs, four at once", rows, rows[0].name) + "\n")
        for name, each in (("cold", cold), ("warm", warm)):
            peak = statistics.median(one.peak_bytes for one in each)
            print(f"Peak proportional memory, {name}: {peak / 2**20:.0f} MiB")
        lines.append(delays("TensorFlow, warm", [s for each in warm for s in sorted(each.delays_s)[:-4]]))
        lines.append(delays("TensorFlow, cold", [s for each in cold for s in each.delays_s]))
        print("\n" + "\n".join(lines))
        print("\nThe jobs that waited for the warm process itself to start are left out of the delays.")


if __name__ == "__main__":
    main()
