"""The reporting contract with a real scheduler: what a job is given, and where what it says shows up."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.commands.conftest import CommandLine, Until

SCRIPT = """\
# /// script
# requires-python = ">=3.11"
# [tool.cro]
# title = "Says what it does"
# [tool.cro.params]
# depth = { default = 8 }
# seed = { default = 5 }
# ///
import json, os, sys, time
with open(os.environ["CRO_EVENTS"], "a") as file:
    given = json.loads(os.environ["CRO_PARAMS"])
    for event in ({"params": given, "phase": "fit", "progress": 0.5}, {"step": 3, "accuracy": 0.875}):
        file.write(json.dumps(event) + "\\n")
    file.write("rubbish\\n")
    file.flush()
    print("seed", os.environ["CRO_SEED"], flush=True)
    while not os.path.exists("go"):
        time.sleep(0.01)
    file.write(json.dumps({"artifact": "roc.png", "loss": 0.25, "note": "over"}) + "\\n")
"""


def test_a_recipe_reports_and_is_seen_while_it_runs(cro: CommandLine, until: Until, tmp_path: Path) -> None:
    folder = cro.home / "recipes"
    folder.mkdir(exist_ok=True)
    (folder / "speaks.py").write_text(SCRIPT)
    work = tmp_path / "here"
    work.mkdir()
    needs = ("--cpus", "0.1", "--mem", "64M")
    answer = cro("submit", *needs, "--cwd", str(work), "-q", "speaks", "-p", "depth=3")
    assert answer.code == 0, answer.err
    job_id = int(answer.out)
    until(lambda: "50%  fit  accuracy 0.875" in cro("ls").out, "the report in the list")
    shown = cro("show", str(job_id)).out
    assert "line 3 cannot be used: not JSON" in shown and "fit  accuracy 0.875" in shown
    (work / "go").touch()
    until(lambda: cro.state(job_id) == "succeeded", "its end")
    found = cro("show", str(job_id), "--json").json
    assert found["metrics"] == {"accuracy": 0.875, "loss": 0.25}
    assert found["reported"]["params"] == {"depth": "3", "seed": "5"}
    assert (found["reported"]["artifacts"], found["reported"]["notes"]) == (["roc.png"], ["over"])
    assert "seed 5" in cro("logs", str(job_id)).out


def test_a_command_gets_the_same_seed_each_time(cro: CommandLine, until: Until) -> None:
    script = "import os; print(os.environ['CRO_SEED'], os.environ['CRO_PARAMS'])"
    ids = [cro.submit("--", sys.executable, "-c", script) for _ in range(2)]
    until(lambda: all(cro.state(job_id) == "succeeded" for job_id in ids), "their ends")
    first, second = (cro("logs", str(job_id)).out for job_id in ids)
    assert first == second
    assert first.split()[0].isdigit() and first.split()[1] == "{}"
