"""Recipes refuse bad data with one clear line on stderr and exit code 2."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recipes.discover import library_folder

from .conftest import LoadRecipe, RunRecipe

ROWS = 40


def table(**columns: object) -> pd.DataFrame:
    numbers = np.linspace(0, 1, ROWS)
    return pd.DataFrame({"a": numbers, "b": numbers**2, "target": [0, 1] * (ROWS // 2)} | columns)


def csv(**columns: object) -> Callable[[Path], object]:
    return lambda path: table(**columns).to_csv(path, index=False)


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "out"
    monkeypatch.setenv("CRO_OUTPUT_DIR", str(folder))
    return folder


@pytest.mark.parametrize(
    ("recipe", "flags", "message"),
    [
        ("sklearn_preprocess", ("--data", "no.csv"), "there is no file no.csv"),
        ("sklearn_evaluate", ("--model", "empty.csv"), "empty.csv is not a model that can be loaded here"),
        ("tf_deep", ("--data", "empty.csv"), "empty.csv is empty"),
        ("tf_finetune", ("--model", "empty.csv"), "empty.csv is not a Keras model"),
    ],
)
def test_as_a_real_process(
    recipe: str, flags: tuple[str, ...], message: str, run_recipe: RunRecipe, tmp_path: Path
) -> None:
    (tmp_path / "empty.csv").touch()
    ran = run_recipe(recipe, *flags)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith("error: ") and message in ran.err
    assert not ran.folder.exists()


@pytest.mark.parametrize(
    ("recipe", "data", "message"),
    [
        ("sklearn_text", "wine", "there is no column of texts"),
        ("tf_text", "wine", "there is no column of texts"),
        ("sklearn_forest", "docstrings", "there are only texts: sklearn_text and tf_text"),
        ("tf_deep", "docstrings", "there are only texts: sklearn_text and tf_text"),
        ("tf_cnn", "wine", "13 columns are not a square image"),
        ("tf_cnn", "docstrings", "there are only texts"),
    ],
)
def test_each_says_which_other_takes_it(
    recipe: str, data: str, message: str, load_recipe: LoadRecipe, capsys: pytest.CaptureFixture[str]
) -> None:
    module = load_recipe(recipe)
    assert module.run(module.main, ["--data", data]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_evaluate_refuses_what_does_not_fit_the_model(
    load_recipe: LoadRecipe, output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv()(tmp_path / "ok.csv")
    table(target=["x", "y"] * 20).to_csv(tmp_path / "words.csv", index=False)
    table().rename(columns={"b": "c"}).to_csv(tmp_path / "other.csv", index=False)
    linear, evaluate = load_recipe("sklearn_linear"), load_recipe("sklearn_evaluate")
    assert linear.run(linear.main, ["--data", str(tmp_path / "ok.csv")]) == 0
    model = str(output / "model.joblib")
    capsys.readouterr()
    assert linear.run(linear.main, ["--data", str(tmp_path / "ok.csv"), "--folds", "20"]) == 2
    assert "one has 15: lower --folds" in capsys.readouterr().err
    for file, message in (("other", "has no column 'b'"), ("words", "is a class of the model")):
        assert evaluate.run(evaluate.main, ["--model", model, "--data", str(tmp_path / f"{file}.csv")]) == 2
        said = capsys.readouterr().err
        assert message in said and said.count("\n") == 1


def test_a_wrong_flag_is_told_by_the_parser() -> None:
    command = [sys.executable, str(library_folder() / "sklearn_forest.py"), "--n-estimators", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "0 is not from 1 to 5000" in done.stderr


@pytest.mark.parametrize(
    ("name", "columns", "target", "message"),
    [
        (
            "sklearn_preprocess",
            {"numbers__a": [0, 1] * 20},
            "numbers__a",
            "would be called 'numbers__a' as well",
        ),
        (
            "tf_preprocess",
            {"w": ["u", "v"] * 20, "w=u": 1.0},
            "target",
            "two columns would have the same name",
        ),
    ],
)
@pytest.mark.usefixtures("output")
def test_prepared_columns_never_hide_one_another(
    *,
    name: str,
    columns: dict[str, object],
    target: str,
    message: str,
    load_recipe: LoadRecipe,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table(**columns).to_csv(tmp_path / "x.csv", index=False)
    module = load_recipe(name)
    assert module.run(module.main, ["--data", str(tmp_path / "x.csv"), "--target", target]) == 2
    assert message in capsys.readouterr().err
