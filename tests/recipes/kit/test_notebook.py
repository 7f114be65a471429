"""A notebook runs shipped recipes and uses their kit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from jobs.kinds import notebook
from recipes.discover import library_folder

STUDY = """\
# %% tags=["parameters"]
library = "?"

# %%
# %run {library}/sklearn_linear.py --data wine --folds 2

# %%
import sys
sys.path.insert(0, library)
from kit.data import load, split
from kit.job import output_folder, report
features, targets, task = load("wine", "target", "auto")
train, test, *_ = split(features, targets, task, 0.25, 0)
report(note="loaded", rows=len(train))
(output_folder() / "made").write_text(f"{task} {len(train)} {len(test)}")
"""


def test_a_notebook_runs_a_recipe_and_uses_the_kit(tmp_path: Path) -> None:
    (tmp_path / "study.py").write_text(STUDY)
    output = tmp_path / "output"
    output.mkdir()
    environ = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "CRO_OUTPUT_DIR": str(output),
        "CRO_EVENTS": str(tmp_path / "events"),
        "CRO_PARAMS": json.dumps({"library": str(library_folder())}),
    }
    done = subprocess.run(
        notebook.argv(sys.executable, str(tmp_path / "study.py")),
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fold 2/2  accuracy " in done.stdout
    assert json.loads((output / "metrics.json").read_text())["accuracy"] > 0.9
    assert (output / "made").read_text() == "classification 133 45"
    reported = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert {"note": "loaded", "rows": 133} in reported
    assert any(each.get("model") == "model.joblib" for each in reported)
