"""Whether a recipe resumes as it promises: stopped at any moment it saves, and ends with the same metrics.

Runs real processes, as the queue would: each attempt has an output folder of its own, all share one
checkpoint folder. Knows nothing of the queue. `python -m recipes.resuming --help` checks a file.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SAVED = 75
UNFINISHED = ".part"
LOOK_EVERY_S = 0.002
LONGEST_S = 3600.0


@dataclass(frozen=True, slots=True)
class Stop:
    """When to stop an attempt: after a share of the whole run's time, or once it saves (None).

    SIGKILL then comes in the middle of a save that follows a finished one.
    """

    share: float | None
    signal: signal.Signals = signal.SIGTERM

    def __str__(self) -> str:
        when = "once it saves" if self.share is None else f"at {self.share:.0%} of the run"
        return f"{self.signal.name} {when}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One process from start to end. `stop` None: left alone. `ending_s` is from the signal to the end."""

    stop: Stop | None
    code: int
    ran_s: float
    ending_s: float
    resumed: bool
    output: Path
    log: str

    @property
    def metrics(self) -> dict[str, float] | None:
        try:
            found: dict[str, float] = json.loads((self.output / "metrics.json").read_text())
        except (OSError, ValueError):
            return None
        return found


@dataclass(slots=True)
class Report:
    """`problems` has one sentence for each broken promise."""

    attempts: list[Attempt] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    whole_s: float = 0.0

    @property
    def stop_costs_s(self) -> float:
        """What one stop cost on average: all attempts together, less the run that was left alone."""
        ends = sum(made.code == 0 for made in self.attempts)
        stops = len(self.attempts) - ends
        extra_s = sum(made.ran_s for made in self.attempts) - ends * self.whole_s
        return extra_s / stops if stops else 0.0


class Trial:
    """One recipe with its flags, and the folder where it is tried."""

    def __init__(self, argv: Sequence[str], folder: Path, environ: Mapping[str, str]) -> None:
        self.argv = list(argv)
        self.folder = folder
        self.environ = dict(environ)
        self.checkpoint = folder / "checkpoint"
        self._next = 0

    def finished(self) -> bool:
        """Whether the checkpoint folder holds something to resume from; the queue asks the same."""
        return any(not each.name.endswith(UNFINISHED) for each in self._kept())

    def written(self, ending: str = "") -> set[tuple[str, int]]:
        """What is there, finished or not (`ending` UNFINISHED), with the time of the last write."""
        found = set()
        for each in self._kept():
            with contextlib.suppress(FileNotFoundError):  # renamed just now
                if each.name.endswith(ending):
                    found.add((each.name, each.stat().st_mtime_ns))
        return found

    def _kept(self) -> list[Path]:
        return list(self.checkpoint.iterdir()) if self.checkpoint.is_dir() else []

    def attempt(self, stop: Stop | None, run_s: float = LONGEST_S, grace_s: float = 30.0) -> Attempt:
        """Run once, from the checkpoint if there is one; `run_s` is what shares are of."""
        self._next += 1
        output = self.folder / f"attempt-{self._next}"
        output.mkdir(parents=True)
        resumed, before = self.finished(), self.written()
        environ = {
            **self.environ,
            "CRO_ATTEMPT": str(self._next),
            "CRO_OUTPUT_DIR": str(output),
            "CRO_CHECKPOINT_DIR": str(self.checkpoint),
            "CRO_RESUME": str(self.checkpoint) if resumed else "",
        }
        log = output / "output.log"
        with log.open("wb") as file:
            began = time.monotonic()
            process = subprocess.Popen(
                self.argv, cwd=self.folder, env=environ, stdout=file, stderr=subprocess.STDOUT
            )
        try:
            asked = began
            if stop is not None:
                # the time before it can hear the signal is Python's, not its own
                _until(lambda: _hears(process.pid, signal.SIGTERM), process, LONGEST_S)
                if stop.share is None:
                    ending = UNFINISHED if stop.signal is signal.SIGKILL else ""
                    saves = lambda: self.finished() and bool(self.written(ending) - before)  # noqa: E731
                    _until(saves, process, LONGEST_S)
                else:
                    _until(lambda: False, process, stop.share * run_s)
                process.send_signal(stop.signal)
                asked = time.monotonic()
            code = process.wait(LONGEST_S if stop is None else grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        finally:
            process.kill()
            process.wait()
        ended = time.monotonic()
        text = log.read_text(errors="replace")
        return Attempt(stop, code, ended - began, ended - asked, resumed, output, text)


def check(
    trial: Trial,
    stops: Sequence[Stop],
    *,
    grace_s: float = 30.0,
    tolerance: float = 0.0,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """Run it without a stop, then again with these stops, and compare.

    If it ends before a stop, it starts from the beginning with the next one.
    """
    report = Report()
    whole = Trial(trial.argv, trial.folder / "whole", trial.environ).attempt(None)
    report.whole_s = whole.ran_s
    say(f"without a stop: {whole.ran_s:.1f} s, {whole.metrics}")
    if whole.code != 0 or whole.metrics is None:
        report.problems.append(
            f"without a stop it exits with {whole.code} and no metrics.json: {_last(whole)}"
        )
        return report
    for stop in (*stops, None):
        made = trial.attempt(stop, whole.ran_s, grace_s)
        report.attempts.append(made)
        begun = "resumed" if made.resumed else "from the beginning"
        after = "" if made.code == 0 else f", {made.ending_s:.2f} s after the signal"
        ran = f"exited with {made.code} after {made.ran_s:.1f} s{after}"
        say(f"attempt {len(report.attempts)}: {begun}, {stop or 'no stop'}: {ran}")
        # metrics.json is its last output: a kill without warning may come when all is there
        too_late = stop is not None and stop.signal is signal.SIGKILL and made.metrics is not None
        if made.code == 0 or too_late:
            if made.metrics is None or not same(whole.metrics, made.metrics, tolerance):
                report.problems.append(f"its metrics are {made.metrics}, not {whole.metrics}")
        elif made.metrics is not None:
            report.problems.append(f"metrics.json exists although it exited with {made.code}")
        elif stop is None:
            report.problems.append(f"resumed it exits with {made.code}: {_last(made)}")
        elif stop.signal is signal.SIGTERM and made.code != SAVED:
            late = f" after {grace_s:g} s" if made.code == -signal.SIGKILL else ""
            report.problems.append(
                f"asked to stop it exits with {made.code}{late}, not {SAVED}: {_last(made)}"
            )
        if report.problems:
            break
    return report


def same(one: Mapping[str, float], other: Mapping[str, float], tolerance: float) -> bool:
    return one.keys() == other.keys() and all(
        math.isclose(value, other[name], rel_tol=tolerance, abs_tol=tolerance)
        for name, value in one.items()
    )


def random_stops(seed: int, count: int) -> tuple[Stop, ...]:
    """Random moments, the same for the same seed; every third is a kill without warning."""
    draw = random.Random(seed)
    signals = (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL)
    return tuple(Stop(draw.random(), signals[number % 3]) for number in range(count))


def _until(reached: Callable[[], bool], process: subprocess.Popen[bytes], at_most_s: float) -> None:
    end = time.monotonic() + at_most_s
    while process.poll() is None and time.monotonic() < end and not reached():
        time.sleep(LOOK_EVERY_S)


def _hears(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler for the signal."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return False
    caught = next((line for line in lines if line.startswith("SigCgt:")), "SigCgt: 0")
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def _last(attempt: Attempt) -> str:
    return (attempt.log.strip().splitlines() or ["no output"])[-1]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m recipes.resuming",
        description="Stop a recipe at random moments, resume it, and compare its metrics.",
    )
    parser.add_argument("--stops", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--grace", type=float, default=30.0, help="seconds between SIGTERM and SIGKILL")
    parser.add_argument("--tolerance", type=float, default=0.0, help="allowed difference between metrics")
    parser.add_argument("recipe", type=Path, help="the recipe's file")
    parser.add_argument("flags", nargs=argparse.REMAINDER, help="its flags")
    options = parser.parse_args()
    argv = [sys.executable, str(options.recipe.absolute()), *options.flags]
    with tempfile.TemporaryDirectory(prefix="cro-resuming-") as folder:
        report = check(
            Trial(argv, Path(folder), os.environ),
            random_stops(options.seed, options.stops),
            grace_s=options.grace,
            tolerance=options.tolerance,
            say=lambda line: print(line, flush=True),
        )
    for problem in report.problems:
        print(f"problem: {problem}", file=sys.stderr)
    print(f"a stop cost {report.stop_costs_s:.1f} s on average")
    print("it resumes as promised" if not report.problems else "it does not resume as promised")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
