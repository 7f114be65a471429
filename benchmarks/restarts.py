"""What it costs to stop a shipped recipe and start it again: `uv run python -m benchmarks.restarts`.

Wall and CPU seconds, so that a busy machine shows.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from recipes.discover import library_folder
from recipes.resuming import SAVED, Stop, Trial

RUNS = {
    "sklearn_forest": ("--n-estimators", "1000"),
    "sklearn_linear": ("--folds", "20"),
    "tf_linear": ("--epochs", "60"),
    "tf_deep": (),
}


def measure(name: str, folder: Path) -> str:
    argv = [sys.executable, str(library_folder() / f"{name}.py"), *RUNS[name]]
    trial = Trial(argv, folder, {**os.environ, "CRO_CPUS": "2", "CRO_SAVE_EVERY_S": "0"})
    made = trial.attempt(Stop(None, signal.SIGTERM))
    if made.code != SAVED:
        raise SystemExit(f"{name} ended with {made.code}: {made.log[-500:]}")
    size = (trial.checkpoint / "state").stat().st_size
    environ = {
        **trial.environ,
        "CRO_CHECKPOINT_DIR": str(trial.checkpoint),
        "CRO_RESUME": str(trial.checkpoint),
        "CRO_OUTPUT_DIR": str(folder),
    }
    began = time.monotonic()
    with subprocess.Popen(argv, env=environ, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith("resuming"))
        wall_s, used = time.monotonic() - began, psutil.Process(process.pid).cpu_times()
        process.kill()
    return (
        f"{name:15} checkpoint {size / 1000:7.0f} kB   saved and gone {made.ending_s:.2f} s after SIGTERM"
        f"   at work again {wall_s:.1f} s after its start ({used.user + used.system:.1f} s CPU)"
    )


def main() -> None:
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for name in sys.argv[1:] or RUNS:
        with tempfile.TemporaryDirectory(prefix="cro-restarts-") as folder:
            print(measure(name, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
