"""The scikit-learn recipes really run, as a person would run them, and learn what they should."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

from .conftest import LoadRecipe, RunRecipe


@pytest.fixture
def houses(tmp_path: Path) -> Path:
    """A table with gaps, words and true/false columns, whose price follows from them."""
    random = np.random.default_rng(7)
    size, town = random.uniform(40, 200, 240), random.choice(["old", "new", "far"], 240)
    garden = random.random(240) < 0.5
    price = 3 * size + 40 * (town == "new") + 25 * garden + random.normal(0, 5, 240)
    table = pd.DataFrame({"size": size, "town": town, "garden": garden, "price": price})
    table["dear"] = np.where(price > price.mean(), "yes", "no")
    table.loc[::17, "size"] = np.nan
    table.loc[::19, "town"] = None
    path = tmp_path / "houses.csv"
    table.to_csv(path, index=False)
    return path


def test_forest_reports_progress_learns_and_repeats(
    run_recipe: RunRecipe, run_here: RunRecipe, copies: Path
) -> None:
    flags = ("sklearn_forest", "--n-estimators", 40, "--seed", 3)
    with ThreadPoolExecutor(2) as pool:
        once = pool.submit(run_recipe, *flags, folder="first")
        copied = pool.submit(run_recipe, *flags, folder="copy", within=copies)
    first, copy = once.result(), copied.result()
    assert (first.code, first.err) == (0, "")
    assert "trees 4/40  accuracy 0." in first.out and "trees 40/40  accuracy 0.9" in first.out
    assert first.out.splitlines()[-1].startswith("metrics  accuracy 0.9")
    assert 0.95 < first.metrics["accuracy"] <= 1
    assert (copy.code, copy.err, copy.metrics) == (0, "", first.metrics)
    assert run_here(*flags, folder="here").metrics == first.metrics
    assert run_here(*flags[:-1], 4, folder="other").metrics != first.metrics
    assert joblib.load(first.folder / "model.joblib").n_features_in_ == 64
    assert sorted(path.name for path in first.folder.iterdir()) == ["metrics.json", "model.joblib"]


def test_boosting_learns_with_gaps_and_words(run_here: RunRecipe, houses: Path) -> None:
    flags = ("--data", houses, "--target", "price", "--n-estimators", 60, "--min-samples-leaf", 5)
    made = run_here("sklearn_boosting", *flags)
    assert (made.code, made.err) == (0, "")
    assert "rounds 6/60  r2 " in made.out and made.metrics["r2"] > 0.9
    assert joblib.load(made.folder / "model.joblib").predict(pd.read_csv(houses).head(3)).shape == (3,)


def test_a_search_keeps_the_best_of_its_candidates(run_here: RunRecipe) -> None:
    made = run_here("sklearn_search", "--data", "wine", "--model", "linear", "--size", 3)
    assert (made.code, made.err) == (0, "")
    found = pd.read_csv(made.folder / "candidates.csv")
    assert len(found) == 3 and found["cv_accuracy"].is_monotonic_decreasing
    assert made.metrics["cv_accuracy"] == found["cv_accuracy"].max() > 0.95
    best = joblib.load(made.folder / "model.joblib")[-1]
    assert found["C"].iloc[0] == best.C and made.metrics["accuracy"] > 0.93


def test_clusters_find_the_digits_without_a_target(run_here: RunRecipe) -> None:
    made = run_here("sklearn_clusters", "--n-init", 4)
    assert (made.code, made.err) == (0, "")
    assert made.metrics["adjusted_rand"] > 0.4 and made.metrics["silhouette"] > 0.1
    model = made.folder / "model.joblib"
    assert joblib.load(model).named_steps["kmeans"].n_clusters == 10
    measured = run_here("sklearn_evaluate", "--model", model)
    assert (measured.code, measured.err, measured.metrics) == (0, "", made.metrics)
    counts = pd.read_csv(measured.folder / "confusion.csv", index_col="answer")
    assert counts.shape == (10, 10) and counts.to_numpy().sum() == 450


def test_linear_cross_validates_and_is_measured_by_evaluate(run_recipe: RunRecipe) -> None:
    trained = run_recipe("sklearn_linear", "--data", "breast_cancer", "--folds", 3)
    assert (trained.code, trained.err) == (0, "")
    assert "fold 3/3  accuracy 0.9" in trained.out
    assert trained.metrics["accuracy"] > 0.93 and trained.metrics["cv_accuracy"] > 0.93
    model = trained.folder / "model.joblib"
    measured = run_recipe("sklearn_evaluate", "--model", model, "--data", "breast_cancer")
    assert (measured.code, measured.err) == (0, "")
    expected = {name: trained.metrics[name] for name in ("accuracy", "f1_macro", "log_loss")}
    found = measured.metrics
    assert found == pytest.approx({**expected, "roc_auc": found["roc_auc"]})
    rows = pd.read_csv(measured.folder / "predictions.csv")
    assert (rows["answer"] == rows["predicted"]).mean() == pytest.approx(found["accuracy"])
    counts = pd.read_csv(measured.folder / "confusion.csv", index_col="answer")
    assert np.trace(counts) / len(rows) == pytest.approx(found["accuracy"])
    curve = pd.read_csv(measured.folder / "roc.csv")
    assert set(curve["class"]) == {1}, "of two classes one curve is enough"
    area = np.trapezoid(curve["true_positive_rate"], curve["false_positive_rate"])
    assert area == pytest.approx(found["roc_auc"]) and area > 0.98
    assert len(pd.read_csv(measured.folder / "importance.csv")) == 30
    pictures = {path.name: path.read_bytes() for path in measured.folder.glob("*.png")}
    assert set(pictures) == {"confusion.png", "roc.png", "importance.png"}
    assert all(each.startswith(b"\x89PNG") and len(each) > 5_000 for each in pictures.values())


def test_linear_regression_on_a_persons_table(run_here: RunRecipe, houses: Path) -> None:
    table = pd.read_csv(houses).drop(columns="dear")
    table.assign(nothing=np.arange(240) % 7).to_csv(houses, index=False)
    flags = ("--data", str(houses), "--target", "price")
    ran = run_here("sklearn_linear", *flags, "--folds", 2)
    assert (ran.code, ran.err) == (0, "")
    assert ran.metrics["r2"] > 0.8 and ran.metrics["rmse"] < 70
    folder = run_here("sklearn_evaluate", "--model", ran.folder / "model.joblib", *flags).folder
    counts = pd.read_csv(folder / "importance.csv", index_col="column")["importance"]
    assert counts.index[0] == "size" and counts["size"] > 1 and abs(counts["nothing"]) < 0.05
    assert {"predicted.png", "residuals.png", "importance.png"} == {
        each.name for each in folder.glob("*.png")
    }


def test_words_of_texts_count(run_here: RunRecipe) -> None:
    trained = run_here("sklearn_text", "--folds", 2)
    assert (trained.code, trained.err) == (0, "")
    assert trained.metrics["accuracy"] > 0.75 and trained.metrics["cv_accuracy"] > 0.7
    model = trained.folder / "model.joblib"
    assert [*joblib.load(model).feature_names_in_] == ["text"]
    measured = run_here("sklearn_evaluate", "--model", model, "--data", "docstrings")
    assert (measured.code, measured.err) == (0, "")
    assert measured.metrics["accuracy"] == trained.metrics["accuracy"]
    assert measured.metrics["roc_auc"] > 0.92
    words = pd.read_csv(measured.folder / "importance.csv")
    assert len(words) == 200 and {"text: dataset", "text: clusters"} <= set(words["column"][:10])


def test_texts_of_a_persons_table_with_hostile_names(
    load_recipe: LoadRecipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = {"$\\frac{": "the soup was cold and the bread was", "[red]\x1b[0m": "a fine view over the old"}
    rows = [
        (kind, f"{text} {town}{at}", at) for at in range(30) for kind, text in said.items() for town in "ab"
    ]
    table = pd.DataFrame(rows, columns=["kind", "what $they_{ said", "number"])
    table.loc[3, "what $they_{ said"] = None
    table.to_csv(tmp_path / "said.csv", index=False)
    events = tmp_path / "events"
    monkeypatch.setenv("CRO_EVENTS", str(events))
    monkeypatch.setenv("CRO_OUTPUT_DIR", str(tmp_path))
    flags = ["--data", str(tmp_path / "said.csv"), "--target", "kind"]
    train, evaluate = load_recipe("sklearn_text"), load_recipe("sklearn_evaluate")
    assert train.run(train.main, [*flags, "--folds", "2", "--ngrams", "2"]) == 0
    assert "texts: column 'what $they_{ said'; not used: 'number'" in capsys.readouterr().out
    assert evaluate.run(evaluate.main, [*flags, "--model", str(tmp_path / "model.joblib")]) == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["accuracy"] > 0.98
    told = [json.loads(line) for line in events.read_text().splitlines()]
    assert next(len(each["sample"]) for each in told if "model" in each) == 20
    assert not any("spread" in each for each in told), "nearly every text is a new one"
    made = {each["artifact"] for each in told if "artifact" in each}
    assert made == {path.name for path in tmp_path.glob("*.*") if path.suffix in (".png", ".csv")} - {
        "said.csv"
    }


def test_prepare_train_evaluate_in_a_chain(
    run_recipe: RunRecipe, run_here: RunRecipe, houses: Path
) -> None:
    flags = ("--target", "dear")
    prepared = run_recipe("sklearn_preprocess", "--data", houses, *flags)
    assert (prepared.code, prepared.err) == (0, "")
    assert prepared.metrics == pytest.approx(
        {"train_rows": 180, "test_rows": 60, "features": 7, "missing_share": 28 / 960}
    )
    train, test = prepared.folder / "train.parquet", prepared.folder / "test.parquet"
    table = pd.read_parquet(train)
    assert not table.isna().any().any() and abs(table["numbers__price"].mean()) < 1e-9
    assert {"words__town_old", "words__town_new", "words__town_far", "dear"} <= set(table.columns)
    trained = run_here("sklearn_forest", "--data", train, *flags, "--n-estimators", 20)
    assert (trained.code, trained.err) == (0, "")
    model = trained.folder / "model.joblib"
    measured = run_here("sklearn_evaluate", "--model", model, "--data", test, *flags)
    assert (measured.code, measured.err) == (0, "")
    assert measured.metrics["accuracy"] > 0.95
    assert "class no " in measured.out and "RandomForest" not in measured.err
