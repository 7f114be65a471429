# /// script
# requires-python = ">=3.11"
# dependencies = ["pandas>=2.2", "pyarrow>=18", "scikit-learn>=1.6", "tensorflow>=2.19"]
# [tool.cro]
# title = "Convolutional network in Keras"
# description = "Two convolutions over square grayscale images, one per row; for classes or a number."
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
# data.choices = ["digits"]
# data.help = "digits (bundled with scikit-learn), or a CSV or Parquet file with a column per pixel"
# target = { default = "target", help = "the column to predict" }
# task.default = "auto"
# task.choices = ["auto", "classification", "regression"]
# task.help = "auto: inferred from the target"
# filters = { default = 16, min = 1, max = 512, help = "filters of the first of two convolutions" }
# dropout = { default = 0.2, min = 0.0, max = 0.9, help = "fraction of units dropped in each step" }
# epochs = { default = 20, min = 1, max = 10000, help = "maximum passes over the training rows" }
# patience = { default = 5, min = 1, max = 1000, help = "epochs without improvement before it stops" }
# batch_size = { default = 32, min = 1, max = 65536, help = "rows per step" }
# learning_rate = { default = 0.002, min = 0.0000001, max = 10.0, help = "step size of the optimizer" }
# validation_share = { default = 0.2, min = 0.05, max = 0.5, help = "fraction used for validation" }
# test_share = { default = 0.25, min = 0.05, max = 0.5, help = "fraction held out for testing" }
# seed = { default = 0, min = 0, max = 4294967295, help = "the same seed gives the same result" }
# ///
"""Trains a small convolutional network and saves it as `model.keras` with `model.json` beside it.

A row is a square grayscale image: a column of numbers for each pixel, line by line. The layer that makes an
image of a row is part of the saved model, so it takes raw rows.
"""

import argparse
import math
import os
import sys

from kit.checkpoints import Checkpoints
from kit.data import load
from kit.flags import data_flags, number, task_flag
from kit.job import BadData, run
from kit.networks import learn_schema, network, start_tensorflow
from kit.training import early_stopping_flags, three_parts, train_and_save

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no log of TensorFlow's start


def arguments():
    parser = argparse.ArgumentParser(description="Train a small convolutional Keras network.")
    data_flags(parser)
    task_flag(parser)
    number(parser, "--filters", 16, (1, 512), "filters of the first of two convolutions")
    number(parser, "--dropout", 0.2, (0.0, 0.9), "fraction of units dropped in each step")
    early_stopping_flags(parser, 20, 0.002)
    return parser


def side_of(schema):
    """The width and height of an image, in pixels."""
    if schema["words"]:
        raise BadData(f"column {next(iter(schema['words']))!r} holds words: an image has only numbers")
    pixels = len(schema["numbers"])
    side = math.isqrt(pixels)
    if side * side != pixels or side < 4:
        raise BadData(
            f"{pixels} columns are not a square image of at least 4 by 4 pixels: tf_deep takes any"
        )
    return side


def main(argv=None):
    options, checkpoints = arguments().parse_args(argv), Checkpoints(__file__)
    features, targets, task = load(options.data, options.target, options.task)
    parts = three_parts(features, targets, task, options)
    train, train_targets = parts[0]
    schema = learn_schema(train, train_targets, task)
    side = side_of(schema)
    print(f"images of {side} by {side} pixels")
    keras = start_tensorflow(options.seed).keras
    layers, pixels = keras.layers, train.to_numpy()[~train.isna().to_numpy()]
    row = keras.Input((side * side,), name="numbers")
    scaled = layers.Rescaling(
        1 / (float(pixels.std()) or 1.0), offset=-float(pixels.mean() / (pixels.std() or 1.0))
    )(row)
    tensor = layers.Reshape((side, side, 1))(keras.ops.where(keras.ops.isnan(scaled), 0.0, scaled))
    for filters in (options.filters, 2 * options.filters):
        tensor = layers.Conv2D(filters, 3, padding="same", activation="relu")(tensor)
        tensor = layers.MaxPooling2D()(tensor)
    tensor = layers.Dropout(options.dropout)(layers.Flatten()(tensor))
    model = network(keras, {"numbers": row}, tensor, schema, options.learning_rate)
    train_and_save(model, schema, parts, options=options, checkpoints=checkpoints)


if __name__ == "__main__":
    sys.exit(run(main))
