"""mlflow: show MLflow what has ended, now, and say how to look at it."""

from __future__ import annotations

import subprocess
import sys

import click

from cro_tui.commands.command_context import open_client, print_json
from cro_tui.commands.options import json_option
from jobs.core.ports import BadInput, StateUnavailable
from jobs.kinds.mlflow_run import INSTALL, MISSING, PROGRAM
from jobs.records.mlflow_prepared import address


@click.command(short_help="Show MLflow the runs and models that there are.")
@json_option
def mlflow(as_json: bool) -> int:
    """Write all ended runs and all registered models into a store that MLflow reads, and name it.

    What is there already is not written again. With `mlflow = true` in [tracking] the scheduler
    sees to it as runs end, and recipes that call MLflow log into their own run.

    \b
      cro-tui mlflow
    """
    from importlib.util import find_spec

    if find_spec("mlflow") is None:
        raise BadInput(MISSING, INSTALL)
    with open_client() as client:
        home = client.home
    answer = subprocess.run(
        [sys.executable, *PROGRAM, str(home.data), "--once"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if as_json else None,
        stderr=subprocess.PIPE,
        check=False,
    )
    if answer.returncode:
        last = answer.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise StateUnavailable(f"MLflow's store could not be written: {last[0][:300]}", "Try again.")
    if as_json:
        print_json({"uri": address(home.mlflow)})
    else:
        print(f"All ended runs are in {address(home.mlflow)}")
        print(f"Look at them with: uvx mlflow ui --backend-store-uri {address(home.mlflow)}")
    return 0
