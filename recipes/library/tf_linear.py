# /// script
# requires-python = ">=3.11"
# dependencies = ["pandas>=2.2", "pyarrow>=18", "scikit-learn>=1.6", "tensorflow>=2.19"]
# [tool.cro]
# title = "Linear model in Keras"
# description = "One dense layer: softmax for classes, a number for regression."
# framework = "tensorflow"
# kind = "train"
# resources = { cpus = 2, mem = "1.5G", gpus = 0, time = "10m" }
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
# epochs = { default = 30, min = 1, max = 10000, help = "passes over the training rows" }
# batch_size = { default = 32, min = 1, max = 65536, help = "rows per step" }
# learning_rate = { default = 0.01, min = 0.0000001, max = 10.0, help = "step size of the optimizer" }
# test_share = { default = 0.25, min = 0.05, max = 0.5, help = "fraction held out for testing" }
# seed = { default = 0, min = 0, max = 4294967295, help = "the same seed gives the same result" }
# ///
"""Trains a linear model in Keras and saves it as `model.keras` with `model.json` beside it.

Scaling and encoding are layers of the saved model, so it takes raw columns.
"""

import argparse
import os
import sys

from kit.checkpoints import Checkpoints
from kit.data import load, split
from kit.flags import data_flags, number, task_flag
from kit.job import output_folder, run, save_metrics
from kit.networks import (
    encode,
    encode_targets,
    learn_schema,
    network,
    network_scores,
    prepared_inputs,
    save_network,
    start_tensorflow,
)
from kit.training import fit

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no log of TensorFlow's start


def arguments():
    parser = argparse.ArgumentParser(description="Train a linear Keras model.")
    data_flags(parser)
    task_flag(parser)
    number(parser, "--epochs", 30, (1, 10_000), "passes over the training rows")
    number(parser, "--batch-size", 32, (1, 65_536), "rows per step")
    number(parser, "--learning-rate", 0.01, (1e-7, 10.0), "step size of the optimizer")
    return parser


def main(argv=None):
    options, checkpoints = arguments().parse_args(argv), Checkpoints(__file__)
    features, targets, task = load(options.data, options.target, options.task)
    train, test, train_targets, test_targets = split(
        features, targets, task, options.test_share, options.seed
    )
    schema = learn_schema(train, train_targets, task)
    print(f"{task}: {len(train)} training rows, {len(test)} held out; loading TensorFlow")
    keras = start_tensorflow(options.seed).keras
    inputs, tensor = prepared_inputs(keras, schema)
    known = encode(train, schema), encode_targets(train_targets, schema)
    held_out = encode(test, schema), encode_targets(test_targets, schema)
    model = network(keras, inputs, tensor, schema, options.learning_rate)
    fit(model, known, held_out, options, checkpoints)
    folder = output_folder()
    save_network(model, schema, train, folder)
    save_metrics(network_scores(model.predict(held_out[0], verbose=0), held_out[1], schema), folder)
    checkpoints.done()


if __name__ == "__main__":
    sys.exit(run(main))
