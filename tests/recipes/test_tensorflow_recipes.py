"""The TensorFlow recipes really train, and a chain of them holds together."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from recipes.discover import library_folder

pytestmark = pytest.mark.tensorflow

# One process for many runs: TensorFlow alone takes seconds to import. `stops` has, by output folder, the
# checkpoint to keep and after which share of another run's steps it is told to stop.
RUNNER = """
import importlib.util, json, os, signal, sys
asked = json.load(sys.stdin)
library, copies = sys.argv[1:]
sys.path.insert(0, library)
steps = {}
for folder, name, *flags in asked["runs"]:
    place = copies if folder.endswith("_copy") else library
    spec = importlib.util.spec_from_file_location(name, f"{place}/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kept, of, share = asked["stops"].get(folder, ("", "", 1))
    os.environ |= {
        "CRO_OUTPUT_DIR": folder,
        "CRO_CHECKPOINT_DIR": kept,
        "CRO_RESUME": kept if os.path.exists(kept) else "",
    }
    stop_at, steps[folder] = share * steps.get(of, 0), 0

    class Counted(getattr(module, "Checkpoints", object)):
        def due(self):
            steps[folder] += 1
            if steps[folder] - 1 < stop_at <= steps[folder]:
                signal.raise_signal(signal.SIGTERM)
            return super().due()

    module.Checkpoints = Counted
    try:
        code = module.run(module.main, flags)
    except SystemExit as ended:
        code = ended.code
    print("code", code, folder, flush=True)
"""
Runs = Sequence[tuple[str, ...]]
LINEAR = ("--model", "linear/model.keras")
TABLE = ("--data", "houses.csv", "--target", "price")
QUICK = ("--data", "wine", "--epochs", "4", "--patience", "1")
CNN = ("--data", "few.csv", "--epochs", "4", "--filters", "8")
MORE = ("--model", "cnn/model.keras", "--epochs", "4", "--learning-rate", "0.003")
TEXT = ("--epochs", "6", "--units", "32")
TABLES: Runs = (
    ("prepared", "tf_preprocess", "--data", "digits"),
    ("linear", "tf_linear", "--data", "prepared/train.parquet", "--epochs", "3"),
    ("measured", "tf_evaluate", *LINEAR, "--data", "prepared/test.parquet", "--repeats", "0"),
    ("deep", "tf_deep", *QUICK, "--seed", "5"),
    ("deep_copy", "tf_deep", *QUICK, "--seed", "5"),
    ("deep_other", "tf_deep", *QUICK, "--seed", "6"),
    ("words", "tf_preprocess", *TABLE),
    ("price", "tf_linear", *TABLE, "--epochs", "8", "--batch-size", "8"),
    ("price_again", "tf_evaluate", "--model", "price/model.keras", *TABLE, "--rows", "held_out"),
    ("last", "tf_finetune", "--model", "price/model.keras", *TABLE, "--epochs", "1", "--train", "last"),
    ("x", "tf_evaluate", "--model", "alone.keras", "--data", "wine"),
    ("x", "tf_evaluate", *LINEAR, "--data", "other.csv"),
    ("x", "tf_evaluate", "--model", "damaged.keras", "--data", "other.csv"),
)
PICTURES_AND_TEXTS: Runs = (
    ("cnn", "tf_cnn", *CNN),
    ("more", "tf_finetune", *MORE),
    ("more_again", "tf_evaluate", "--model", "more/model.keras", "--repeats", "1"),
    ("text", "tf_text", *TEXT),
    ("text_again", "tf_evaluate", "--model", "text/model.keras", "--data", "docstrings"),
    ("x", "tf_finetune", "--model", "more/model.keras", "--data", "words.csv"),
    *(
        (f"{folder}_{then}", name, *flags)
        for folder, name, flags in (
            ("more", "tf_finetune", MORE),
            ("text", "tf_text", TEXT),
        )
        for then in ("stopped", "resumed")
    ),
)


@dataclass(frozen=True)
class Done:
    """What all the runs left in a folder each, and what their processes said."""

    folder: Path
    deep: subprocess.CompletedProcess[str]
    tables: subprocess.CompletedProcess[str]
    others: subprocess.CompletedProcess[str]

    def said(self, run: str) -> str:
        """The output of one of the others, with its exit code as the last line."""
        before = self.others.stdout.partition(f" {run}\n")[0].splitlines()
        starts = [number for number, line in enumerate(before) if line.startswith("code ")]
        return "\n".join(before[starts[-2] + 1 :])

    def metrics(self, run: str) -> dict[str, float]:
        found: dict[str, float] = json.loads((self.folder / run / "metrics.json").read_text())
        return found


def houses(path: Path) -> None:
    draw = np.random.default_rng(7)
    size, town = draw.uniform(40, 200, 240), draw.choice(["old", "new", "far"], 240)
    table = pd.DataFrame({"size": size, "town": town, "price": 3 * size + 90 * (town == "new")})
    table.loc[::17, "size"] = np.nan
    table.loc[::19, "town"] = None
    table.to_csv(path, index=False)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, copies: Path) -> Done:
    """All of it, in two processes at a time."""
    folder = tmp_path_factory.mktemp("tensorflow")
    houses(folder / "houses.csv")
    for name in ("alone", "damaged"):
        (folder / f"{name}.keras").write_bytes(b"PK\5\6" + bytes(18))
    schema = {
        "task": "classification",
        "numbers": {"a": [0, 1]},
        "words": {},
        "classes": [0, 1],
        "answers": [],
    }
    (folder / "damaged.json").write_text(json.dumps(schema))
    digits = load_digits(as_frame=True).frame
    digits[digits["target"] < 5].to_csv(folder / "few.csv", index=False)
    pd.DataFrame({"a": np.arange(20), "target": [0, 1] * 10}).to_csv(folder / "other.csv", index=False)
    digits.head(40).assign(target=["u", "v"] * 20).to_csv(folder / "words.csv", index=False)
    moment = random.Random(1)
    stops: dict[str, tuple[str, str, float]] = {}
    for run, epochs in (("more", 4), ("text", 6)):
        stops[f"{run}_stopped"] = f"kept/{run}", run, moment.uniform(1 / epochs, 0.9)
        stops[f"{run}_resumed"] = f"kept/{run}", "", 1
    deep = ("--data", "breast_cancer", "--epochs", "5", "--units", "16", "--learning-rate", "0.01")

    def process(argv: Sequence[str], given: object, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *argv],
            cwd=folder,
            env={**os.environ, "CRO_CPUS": "2", **environ},
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )

    runner = ("-c", RUNNER, str(library_folder()), str(copies))
    with ThreadPoolExecutor(2) as pool:
        others = pool.submit(process, runner, {"runs": PICTURES_AND_TEXTS, "stops": stops})
        tables = pool.submit(process, runner, {"runs": TABLES, "stops": {}})
        alone = pool.submit(
            process, (str(library_folder() / "tf_deep.py"), *deep), None, CRO_OUTPUT_DIR="alone"
        )
        return Done(folder, alone.result(), tables.result(), others.result())


def test_deep_as_a_real_process(done: Done) -> None:
    ran = done.deep
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "Epoch 2/5" in ran.stdout and "\b" not in ran.stdout and "\x1b" not in ran.stdout
    metrics = done.metrics("alone")
    assert metrics["accuracy"] > 0.9 and metrics["log_loss"] < 0.4
    there = {path.name for path in (done.folder / "alone").iterdir()}
    assert {"model.keras", "model.json", "metrics.json"} <= there


def test_a_chain_of_them_in_one_process(done: Done) -> None:
    lines = (done.tables.stdout + done.others.stdout).splitlines()
    codes = {line for line in lines if line.startswith("code ")}
    wanted = {(run[0], 2 if run[0] == "x" else 0) for run in (*TABLES, *PICTURES_AND_TEXTS)}
    wanted = {(run, 75 if run.endswith("_stopped") else code) for run, code in wanted}
    assert codes == {f"code {code} {run}" for run, code in wanted}, done.tables.stderr + done.others.stderr
    # Many models in one process make TensorFlow warn of retracing, so only our own lines count here.
    told = (done.others.stderr + done.tables.stderr).splitlines()
    words, alone, other, damaged = [line for line in told if line.startswith("error: ")]
    assert "'u' is not of the same kind as the model's classes, such as '0'" in words
    assert "alone.json is missing or damaged" in alone and "has no column" in other
    assert "damaged.keras is not a model that can be loaded here" in damaged

    runs = {run[0] for run in (*TABLES, *PICTURES_AND_TEXTS)}
    found = {run: done.metrics(run) for run in runs if run != "x" and not run.endswith("_stopped")}
    assert found["prepared"] == {"train_rows": 1347, "test_rows": 450, "features": 64}
    assert found["linear"]["accuracy"] > 0.85 and found["measured"]["accuracy"] > 0.85
    assert found["deep"] == found["deep_copy"] != found["deep_other"]
    assert found["deep"]["accuracy"] > 0.5
    assert found["price"]["r2"] > 0.9
    assert found["price_again"] == pytest.approx(found["price"])
    assert found["cnn"]["accuracy"] > 0.9
    assert found["more"]["accuracy_before"] < 0.55 and found["more"]["accuracy"] > 0.85
    schema = json.loads((done.folder / "more" / "model.json").read_text())
    assert schema["classes"] == list(range(10)) and "new classes: 5, 6, 7, 8, 9" in done.others.stdout
    assert found["last"]["r2"] > 0.8 and found["last"]["r2_before"] > 0.8
    assert found["text"]["accuracy"] > 0.6
    for name, columns in (("more", 64), ("text", 200)):
        again = found[f"{name}_again"]
        assert again["accuracy"] == found[name]["accuracy"] and again["roc_auc"] > 0.85
        assert len(pd.read_csv(done.folder / f"{name}_again" / "importance.csv")) == columns
        assert (done.folder / f"{name}_again" / "roc.png").stat().st_size > 5_000
    assert (done.folder / "price_again" / "residuals.png").stat().st_size > 5_000

    train = pd.read_parquet(done.folder / "words" / "train.parquet")
    assert {"size", "town=new", "town=old", "town=far", "town=", "town=(other)", "price"} == set(
        train.columns
    )
    assert not train.isna().any().any() and abs(train["size"].mean()) < 0.01
    assert (train.filter(like="town=").sum(axis=1) == 1).all()
    assert (done.folder / "words" / "train.tfrecord").stat().st_size > 180 * 20
    assert json.loads((done.folder / "words" / "normalization.json").read_text())["words"]["town"]


@pytest.mark.parametrize("run", ["more", "text"])
def test_stopped_after_its_first_epoch_it_saves_and_ends_as_if_it_had_not_been(
    done: Done, run: str
) -> None:
    stopped, resumed = done.said(f"{run}_stopped"), done.said(f"{run}_resumed")
    assert stopped.endswith("code 75") and "stopped as asked: saved in " in stopped, stopped
    assert not (done.folder / f"{run}_stopped" / "metrics.json").exists()
    going_on = re.search(r"^resuming after ([1-9]\d*) epochs and", resumed, re.MULTILINE)
    assert going_on is not None and resumed.endswith("code 0"), resumed
    assert done.metrics(f"{run}_resumed") == done.metrics(run)
    assert not list((done.folder / "kept" / run).iterdir()), "a finished run leaves no checkpoint behind"
