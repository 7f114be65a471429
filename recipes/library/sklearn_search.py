# /// script
# requires-python = ">=3.11"
# dependencies = ["joblib>=1.4", "pandas>=2.2", "pyarrow>=18", "scikit-learn>=1.6"]
# [tool.cro]
# title = "Grid search"
# description = "Tries a grid of hyperparameters by cross-validation and keeps the best model."
# framework = "sklearn"
# kind = "train"
# resources = { cpus = 2, mem = "900M", gpus = 0, time = "10m" }
# metrics = { accuracy = "max", r2 = "max" }
# grace = "30s"
# repeatable = true
# checkpoint = true
# [tool.cro.params]
# data.type = "path"
# data.default = "digits"
# data.choices = ["digits", "breast_cancer", "wine", "diabetes"]
# data.help = "a data set bundled with scikit-learn, or a CSV or Parquet file"
# target = { default = "target", help = "the column to predict" }
# task.default = "auto"
# task.choices = ["auto", "classification", "regression"]
# task.help = "auto: inferred from the target"
# model = { default = "forest", choices = ["linear", "forest", "boosting"], help = "the model to tune" }
# folds = { default = 3, min = 2, max = 20, help = "folds of the cross-validation" }
# size = { default = 3, min = 1, max = 5, help = "values to try for each hyperparameter" }
# test_share = { default = 0.25, min = 0.05, max = 0.5, help = "fraction held out for testing" }
# seed = { default = 0, min = 0, max = 4294967295, help = "the same seed gives the same result" }
# ///
"""Tunes a model by cross-validated grid search and saves the best one as `model.joblib`.

Each candidate is fitted once on each fold, and the checkpoint keeps its score. `candidates.csv` has the
mean score of each candidate.
"""

import argparse
import sys
from itertools import product

from kit.checkpoints import Checkpoints
from kit.data import load, split
from kit.flags import data_flags, number, task_flag
from kit.job import cpus, output_folder, report, run, save_metrics
from kit.linear import enough_for
from kit.pipelines import pipeline_scores, preparation, save_pipeline

GRIDS = {  # the usual values first
    "linear": {"C": (1.0, 0.1, 10.0, 0.01, 100.0)},
    "forest": {"max_depth": (None, 8, 16, 4, 32), "min_samples_leaf": (1, 5, 2, 10, 20)},
    "boosting": {"learning_rate": (0.1, 0.05, 0.2, 0.02, 0.5), "max_leaf_nodes": (31, 15, 63, 7, 127)},
}


def arguments():
    parser = argparse.ArgumentParser(description="Tune a model by cross-validated grid search.")
    data_flags(parser)
    task_flag(parser)
    parser.add_argument("--model", default="forest", choices=tuple(GRIDS), help="the model to tune")
    number(parser, "--folds", 3, (2, 20), "folds of the cross-validation")
    number(parser, "--size", 3, (1, 5), "values to try for each hyperparameter")
    return parser


def estimator(model, task, seed):
    from sklearn import ensemble
    from sklearn.linear_model import LogisticRegression, Ridge

    classifies = task == "classification"
    if model == "linear":
        return LogisticRegression(max_iter=2000, random_state=seed) if classifies else Ridge()
    kind = {"forest": "RandomForest", "boosting": "HistGradientBoosting"}[model]
    made = getattr(ensemble, kind + ("Classifier" if classifies else "Regressor"))(random_state=seed)
    return made.set_params(n_jobs=cpus()) if model == "forest" else made


def grid(model, task, size):
    """Every combination of the values; ridge regression takes the inverse of C."""
    values = {name: values[:size] for name, values in GRIDS[model].items()}
    if model == "linear" and task == "regression":
        values = {"alpha": tuple(1 / value for value in values["C"])}
    return [dict(zip(values, combination, strict=True)) for combination in product(*values.values())]


def main(argv=None):
    options, checkpoints = arguments().parse_args(argv), Checkpoints(__file__)
    features, targets, task = load(options.data, options.target, options.task)
    train, test, train_targets, test_targets = split(
        features, targets, task, options.test_share, options.seed
    )
    enough_for(options.folds, train_targets, task)
    import numpy
    import pandas
    import sklearn
    from sklearn.base import clone
    from sklearn.model_selection import KFold, StratifiedKFold
    from sklearn.pipeline import make_pipeline

    print(f"{task}: {len(train)} training rows, {len(test)} held out, {features.shape[1]} features")
    main_score = "cv_accuracy" if task == "classification" else "cv_r2"
    prepare = preparation(features, "standard" if options.model == "linear" else "none", 30)
    plain = make_pipeline(prepare, estimator(options.model, task, options.seed))
    candidates = grid(options.model, task, options.size)
    kind = StratifiedKFold if task == "classification" else KFold
    folds = list(kind(options.folds, shuffle=True, random_state=options.seed).split(train, train_targets))
    found = checkpoints.load(options, sklearn) or []  # the scores, candidate by candidate, fold by fold
    if found:
        checkpoints.resumed(f"{len(found)} of {len(candidates) * len(folds)} fits")
    for place, candidate in enumerate(candidates):
        for inside, outside in folds[max(0, len(found) - place * len(folds)) :]:
            model = clone(plain)
            model[-1].set_params(**candidate)
            with checkpoints.interruptible(found):
                model.fit(train.iloc[inside], train_targets[inside])
            found.append(float(model.score(train.iloc[outside], train_targets[outside])))
            if checkpoints.due():
                checkpoints.save(found)
        score = numpy.mean(found[place * len(folds) : (place + 1) * len(folds)])
        done = (place + 1) / (len(candidates) + 1)
        report(step=place + 1, progress=done, phase="search", **{main_score: score})
        values = "  ".join(f"{name} {value}" for name, value in candidate.items())
        print(f"candidate {place + 1}/{len(candidates)}  {main_score} {score:.4f}  {values}")
    means = numpy.reshape(found, (len(candidates), len(folds))).mean(axis=1)
    best = candidates[int(means.argmax())]
    print("best  " + "  ".join(f"{name} {value}" for name, value in best.items()))
    report(phase="train", note=f"best: {best}")
    plain[-1].set_params(**best)
    with checkpoints.interruptible(found):
        plain.fit(train, train_targets)
    if options.model == "forest":
        plain[-1].n_jobs = None  # the cores are left to the model's user
    folder = output_folder()
    table = pandas.DataFrame(candidates).assign(**{main_score: means})
    table.sort_values(main_score, ascending=False).to_csv(folder / "candidates.csv", index=False)
    report(artifact="candidates.csv")
    save_pipeline(plain, train, folder)
    save_metrics({**pipeline_scores(plain, test, test_targets, task), main_score: means.max()}, folder)
    checkpoints.done()


if __name__ == "__main__":
    sys.exit(run(main))
