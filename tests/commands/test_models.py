"""models and model ...: from a job that has ended to a version that has a name, with the real scheduler."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from pathlib import Path

from tests.commands.conftest import CommandLine, Until
from tests.registry.test_pickled import Runs

LEAVES = """
import json, os
from pathlib import Path
output = Path(os.environ["CRO_OUTPUT_DIR"])
(output / "net.bin").write_text(os.environ["CRO_SEED"])
with open(os.environ["CRO_EVENTS"], "a") as file:
    model = {"model": "net.bin", "flavor": "mine", "sample": [{"a": 1, "b": "x"}]}
    for event in ({"accuracy": 0.5}, model):
        file.write(json.dumps(event) + "\\n")
"""


def test_from_a_job_to_a_champion_and_back(cro: CommandLine, until: Until, tmp_path: Path) -> None:
    for number in (1, 2):
        job_id = cro.submit("--", sys.executable, "-c", f"{LEAVES}# {number}")
        until(lambda: cro.state(job_id) == "succeeded", "its end")  # noqa: B023
        answer = cro("model", "register", str(job_id), "net", "--as", "champion")
        assert answer.out == f"net:{number} is registered.\nchampion means net:{number} now.\n", answer.err
    card = cro("model", "show", "net@champion", "--json").json
    assert (card["version"], card["job_id"], card["flavor"]) == (2, 2, "mine")
    assert card["metrics"] == {"accuracy": 0.5} and card["aliases"] == ["champion"]
    assert card["signature"] == [{"name": "a", "kind": "number"}, {"name": "b", "kind": "text"}]
    assert cro("model", "rollback", "net").out == "champion means net:1 again.\n"
    rows = cro("models").out.splitlines()
    assert [row.split()[0] for row in rows] == ["MODEL", "net:2", "net:1"]
    assert "@champion" in rows[2] and "@champion" not in rows[1]
    assert "digest" in cro("model", "compare", "net:1", "net:2").out
    assert cro("model", "compare", "net:1", "net@champion").out == "Nothing differs.\n"
    folder = tmp_path / "out"
    assert cro("model", "export", "net:2", "--to", str(folder)).code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "net.bin"]


def test_what_cannot_be_registered_is_said(cro: CommandLine, until: Until) -> None:
    assert "cro-tui model register" in cro("models").err
    held = cro.submit("--hold", "--", "true")
    answer = cro("model", "register", str(held), "net")
    assert answer.code == 2 and "is held" in answer.err
    done = cro.submit("--", "true")
    until(lambda: cro.state(done) == "succeeded", "its end")
    answer = cro("model", "register", str(done), "net")
    assert answer.code == 2 and "reports no model" in answer.err and "--file" in answer.err
    answer = cro("model", "register", str(done), "net", "--file", "../spec.json")
    assert answer.code == 2 and "There is no file" in answer.err
    for words in (("show", "net"), ("promote", "net"), ("rollback", "net"), ("export", "net")):
        answer = cro("model", *words)
        assert answer.code == 2 and "There is no model 'net'" in answer.err


def test_a_pickle_from_elsewhere_is_shown_and_asked_for(cro: CommandLine, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    file = tmp_path / "model.joblib"
    file.write_bytes(pickle.dumps(Runs(f"touch {mark}")))
    asked = cro.process("model", "import", str(file), "odd", stdin=subprocess.DEVNULL)
    out, err = asked.communicate(timeout=60)
    assert asked.returncode == 2 and not out
    assert "! posix.system" in err and "nothing was registered" in err and "--trust" in err
    assert cro("models", "--json").json == []
    assert cro("model", "import", str(file), "odd", "--trust").out == "odd:1 is registered.\n"
    shown = cro("model", "show", "odd").out
    assert "From file" in shown and "! posix.system" in shown and "From job" not in shown
    assert "a file" in cro("models").out and cro("model", "compare", "odd:1", "odd").code == 0
    assert cro("model", "export", "odd", "--to", str(tmp_path / "copy")).code == 0
    assert not mark.exists(), "none of these may load it"


def test_what_changed_after_its_job_is_not_what_the_job_wrote(cro: CommandLine, until: Until) -> None:
    job_id = cro.submit("--", sys.executable, "-c", LEAVES)
    until(lambda: cro.state(job_id) == "succeeded", "its end")
    file = next(cro.home.glob(f"jobs/*/{job_id}/*/output/net.bin"))
    time.sleep(1.1)  # the clocks of files and of ends may differ by a second
    file.write_text("other")
    answer = cro("model", "register", str(job_id), "net")
    assert answer.code == 2 and "changed after job" in answer.err and "model import" in answer.err
