"""The text of a new recipe: a script or a notebook that already runs. Pure."""

from __future__ import annotations

import json
import re

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")

# The bars are filled in, so that this file is not taken for a recipe itself.
_TEXT = '''\
# {bars} script
# requires-python = ">=3.11"
# dependencies = ["joblib>=1.4", "scikit-learn>=1.6"]
# [tool.cro]
# title = "{name}"
# description = "One sentence about what it does."
# framework = "sklearn"
# kind = "train"
# resources = {{ cpus = 1, mem = "600M", time = "10m" }}
# metrics = {{ accuracy = "max" }}
# repeatable = true
# [tool.cro.params]
# trees = {{ default = 100, min = 1, max = 5000, help = "number of trees" }}
# depth = {{ default = 8, min = 1, max = 100, help = "maximum tree depth" }}
# seed = {{ default = 0, min = 0, help = "the same seed gives the same result" }}
# {bars}
"""Trains a model. Edit the header, the flags and main(); cro-tui recipe check compares them."""

import argparse
import json
import os
from pathlib import Path


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trees", type=int, default=100, help="number of trees")
    parser.add_argument("--depth", type=int, default=8, help="maximum tree depth")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same result")
    return parser


def report(**event):
    """Report one line: step, progress (0 to 1), phase, note, artifact, model; other numbers are metrics."""
    if path := os.environ.get("CRO_EVENTS"):
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\\n")


def main(argv=None):
    options = arguments().parse_args(argv)
    import joblib
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import train_test_split

    features, targets = load_digits(return_X_y=True)
    parts = train_test_split(features, targets, random_state=options.seed)
    train, test, train_targets, test_targets = parts
    model = RandomForestClassifier(
        warm_start=True,
        max_depth=options.depth,
        n_jobs=int(os.environ.get("CRO_CPUS", 1)),
        random_state=options.seed,
    )
    steps = min(10, options.trees)
    for step in range(1, steps + 1):
        model.set_params(n_estimators=options.trees * step // steps).fit(train, train_targets)
        accuracy = model.score(test, test_targets)
        report(step=step, progress=step / steps, phase="train", accuracy=accuracy)
        print(f"step {{step}}/{{steps}}  accuracy {{accuracy:.4f}}", flush=True)
    folder = Path(os.environ.get("CRO_OUTPUT_DIR", "."))
    joblib.dump(model, folder / "model.joblib")
    report(model="model.joblib", flavor="sklearn", sample=test[:5].tolist())
    (folder / "metrics.json").write_text(json.dumps({{"accuracy": accuracy}}))


if __name__ == "__main__":
    main()
'''


# Cells of the notebook: their kind, their tag, their text.
_CELLS = (
    ("markdown", "", "# {title}\n\nOne sentence about what it does."),
    (
        "code",
        "parameters",
        "trees = 100  # number of trees\n"
        "depth = 8  # maximum tree depth\n"
        "seed = 0  # the same seed gives the same result",
    ),
    (
        "code",
        "",
        "from sklearn.datasets import load_digits\n"
        "from sklearn.ensemble import RandomForestClassifier\n"
        "from sklearn.model_selection import train_test_split\n\n"
        "features, targets = load_digits(return_X_y=True)\n"
        "parts = train_test_split(features, targets, random_state=seed)\n"
        "train, test, train_targets, test_targets = parts",
    ),
    (
        "code",
        "",
        "model = RandomForestClassifier(trees, max_depth=depth, random_state=seed)\n"
        "accuracy = model.fit(train, train_targets).score(test, test_targets)\n"
        "accuracy",
    ),
    (
        "code",
        "",
        "import json\nimport os\n\n"
        'if path := os.environ.get("CRO_EVENTS"):  # what cro-tui shows and compares\n'
        '    with open(path, "a") as file:\n'
        '        file.write(json.dumps({{"accuracy": accuracy}}) + "\\n")',
    ),
)


def notebook(name: str) -> str:
    """The file of a notebook of that name, which matches NAME."""
    cells = []
    for number, (kind, tag, text) in enumerate(_CELLS):
        cell: dict[str, object] = {
            "cell_type": kind,
            "id": f"cell-{number}",
            "metadata": {"tags": [tag]} if tag else {},
            "source": text.format(title=name.replace("_", " ")).splitlines(keepends=True),
        }
        cells.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    about = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    document = {"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(document, indent=1) + "\n"


def script(name: str) -> str:
    """The file of a recipe of that name, which matches NAME."""
    return _TEXT.format(bars="///", name=name)
