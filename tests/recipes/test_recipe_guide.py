"""The guide's example is a recipe, and runs as the guide says; recipes report from all their processes."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from recipes.discover import catalogue
from recipes.library.sklearn_forest import say
from recipes.params import flags, validate

GUIDE = Path(__file__).parents[2] / "docs" / "recipes.md"
WORKERS = """
from joblib import Parallel, delayed

def work(number):
    say(worker=number)
    return os.getpid(), len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0

say(note="before")
others = Parallel(2, batch_size=1)(delayed(work)(number) for number in range(200))
assert os.getpid() not in {pid for pid, _ in others}
assert max(opened for _, opened in others) < 100
if os.fork() == 0:
    say(note="fork")
    os._exit(0)
os.wait()
os.environ["CRO_EVENTS"] += ".other"
say(note="elsewhere")
"""


def test_the_example_runs(tmp_path: Path) -> None:
    match = re.search(r"```python\n(.*?)```", GUIDE.read_text(), re.S)
    assert match is not None
    (tmp_path / "neighbours.py").write_text(match[1])
    (recipe,) = catalogue([tmp_path]).recipes
    typed, problems = validate(recipe, {"scale": "no", "seed": "2"}, cwd="/", exists=lambda _: False)
    assert problems == {}
    scores = []
    for given in (flags(recipe, typed), ()):
        done = subprocess.run(
            [sys.executable, str(recipe.path), *given],
            env={**os.environ, "CRO_OUTPUT_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.startswith("accuracy 0.") and done.stderr == ""
        scores.append(json.loads((tmp_path / "metrics.json").read_text())["accuracy"])
    assert 0.5 < scores[0] < 0.9 < scores[1]


def test_reports_of_workers_and_forks_are_whole_lines_of_the_right_file(tmp_path: Path) -> None:
    script, events = tmp_path / "reports.py", tmp_path / "events.jsonl"
    kept = "OPENED, OWNER = {}, os.getpid()"
    script.write_text(f"import json, os, sys\n{kept}\n{inspect.getsource(say)}\n{WORKERS}")
    subprocess.run([sys.executable, script], env={**os.environ, "CRO_EVENTS": str(events)}, check=True)
    first, *workers, last = (json.loads(line) for line in events.read_text().splitlines())
    assert (first, last) == ({"note": "before"}, {"note": "fork"})
    assert sorted(each["worker"] for each in workers) == list(range(200))
    assert (tmp_path / "events.jsonl.other").read_text() == '{"note": "elsewhere"}\n'
