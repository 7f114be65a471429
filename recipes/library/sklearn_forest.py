# /// script
# requires-python = ">=3.11"
# dependencies = ["joblib>=1.4", "pandas>=2.2", "pyarrow>=18", "scikit-learn>=1.6"]
# [tool.cro]
# title = "Random forest"
# description = "Many decision trees that vote; strong on tables without tuning."
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
# n_estimators = { default = 200, min = 1, max = 5000, help = "number of trees" }
# max_depth = { default = 0, min = 0, max = 1000, help = "maximum tree depth; 0: unlimited" }
# min_samples_leaf = { default = 1, min = 1, max = 10000, help = "minimum rows per leaf" }
# test_share = { default = 0.25, min = 0.05, max = 0.5, help = "fraction held out for testing" }
# seed = { default = 0, min = 0, max = 4294967295, help = "the same seed gives the same result" }
# ///
"""Trains a random forest and saves it as `model.joblib`, a plain scikit-learn pipeline.

The forest grows in ten steps, and prints its size and its score on the test rows after each. About once
a second it checks whether to save or stop; the result does not depend on when.
"""

import argparse
import sys
import time

from kit.checkpoints import Checkpoints
from kit.data import load, split
from kit.flags import data_flags, number, task_flag
from kit.job import cpus, output_folder, report, run, save_metrics
from kit.pipelines import pipeline_scores, preparation, save_pipeline

BATCH_S = 1.0  # how long the trees between two checks should take


def arguments():
    parser = argparse.ArgumentParser(description="Train a random forest.")
    data_flags(parser)
    task_flag(parser)
    number(parser, "--n-estimators", 200, (1, 5000), "number of trees")
    number(parser, "--max-depth", 0, (0, 1000), "maximum tree depth; 0: unlimited")
    number(parser, "--min-samples-leaf", 1, (1, 10_000), "minimum rows per leaf")
    return parser


def main(argv=None):
    options, checkpoints = arguments().parse_args(argv), Checkpoints(__file__)
    features, targets, task = load(options.data, options.target, options.task)
    train, test, train_targets, test_targets = split(
        features, targets, task, options.test_share, options.seed
    )
    import sklearn
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.pipeline import make_pipeline

    print(f"{task}: {len(train)} training rows, {len(test)} held out, {features.shape[1]} features")
    prepare = preparation(features, "none", 30).fit(train)
    known, held_out = prepare.transform(train), prepare.transform(test)
    kind = RandomForestClassifier if task == "classification" else RandomForestRegressor
    forest = checkpoints.load(options, sklearn) or kind(
        warm_start=True,  # fit() adds trees to those that are there
        max_depth=options.max_depth or None,
        min_samples_leaf=options.min_samples_leaf,
        random_state=options.seed,
    )
    forest.n_jobs = cpus()
    trees, total = len(getattr(forest, "estimators_", ())), options.n_estimators
    if trees:
        checkpoints.resumed(f"{trees} trees")
    main_score = "accuracy" if task == "classification" else "r2"
    steps = min(10, total)
    ends = [total * step // steps for step in range(1, steps + 1)]
    batch = cpus()
    while trees < total:
        end, began = next(end for end in ends if end > trees), time.monotonic()
        batch = min(batch, end - trees)
        trees += batch
        forest.set_params(n_estimators=trees).fit(known, train_targets)
        batch = max(cpus(), int(batch * BATCH_S / (time.monotonic() - began)))
        if trees == end:
            score = forest.score(held_out, test_targets)
            report(step=trees, progress=trees / total, phase="train", **{main_score: score})
            print(f"trees {trees}/{total}  {main_score} {score:.4f}")
        if checkpoints.due():
            checkpoints.save(forest)
    forest.n_jobs = None  # one order of adding up the votes, and the cores are left to the model's user
    model, folder = make_pipeline(prepare, forest), output_folder()
    save_pipeline(model, train, folder)
    save_metrics(pipeline_scores(model, test, test_targets, task), folder)
    checkpoints.done()


if __name__ == "__main__":
    sys.exit(run(main))
