# /// script
# requires-python = ">=3.11"
# dependencies = ["pandas>=2.2", "pyarrow>=18", "scikit-learn>=1.6", "tensorflow>=2.19"]
# [tool.cro]
# title = "Deep network in Keras"
# description = "Dense layers with dropout, validation and early stopping."
# framework = "tensorflow"
# kind = "train"
# resources = { cpus = 2, mem = "1.5G", gpus = 0, time = "15m" }
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
# layers = { default = 2, min = 1, max = 20, help = "hidden layers" }
# units = { default = 64, min = 1, max = 4096, help = "units per hidden layer" }
# dropout = { default = 0.2, min = 0.0, max = 0.9, help = "fraction of units dropped in each step" }
# epochs = { default = 60, min = 1, max = 10000, help = "maximum passes over the training rows" }
# patience = { default = 5, min = 1, max = 1000, help = "epochs without improvement before it stops" }
# batch_size = { default = 32, min = 1, max = 65536, help = "rows per step" }
# learning_rate = { default = 0.001, min = 0.0000001, max = 10.0, help = "step size of the optimizer" }
# validation_share = { default = 0.2, min = 0.05, max = 0.5, help = "fraction used for validation" }
# test_share = { default = 0.25, min = 0.05, max = 0.5, help = "fraction held out for testing" }
# seed = { default = 0, min = 0, max = 4294967295, help = "the same seed gives the same result" }
# ///
"""Trains a deep Keras network and saves it as `model.keras` with `model.json` beside it.

Early stopping keeps the epoch with the lowest loss on the validation rows. Scaling and encoding are layers
of the saved model, so it takes raw columns.
"""

import argparse
import os
import sys

from kit.checkpoints import Checkpoints
from kit.data import load
from kit.flags import data_flags, number, task_flag
from kit.job import run
from kit.networks import learn_schema, network, prepared_inputs, start_tensorflow
from kit.training import early_stopping_flags, three_parts, train_and_save

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no log of TensorFlow's start


def arguments():
    parser = argparse.ArgumentParser(description="Train a deep Keras network with early stopping.")
    data_flags(parser)
    task_flag(parser)
    number(parser, "--layers", 2, (1, 20), "hidden layers")
    number(parser, "--units", 64, (1, 4096), "units per hidden layer")
    number(parser, "--dropout", 0.2, (0.0, 0.9), "fraction of units dropped in each step")
    early_stopping_flags(parser, 60, 0.001)
    return parser


def main(argv=None):
    options, checkpoints = arguments().parse_args(argv), Checkpoints(__file__)
    features, targets, task = load(options.data, options.target, options.task)
    parts = three_parts(features, targets, task, options)
    schema = learn_schema(*parts[0], task)
    keras = start_tensorflow(options.seed).keras
    inputs, tensor = prepared_inputs(keras, schema)
    for _ in range(options.layers):
        tensor = keras.layers.Dense(options.units, activation="relu")(tensor)
        tensor = keras.layers.Dropout(options.dropout)(tensor)
    model = network(keras, inputs, tensor, schema, options.learning_rate)
    train_and_save(model, schema, parts, options=options, checkpoints=checkpoints)


if __name__ == "__main__":
    sys.exit(run(main))
