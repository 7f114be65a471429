"""Notebooks through the queue: written, checked, run, failed and stopped, with what they leave."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.commands.conftest import CommandLine, Until

LIGHT = ("--cpus", "0.1", "--mem", "800M")
STUDY = """\
# %% tags=["parameters"]
word = "calm"
times = 1

# %%
import os
print(word * times, flush=True)
open(os.environ["CRO_OUTPUT_DIR"] + "/made", "w").write(os.getcwd())
times

# %%
if word == "wrong":
    raise ValueError("an answer\\nof two lines")
if word == "wait":
    import time
    time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "recipes").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes" / "study.py").write_text(STUDY)
    return tmp_path


def left(cro: CommandLine, job: int) -> tuple[Path, list[Mapping[str, Any]]]:
    """The output folder and the cells of the executed notebook."""
    output = Path(cro("show", str(job), "--json").json["output"])
    return output, json.loads((output / "study.executed.ipynb").read_text())["cells"]


def test_a_new_notebook_is_checked_and_runs_with_what_was_asked_for(cro: CommandLine, folder: Path) -> None:
    assert cro("recipe", "new", "forest", "--notebook").code == 0
    assert cro("recipe", "check", "recipes/forest.ipynb").code == 0
    assert "trees" in cro("recipes", "forest").out
    answer = cro("submit", *LIGHT, "forest", "-p", "trees=5", "--wait", "--json")
    assert answer.code == 0, answer.err
    shown = cro("show", "1", "--json").json
    assert 0.5 < shown["metrics"]["accuracy"] < 1
    assert shown["reported"]["progress"] == 1.0
    assert shown["reported"]["artifacts"] == ["forest.executed.ipynb"]
    cells = json.loads((Path(shown["output"]) / "forest.executed.ipynb").read_text())["cells"]
    (injected,) = [cell for cell in cells if "injected-parameters" in cell["metadata"].get("tags", [])]
    assert "trees = 5" in "".join(injected["source"])


def test_outputs_come_into_the_log_and_a_cell_that_fails_is_named(cro: CommandLine, folder: Path) -> None:
    code = cro("submit", *LIGHT, "study", "-p", "word=wrong", "-p", "times=2", "--wait").code
    assert code == 1
    log = cro("logs", "1").out
    assert "wrongwrong\n2\n" in log
    assert "cell 4 failed: ValueError: an answer\n" in log
    output, cells = left(cro, 1)
    assert (output / "made").read_text() == str(folder)
    assert cells[3]["outputs"][0]["ename"] == "ValueError"


def test_a_stop_ends_the_kernel_and_keeps_what_has_run(
    cro: CommandLine, folder: Path, until: Until
) -> None:
    job = cro.submit(*LIGHT, "study", "-p", "word=wait")
    until(lambda: "wait" in cro("logs", str(job)).out, "the log")
    assert cro("cancel", str(job)).code == 0
    cro("wait", str(job))
    assert cro("show", str(job), "--json").json["state"] == "cancelled"
    _, cells = left(cro, job)
    assert cells[2]["outputs"] and not cells[3]["outputs"]
