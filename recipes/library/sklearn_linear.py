# /// script
# requires-python = ">=3.11"
# dependencies = ["joblib>=1.4", "pandas>=2.2", "pyarrow>=18", "scikit-learn>=1.6"]
# [tool.cro]
# title = "Linear model"
# description = "Logistic regression for classes, ridge regression for numbers, with cross-validation."
# framework = "sklearn"
# kind = "train"
# resources = { cpus = 1, mem = "600M", gpus = 0, time = "5m" }
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
# c = { default = 1.0, min = 0.000001, max = 1000000.0, help = "inverse regularization strength" }
# folds = { default = 5, min = 2, max = 20, help = "folds of the cross-validation" }
# max_iter = { default = 500, min = 10, max = 100000, help = "maximum iterations of the solver" }
# test_share = { default = 0.25, min = 0.05, max = 0.5, help = "fraction held out for testing" }
# seed = { default = 0, min = 0, max = 4294967295, help = "the same seed gives the same result" }
# ///
"""Trains a linear model: logistic regression for classes, ridge regression for numbers.

Each fold of the cross-validation prints its score. The model is then fitted to all training rows, measured
on the test rows, and saved as `model.joblib`, a plain scikit-learn pipeline.
"""

import argparse
import sys

from kit.checkpoints import Checkpoints
from kit.data import load, split
from kit.flags import data_flags
from kit.job import output_folder, run, save_metrics
from kit.linear import fit_linear, linear_flags
from kit.pipelines import pipeline_scores, preparation, save_pipeline


def arguments():
    parser = argparse.ArgumentParser(description="Train a linear model with cross-validation.")
    data_flags(parser)
    linear_flags(parser, 1.0)
    return parser


def main(argv=None):
    options, checkpoints = arguments().parse_args(argv), Checkpoints(__file__)
    features, targets, task = load(options.data, options.target, options.task)
    train, test, train_targets, test_targets = split(
        features, targets, task, options.test_share, options.seed
    )
    print(f"{task}: {len(train)} training rows, {len(test)} held out, {features.shape[1]} features")
    prepare = preparation(features, "standard", 30)
    model, cross_validated = fit_linear(
        prepare, train, train_targets, task, options=options, checkpoints=checkpoints
    )
    folder = output_folder()
    save_pipeline(model, train, folder)
    save_metrics({**pipeline_scores(model, test, test_targets, task), **cross_validated}, folder)
    checkpoints.done()


if __name__ == "__main__":
    sys.exit(run(main))
