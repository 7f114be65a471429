"""The TensorFlow recipes really train, and a chain of them holds together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from recipes.discover import library_folder

from .conftest import RunRecipe

pytestmark = pytest.mark.tensorflow

# One process for many runs: TensorFlow alone takes seconds to import.
RUNNER = """
import importlib.util, json, os, sys
for folder, name, *flags in json.load(sys.stdin):
    spec = importlib.util.spec_from_file_location(name, f"{sys.argv[1]}/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    os.environ["CRO_OUTPUT_DIR"] = folder
    print("code", module.run(module.main, flags), flush=True)
"""


def test_deep_as_a_real_process(run_recipe: RunRecipe) -> None:
    ran = run_recipe("tf_deep", "--data", "breast_cancer", "--epochs", 15, "--patience", 1, "--units", 16)
    assert (ran.code, ran.err) == (0, "")
    assert "Epoch 2/15" in ran.out and "\b" not in ran.out and "\x1b" not in ran.out
    assert ran.metrics["accuracy"] > 0.9 and ran.metrics["log_loss"] < 0.4
    assert {"model.keras", "model.json", "metrics.json"} <= {path.name for path in ran.folder.iterdir()}


def houses(path: Path) -> None:
    random = np.random.default_rng(7)
    size, town = random.uniform(40, 200, 240), random.choice(["old", "new", "far"], 240)
    table = pd.DataFrame({"size": size, "town": town, "price": 3 * size + 90 * (town == "new")})
    table.loc[::17, "size"] = np.nan
    table.loc[::19, "town"] = None
    table.to_csv(path, index=False)


def test_a_chain_of_them_in_one_process(tmp_path: Path) -> None:
    houses(tmp_path / "houses.csv")
    for name in ("alone", "damaged"):
        (tmp_path / f"{name}.keras").write_bytes(b"PK\5\6" + bytes(18))
    schema = {
        "task": "classification",
        "numbers": {"a": [0, 1]},
        "words": {},
        "classes": [0, 1],
        "answers": [],
    }
    (tmp_path / "damaged.json").write_text(json.dumps(schema))
    digits = load_digits(as_frame=True).frame
    digits[digits["target"] < 5].to_csv(tmp_path / "few.csv", index=False)
    pd.DataFrame({"a": np.arange(20), "target": [0, 1] * 10}).to_csv(tmp_path / "other.csv", index=False)
    digits.head(40).assign(target=["u", "v"] * 20).to_csv(tmp_path / "words.csv", index=False)
    table = ("--data", "houses.csv", "--target", "price")
    quick = ("--data", "wine", "--epochs", "4", "--patience", "1")
    runs = [
        ("prepared", "tf_preprocess", "--data", "digits"),
        ("linear", "tf_linear", "--data", "prepared/train.parquet", "--epochs", "6"),
        ("measured", "tf_evaluate", "--model", "linear/model.keras", "--data", "prepared/test.parquet"),
        ("deep", "tf_deep", *quick, "--seed", "5"),
        ("deep_again", "tf_deep", *quick, "--seed", "5"),
        ("deep_other", "tf_deep", *quick, "--seed", "6"),
        ("words", "tf_preprocess", *table),
        ("price", "tf_linear", *table, "--epochs", "60", "--batch-size", "8"),
        ("price_again", "tf_evaluate", "--model", "price/model.keras", *table, "--rows", "held_out"),
        ("cnn", "tf_cnn", "--data", "few.csv", "--epochs", "4", "--filters", "8"),
        ("more", "tf_finetune", "--model", "cnn/model.keras", "--epochs", "4", "--learning-rate", "0.003"),
        ("more_again", "tf_evaluate", "--model", "more/model.keras", "--repeats", "1"),
        ("last", "tf_finetune", "--model", "price/model.keras", *table, "--epochs", "1", "--train", "last"),
        ("text", "tf_text", "--epochs", "6", "--units", "32"),
        ("text_again", "tf_evaluate", "--model", "text/model.keras", "--data", "docstrings"),
        ("x", "tf_finetune", "--model", "more/model.keras", "--data", "words.csv"),
        ("x", "tf_evaluate", "--model", "alone.keras", "--data", "wine"),
        ("x", "tf_evaluate", "--model", "linear/model.keras", "--data", "other.csv"),
        ("x", "tf_evaluate", "--model", "damaged.keras", "--data", "other.csv"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, str(library_folder())],
        cwd=tmp_path,
        env={**os.environ, "CRO_CPUS": "2"},
        input=json.dumps(runs),
        capture_output=True,
        text=True,
        timeout=280,
        check=True,
    )
    codes = [line for line in done.stdout.splitlines() if line.startswith("code")]
    assert codes == ["code 0"] * 15 + ["code 2"] * 4, done.stderr
    # Many models in one process make TensorFlow warn of retracing, so only our own lines count here.
    words, alone, other, damaged = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "'u', are not of the kind of the classes, such as '0'" in words
    assert "there is no sound alone.json" in alone and "has no column" in other
    assert "damaged.keras is not a model that can be loaded here" in damaged

    found = {
        name: json.loads((tmp_path / name / "metrics.json").read_text()) for name, *_ in runs if name != "x"
    }
    assert found["prepared"] == {"train_rows": 1347, "test_rows": 450, "features": 64}
    assert found["linear"]["accuracy"] > 0.9 and found["measured"]["accuracy"] > 0.9
    assert found["deep"] == found["deep_again"] != found["deep_other"]
    assert found["deep"]["accuracy"] > 0.5
    assert found["price"]["r2"] > 0.8
    assert found["price_again"] == pytest.approx(found["price"])
    assert found["cnn"]["accuracy"] > 0.9
    assert found["more"]["accuracy_before"] < 0.55 and found["more"]["accuracy"] > 0.85
    schema = json.loads((tmp_path / "more" / "model.json").read_text())
    assert schema["classes"] == list(range(10)) and "new classes: 5, 6, 7, 8, 9" in done.stdout
    assert found["last"]["r2"] > 0.8 and found["last"]["r2_before"] > 0.8
    assert found["text"]["accuracy"] > 0.6
    for name, columns in (("more", 64), ("text", 200)):
        again = found[f"{name}_again"]
        assert again["accuracy"] == found[name]["accuracy"] and again["roc_auc"] > 0.85
        assert len(pd.read_csv(tmp_path / f"{name}_again" / "importance.csv")) == columns
        assert (tmp_path / f"{name}_again" / "roc.png").stat().st_size > 5_000
    assert (tmp_path / "price_again" / "residuals.png").stat().st_size > 5_000

    train = pd.read_parquet(tmp_path / "words" / "train.parquet")
    assert {"size", "town=new", "town=old", "town=far", "town=", "town=(other)", "price"} == set(
        train.columns
    )
    assert not train.isna().any().any() and abs(train["size"].mean()) < 0.01
    assert (train.filter(like="town=").sum(axis=1) == 1).all()
    assert (tmp_path / "words" / "train.tfrecord").stat().st_size > 180 * 20
    assert json.loads((tmp_path / "words" / "normalization.json").read_text())["words"]["town"]
