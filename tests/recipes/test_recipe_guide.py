"""The guide's example is a recipe, and runs as the guide says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from recipes.discover import catalogue
from recipes.params import flags, validate

GUIDE = Path(__file__).parents[2] / "docs" / "recipes.md"


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
