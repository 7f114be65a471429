"""Worker pools of other projects, each in a throw-away environment that uv makes: dask and ray.

They share a few resident processes between all jobs and keep no job on disk. A pool is started and warmed
before the clock starts; what is timed is submitting the jobs and having all their results.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

WORKS = {
    "true": ("import subprocess\ndef work(_):\n    return subprocess.run(['true'], check=True).returncode"),
    "forest": (
        "import sklearn.datasets, sklearn.ensemble\n"
        "def work(_):\n"
        "    X, y = sklearn.datasets.load_digits(return_X_y=True)\n"
        "    sklearn.ensemble.RandomForestClassifier(20, n_jobs=1, random_state=0).fit(X, y)\n"
        "    return 0"
    ),
}
POOLS = {
    "dask": (
        "from dask.distributed import Client, LocalCluster\n"
        "cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)\n"
        "client = Client(cluster)\n"
        "run = lambda count: client.gather(client.map(work, range(count), pure=False))\n"
        "version = __import__('distributed').__version__"
    ),
    "ray": (
        "import ray\n"
        "ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level='ERROR')\n"
        "task = ray.remote(num_cpus=1)(work)\n"
        "run = lambda count: ray.get([task.remote(i) for i in range(count)])\n"
        "version = ray.__version__"
    ),
}
TIMEOUT_S = 180
PACKAGES = {"dask": "dask[distributed]", "ray": "ray"}
SCRIPT = """
import json, time
{work}
if __name__ == "__main__":
    {pool}
    assert run({warm}) == [0] * {warm}
    seconds = []
    for _ in range({rounds}):
        began = time.perf_counter()
        assert run({jobs}) == [0] * {jobs}
        seconds.append(time.perf_counter() - began)
    print(json.dumps({{"version": version, "seconds": seconds}}), flush=True)
    __import__("os")._exit(0)
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """Wall seconds of each round, or why there are none."""

    name: str
    seconds: tuple[float, ...] = ()
    version: str = ""
    why_not: str = ""


def measure(pool: str, work: str, jobs: int, rounds: int) -> Measured:
    """Run so many jobs on a pool of two workers, `rounds` times."""
    indented = POOLS[pool].replace("\n", "\n    ")
    script = SCRIPT.format(work=WORKS[work], pool=indented, warm=8, rounds=rounds, jobs=jobs)
    packages = [PACKAGES[pool], *(["scikit-learn"] if work == "forest" else [])]
    wanted = [word for package in packages for word in ("--with", package)]
    with tempfile.TemporaryDirectory(prefix="cro-peer-") as folder:
        path = Path(folder) / "peer.py"
        path.write_text(script)
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        command = [
            "uv",
            "run",
            "--no-project",
            "--quiet",
            "--python",
            python,
            *wanted,
            "python",
            str(path),
        ]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return Measured(pool, why_not=str(error))
    if done.returncode != 0 or not done.stdout.strip():
        return Measured(pool, why_not=(done.stderr.strip().splitlines() or ["it printed nothing"])[-1])
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    return Measured(pool, tuple(answer["seconds"]), answer["version"])
