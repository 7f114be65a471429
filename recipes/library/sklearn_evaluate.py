# /// script
# requires-python = ">=3.11"
# dependencies = ["joblib>=1.4", "matplotlib>=3.9", "pandas>=2.2", "pyarrow>=18", "scikit-learn>=1.6"]
# [tool.cro]
# title = "Evaluate a scikit-learn model"
# description = "Metrics, tables and pictures of a saved model. Only load models you wrote."
# framework = "sklearn"
# kind = "evaluate"
# resources = { cpus = 1, mem = "600M", gpus = 0, time = "5m" }
# metrics = { accuracy = "max", r2 = "max" }
# repeatable = true
# [tool.cro.params]
# model.type = "path"
# model.help = "model.joblib of a train recipe; only load models you wrote: the file can run code"
# data.type = "path"
# data.default = "digits"
# data.choices = ["digits", "breast_cancer", "wine", "diabetes", "docstrings"]
# data.help = "a data set bundled with scikit-learn, or a CSV or Parquet file"
# target = { default = "target", help = "the column to predict" }
# rows.default = "auto"
# rows.choices = ["auto", "held_out", "all"]
# rows.help = "auto: all rows of a file, the rows held out from training of bundled data"
# repeats = { default = 3, min = 0, max = 100, help = "shuffles per column for its importance; 0: none" }
# test_share = { default = 0.25, min = 0.05, max = 0.5, help = "fraction held out for testing" }
# seed = { default = 0, min = 0, max = 4294967295, help = "the same seed gives the same result" }
# ///
"""Measures a saved scikit-learn model: metrics, tables and pictures.

Writes the predictions; for classes their confusion and ROC curves, for numbers their residuals; and how
important each column is.

A joblib file is a pickle and can run any code while it loads: only load models you wrote.
"""

import argparse
import sys
from pathlib import Path

from kit.data import load, load_unlabelled
from kit.evaluation import chosen_rows, confusion, evaluate, evaluation_flags, save_table
from kit.job import BadData, output_folder, run, save_metrics
from kit.pipelines import cluster_scores, pipeline_scores


def arguments():
    parser = argparse.ArgumentParser(
        description="Measure a saved scikit-learn model. Only load models you wrote."
    )
    parser.add_argument(
        "--model",
        required=True,
        help="model.joblib of a train recipe; only load models you wrote: the file can run code",
    )
    evaluation_flags(parser)
    return parser


def load_model(path):
    """A fitted model and its task. Loading runs the code that the file holds."""
    if not Path(path).is_file():
        raise BadData(f"there is no file {path}: --model is the model.joblib of a train recipe")
    import joblib
    from sklearn.base import is_classifier, is_clusterer, is_regressor

    try:
        model = joblib.load(path)
    except Exception as error:
        raise BadData(f"{path} is not a model that can be loaded here: {error!r}") from error
    tasks = {"classification": is_classifier, "regression": is_regressor, "clustering": is_clusterer}
    for task, fits in tasks.items():
        if fits(model):
            return model, task
    raise BadData(f"{path} holds a {type(model).__name__}, which neither predicts nor clusters")


def columns_of(model, features, options):
    """The columns that the model takes, in its order."""
    names = list(getattr(model, "feature_names_in_", features.columns))
    missing = [name for name in names if name not in features.columns]
    if missing:
        raise BadData(f"{options.data} has no column {missing[0]!r}, which the model needs")
    return features[names]


def evaluate_clusters(model, options, folder):
    """The clusters of these rows, compared with the target where the table has it; returns the metrics."""
    import numpy
    import pandas

    features, targets = load_unlabelled(options.data, options.target)
    features, rows = columns_of(model, features, options), numpy.arange(len(features))
    _, rows = chosen_rows(rows, rows, "regression", options)
    features = features.iloc[rows]
    targets = None if targets is None else targets[rows]
    print(f"clustering: {type(model[-1]).__name__} on {len(features)} rows")
    metrics, clusters = cluster_scores(model, features, targets)
    known = {} if targets is None else {"answer": targets}
    save_table(pandas.DataFrame({**known, "group": clusters}), "predictions.csv", folder)
    if targets is not None:
        confusion(targets, clusters, [], folder)
    return metrics


def main(argv=None):
    options = arguments().parse_args(argv)
    model, task = load_model(options.model)
    if task == "clustering":
        folder = output_folder()
        save_metrics(evaluate_clusters(model, options, folder), folder)
        return
    features, targets, task = load(options.data, options.target, task)
    features, targets = chosen_rows(columns_of(model, features, options), targets, task, options)
    classes = model.classes_.tolist() if task == "classification" else []
    if classes and not set(targets) & set(classes):
        raise BadData(f"no value of the target, such as '{targets[0]}', is a class of the model")
    print(f"{task}: {type(model).__name__} on {len(features)} rows")
    try:
        metrics = pipeline_scores(model, features, targets, task)
    except (ValueError, TypeError) as error:
        raise BadData(f"the model cannot take this data: {error}") from error

    def predict(rows):
        return model.predict(rows), model.predict_proba(rows) if has_probabilities else None

    has_probabilities = classes and hasattr(model, "predict_proba")
    folder = output_folder()
    metrics |= evaluate(predict, features, targets, classes, options=options, folder=folder)
    save_metrics(metrics, folder)


if __name__ == "__main__":
    sys.exit(run(main))
