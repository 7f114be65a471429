"""Models without training: reports, preparation, schemas, scores, and pictures of predictions."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from recipes.library.kit import evaluation, flags, linear, networks, pipelines
from recipes.library.kit.job import BadData
from recipes.library.kit.models import report_model, spread

TABLE = pd.DataFrame({"size": np.arange(40.0), "town": ["old", "new"] * 20})


def test_a_number_is_refused_outside_its_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    flags.number(parser, "--trees", 10, (1, 20), "number of trees")
    flags.number(parser, "--rate", 0.5, (0.1, 1.0), "rate")
    given = parser.parse_args(["--trees", "20", "--rate", "1"])
    assert (given.trees, given.rate) == (20, 1.0) and isinstance(given.rate, float)
    for words, said in (
        (["--trees", "21"], "21 is not from 1 to 20"),
        (["--trees", "2.5"], "invalid int value: '2.5'"),
        (["--rate", "nan"], "nan is not from 0.1 to 1.0"),
    ):
        with pytest.raises(SystemExit):
            parser.parse_args(words)
        assert said in capsys.readouterr().err


def test_a_spread_counts_every_value() -> None:
    column = pd.Series([*np.arange(100.0), np.nan])
    found: Any = spread(column)
    assert len(found["counts"]) == len(found["cuts"]) + 1 == 20
    assert (sum(found["counts"]), found["missing"]) == (100, 1) and found["cuts"] == sorted(found["cuts"])
    words: Any = spread(pd.Series([f"w{number}" for number in range(60)] + ["w0"] * 3))
    assert (len(words["words"]), words["words"]["w0"], words["others"]) == (50, 4, 10)
    assert spread(pd.Series([np.nan, np.nan])) == {"cuts": [], "counts": [0], "missing": 2}


def test_a_model_is_reported_with_a_sample_and_its_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRO_EVENTS", str(tmp_path / "events"))
    prose = [f"the {number}th of many long texts" for number in range(40)]
    report_model("model.joblib", "sklearn", TABLE.assign(text=prose))
    wide = pd.DataFrame(np.zeros((40, 3000)), columns=[f"column {number}" for number in range(3000)])
    report_model("model.keras", "keras", wide)
    model, spreads, other = map(json.loads, (tmp_path / "events").read_text().splitlines())
    assert (model["model"], model["flavor"], len(model["sample"])) == ("model.joblib", "sklearn", 20)
    assert set(spreads["spread"]) == {"size", "town"}, "nearly every text is a new one"
    assert len(other["sample"]) == 0, "one row would be too long for a line"


def test_raw_columns_are_prepared() -> None:
    rows = TABLE.assign(size=TABLE["size"].where(TABLE["size"] > 3))
    made = pipelines.preparation(rows, "standard", 30).fit_transform(rows)
    assert made.shape == (40, 3) and not np.isnan(made).any() and abs(made[:, 0].mean()) < 0.1
    with pytest.raises(BadData, match="there are only texts"):
        texts = pd.DataFrame({"text": [f"the {number}th of many texts" for number in range(40)]})
        pipelines.preparation(texts, "none", 30)


def test_folds_need_rows_of_each_class() -> None:
    targets = np.array([0] * 30 + [1] * 3)
    linear.enough_for(3, targets, "classification")
    with pytest.raises(BadData, match="4 folds need 4 rows of each class, one has 3: lower --folds"):
        linear.enough_for(4, targets, "classification")
    linear.enough_for(20, targets, "regression")
    with pytest.raises(BadData, match="20 folds need 20 rows, there are 9: lower --folds"):
        linear.enough_for(20, targets[:9], "regression")


def test_a_schema_encodes_rows_and_targets_as_the_network_takes_them() -> None:
    schema = networks.learn_schema(TABLE, np.array(["u", "v"] * 20), "classification")
    assert json.loads(json.dumps(schema)) == schema
    assert schema["numbers"] == {"size": [19.5, 133.25]} and schema["words"] == {"town": ["old", "new"]}
    arrays = networks.encode(TABLE, schema)
    assert {name: array.shape for name, array in arrays.items()} == {"numbers": (40, 1), "word_0": (40,)}
    assert networks.encode_targets(np.array(["v", "w", "u"]), schema).tolist() == [1, -1, 0]
    with pytest.raises(BadData, match="no column 'town', which the model needs"):
        networks.encode(TABLE[["size"]], schema)
    with pytest.raises(BadData, match="column 'size' has text where the model needs numbers"):
        networks.encode(TABLE.assign(size="x"), schema)
    prices = networks.learn_schema(TABLE, np.array([1.0, 3.0] * 20), "regression")
    assert prices["answers"] == [2.0, 1.0] and prices["classes"] == []


def test_scores_of_outputs() -> None:
    classes = {"task": "classification"}
    outputs, targets = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), np.array([0, 1, 1])
    found = networks.network_scores(outputs, targets, classes)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.8, 0.4]).mean())
    unknown = networks.network_scores(outputs, np.array([0, 1, -1]), classes)
    assert unknown["accuracy"] == pytest.approx(2 / 3)
    assert unknown["log_loss"] == pytest.approx(-np.log([0.9, 0.8]).mean()), "a class it does not know"
    numbers = networks.network_scores(
        np.array([[1.0], [3.0]]), np.array([1.0, 2.0]), {"task": "regression"}
    )
    assert numbers == pytest.approx({"r2": -1.0, "mae": 0.5, "rmse": np.sqrt(0.5)})


@pytest.mark.parametrize("beside", [None, "[]", "{", '{"task": 3}'])
def test_a_network_without_its_schema_is_refused(tmp_path: Path, beside: str | None) -> None:
    (tmp_path / "model.keras").write_bytes(b"PK\5\6" + bytes(18))
    if beside is not None:
        (tmp_path / "model.json").write_text(beside)
    with pytest.raises(BadData, match=r"model\.json is missing or damaged"):
        networks.read_schema(str(tmp_path / "model.keras"))
    with pytest.raises(BadData, match="is not a Keras model"):
        (tmp_path / "text.keras").write_text("text")
        networks.read_schema(str(tmp_path / "text.keras"))
    with pytest.raises(BadData, match="there is no file"):
        networks.read_schema(str(tmp_path / "no.keras"))


def evaluate(folder: Path, predict: Any, targets: Any, classes: list[object], repeats: int = 2) -> Any:
    options = argparse.Namespace(repeats=repeats, seed=0)
    return evaluation.evaluate(predict, TABLE, targets, classes, options=options, folder=folder)


def test_classes_are_evaluated_with_tables_and_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model that tells the town by its name alone, and is wrong about the first row."""
    hostile = "$\\frac{[red]\x1b[31m" + "x" * 50

    def predict(rows: pd.DataFrame) -> tuple[Any, Any]:
        is_old = (rows["town"] == "old").to_numpy()
        return np.where(is_old, "a", hostile), np.column_stack([is_old * 0.8 + 0.1, 0.9 - is_old * 0.8])

    targets = np.array(["a", hostile] * 20)
    targets[0] = hostile
    found = evaluate(tmp_path, predict, targets, ["a", hostile])
    assert found == {"roc_auc": pytest.approx(1 - 0.5 / 21)}
    counts = pd.read_csv(tmp_path / "confusion.csv", index_col="answer")
    assert counts.to_numpy().tolist() == [[19, 0], [1, 20]]
    importance = pd.read_csv(tmp_path / "importance.csv", index_col="column")["importance"]
    assert importance["town"] > 0.2 and importance["size"] == 0
    assert {path.name for path in tmp_path.glob("*.png")} == {"confusion.png", "roc.png", "importance.png"}
    said = capsys.readouterr().out
    assert "class a  19 right of 19, predicted 20 times" in said and "\x1b" not in said


def test_numbers_are_evaluated_and_importance_can_be_left_out(tmp_path: Path) -> None:
    targets = TABLE["size"].to_numpy() * 2
    found = evaluate(tmp_path, lambda rows: (rows["size"].to_numpy() * 2, None), targets, [], repeats=0)
    assert found == {}
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {"predictions.csv", "predicted.png", "residuals.png"}


def test_of_texts_each_frequent_word_is_left_out() -> None:
    texts = pd.DataFrame({"text": ["good soup", "bad soup", "good food here now", "bad food here now"] * 3})
    texts["text"] += [f" {number} of many" for number in range(12)]
    without = dict(evaluation.altered(texts, 3, np.random.default_rng(0)))
    assert {"text: good", "text: soup", "text: of"} <= set(without)
    assert not without["text: good"]["text"].str.contains(r"\bgood\b").any()
    score = evaluation.score_for(texts, ["bad", "good"], np.zeros((12, 2)))
    assert score.__name__ == "probability_of_the_class"
    assert score(["good", "new"], None, np.array([[0.3, 0.7], [0.5, 0.5]])) == 0.35
