"""scikit-learn pipelines: preparing raw columns, scores, and saving."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .data import is_prose
from .job import BadData
from .models import report_model

if TYPE_CHECKING:
    import pandas
    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

MOST_MEASURED = 5000  # rows: a silhouette compares every pair


def preparation(features: pandas.DataFrame, scale: str, max_categories: int) -> ColumnTransformer:
    """A transformer that fills gaps, scales numbers, and turns words into 0/1 columns.

    `scale` is "standard", "minmax" or "none".
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

    if all(is_prose(column) for _, column in features.items()):
        raise BadData("there are only texts: sklearn_text and tf_text learn from them")
    numbers = [name for name, column in features.items() if column.dtype == "float64"]
    words = [name for name in features.columns if name not in set(numbers)]
    steps = [SimpleImputer(strategy="median", keep_empty_features=True)]
    steps += {"standard": [StandardScaler()], "minmax": [MinMaxScaler()], "none": []}[scale]
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=max_categories, sparse_output=False
    )
    return ColumnTransformer([("numbers", make_pipeline(*steps), numbers), ("words", encoder, words)])


def pipeline_scores(
    model: BaseEstimator, features: pandas.DataFrame, targets: NDArray[Any], task: str
) -> dict[str, float]:
    """The metrics of a fitted model on rows that it has not seen."""
    from sklearn import metrics

    predicted = model.predict(features)
    if task == "regression":
        return {
            "r2": metrics.r2_score(targets, predicted),
            "mae": metrics.mean_absolute_error(targets, predicted),
            "rmse": metrics.root_mean_squared_error(targets, predicted),
        }
    found = {
        "accuracy": metrics.accuracy_score(targets, predicted),
        "f1_macro": metrics.f1_score(targets, predicted, average="macro", zero_division=0),
    }
    if hasattr(model, "predict_proba") and set(targets) <= set(model.classes_):
        found["log_loss"] = metrics.log_loss(targets, model.predict_proba(features), labels=model.classes_)
    return found


def cluster_scores(
    model: Pipeline, features: pandas.DataFrame, targets: NDArray[Any] | None
) -> tuple[dict[str, float], NDArray[Any]]:
    """The metrics of a fitted k-means pipeline on unseen rows, and the cluster of each row."""
    from sklearn import metrics

    prepared = model[:-1].transform(features)
    clusters = model[-1].predict(prepared)
    found = {"inertia": -model[-1].score(prepared) / len(prepared)}
    some = clusters[:MOST_MEASURED]
    if 1 < len(set(some)) < len(some):
        found["silhouette"] = metrics.silhouette_score(prepared[:MOST_MEASURED], some)
    if targets is not None:
        found["adjusted_rand"] = metrics.adjusted_rand_score(targets, clusters)
    return found, clusters


def save_pipeline(model: Pipeline, rows: pandas.DataFrame, folder: Path) -> None:
    """Write `model.joblib`, whole or not at all; `rows` are the features that it learned from."""
    import joblib

    joblib.dump(model, folder / "model.joblib.part")
    (folder / "model.joblib.part").replace(folder / "model.joblib")
    report_model("model.joblib", "sklearn", rows)
    print(f"wrote {folder / 'model.joblib'}")
