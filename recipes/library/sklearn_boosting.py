# /// script
# requires-python = ">=3.11"
# dependencies = ["joblib>=1.4", "pandas>=2.2", "pyarrow>=18", "scikit-learn>=1.6"]
# [tool.cro]
# title = "Gradient boosting"
# description = "Each tree corrects the errors of the previous ones; often the best on tables."
# framework = "sklearn"
# kind = "train"
# resources = { cpus = 2, mem = "700M", gpus = 0, time = "10m" }
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
# n_estimators = { default = 200, min = 1, max = 5000, help = "boosting rounds; each has a tree per class" }
# learning_rate = { default = 0.1, min = 0.001, max = 1.0, help = "weight of each tree" }
# max_leaves = { default = 31, min = 2, max = 1000, help = "maximum leaves per tree" }
# min_samples_leaf = { default = 20, min = 1, max = 10000, help = "minimum rows per leaf" }
# test_share = { default = 0.25, min = 0.05, max = 0.5, help = "fraction held out for testing" }
# seed = { default = 0, min = 0, max = 4294967295, help = "the same seed gives the same result" }
# ///
"""Trains histogram gradient boosting and saves it as `model.joblib`, a plain scikit-learn pipeline.

The model grows in ten steps, and prints its size and its score on the test rows after each. About once
a second it checks whether to save or stop. How many rounds that is follows from the size of the data alone,
so a run that was stopped ends with the same model.
"""

import argparse
import sys

from kit.checkpoints import Checkpoints
from kit.data import load, split
from kit.flags import data_flags, number, task_flag
from kit.job import output_folder, report, run, save_metrics
from kit.pipelines import pipeline_scores, preparation, save_pipeline

CELLS = 4 * 10**6  # rows x columns x classes x rounds between two checks, about a second


def arguments():
    parser = argparse.ArgumentParser(description="Train histogram gradient boosting.")
    data_flags(parser)
    task_flag(parser)
    number(parser, "--n-estimators", 200, (1, 5000), "boosting rounds; each has a tree per class")
    number(parser, "--learning-rate", 0.1, (0.001, 1.0), "weight of each tree")
    number(parser, "--max-leaves", 31, (2, 1000), "maximum leaves per tree")
    number(parser, "--min-samples-leaf", 20, (1, 10_000), "minimum rows per leaf")
    return parser


def main(argv=None):
    options, checkpoints = arguments().parse_args(argv), Checkpoints(__file__)
    features, targets, task = load(options.data, options.target, options.task)
    train, test, train_targets, test_targets = split(
        features, targets, task, options.test_share, options.seed
    )
    import sklearn
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.pipeline import make_pipeline

    print(f"{task}: {len(train)} training rows, {len(test)} held out, {features.shape[1]} features")
    prepare = preparation(features, "none", 30).fit(train)
    known, held_out = prepare.transform(train), prepare.transform(test)
    classes = len(set(train_targets)) if task == "classification" else 1
    kind = HistGradientBoostingClassifier if classes > 1 else HistGradientBoostingRegressor
    boosting = checkpoints.load(options, sklearn) or kind(
        warm_start=True,  # fit() adds rounds to those that are there
        early_stopping=False,
        learning_rate=options.learning_rate,
        max_leaf_nodes=options.max_leaves,
        min_samples_leaf=options.min_samples_leaf,
        random_state=options.seed,
    )
    rounds, total = getattr(boosting, "n_iter_", 0), options.n_estimators
    if rounds:
        checkpoints.resumed(f"{rounds} rounds")
    main_score = "accuracy" if task == "classification" else "r2"
    steps = min(10, total)
    ends = [total * step // steps for step in range(1, steps + 1)]
    batch = max(1, CELLS // (known.size * classes))
    while rounds < total:
        end = next(end for end in ends if end > rounds)
        rounds = min(end, rounds + batch)
        boosting.set_params(max_iter=rounds).fit(known, train_targets)
        if rounds == end:
            score = boosting.score(held_out, test_targets)
            report(step=rounds, progress=rounds / total, phase="train", **{main_score: score})
            print(f"rounds {rounds}/{total}  {main_score} {score:.4f}")
        if checkpoints.due():
            checkpoints.save(boosting)
    model, folder = make_pipeline(prepare, boosting), output_folder()
    save_pipeline(model, train, folder)
    save_metrics(pipeline_scores(model, test, test_targets, task), folder)
    checkpoints.done()


if __name__ == "__main__":
    sys.exit(run(main))
