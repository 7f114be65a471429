"""A controller job: starts the process that asks Optuna, and again when it dies.

`python -P -m jobs.programs.optimizer --data FOLDER --settings FILE PLAN`. Optuna is imported by the other
process alone, which reads from the store what has happened so far.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

PAUSE_S = 0.5
MOST_DEATHS = 8


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="jobs.programs.optimizer", description="The controller of an optimisation."
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("plan")
    asked = parser.parse_args(words)
    state = {"pid": 0, "stopped": 0}

    def stop(number: int, _frame: FrameType | None) -> None:
        state["stopped"] = 1
        if state["pid"]:
            os.kill(state["pid"], number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    for _ in range(MOST_DEATHS):
        pid = os.fork()
        if not pid:
            _work(asked.data, asked.settings)
        state["pid"] = pid
        _, status = os.waitpid(pid, 0)
        state["pid"] = 0
        code = os.waitstatus_to_exitcode(status)
        if code >= 0 or state["stopped"]:
            return code if code >= 0 else 1
        print(
            f"the controller ended by signal {-code}; again in {PAUSE_S:g} s", file=sys.stderr, flush=True
        )
        time.sleep(PAUSE_S)
        if state["stopped"]:
            return 1
    print(f"it ended {MOST_DEATHS} times: given up", file=sys.stderr)
    return 1


def _work(data: Path, settings_file: Path) -> None:
    """Be the process that asks; never returns."""
    code = 70
    try:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the controller looks, once it can hear
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        from jobs.client import Client
        from jobs.core.ports import CroError
        from jobs.installation.home import Home
        from jobs.installation.settings import Settings
        from jobs.programs.optimizer.controller import own_job, run

        try:
            with Client(Home(data, settings_file), Settings.load(settings_file)) as client:
                code = run(client, own_job())
        except CroError as error:
            print(error, file=sys.stderr)
            code = 2
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
