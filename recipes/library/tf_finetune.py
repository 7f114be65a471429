# /// script
# requires-python = ">=3.11"
# dependencies = ["pandas>=2.2", "pyarrow>=18", "scikit-learn>=1.6", "tensorflow>=2.19"]
# [tool.cro]
# title = "Fine-tune a Keras model"
# description = "Continues training a saved model.keras on new rows; can add classes."
# framework = "tensorflow"
# kind = "train"
# resources = { cpus = 2, mem = "1.5G", gpus = 0, time = "15m" }
# metrics = { accuracy = "max", r2 = "max" }
# grace = "30s"
# repeatable = true
# checkpoint = true
# [tool.cro.params]
# model = { type = "path", help = "model.keras of a train recipe, with its model.json beside it" }
# data.type = "path"
# data.default = "digits"
# data.choices = ["digits", "breast_cancer", "wine", "diabetes", "docstrings"]
# data.help = "a data set bundled with scikit-learn, or a CSV or Parquet file"
# target = { default = "target", help = "the column to predict" }
# train = { default = "all", choices = ["all", "last"], help = "the layers to train" }
# epochs = { default = 20, min = 1, max = 10000, help = "maximum passes over the training rows" }
# patience = { default = 5, min = 1, max = 1000, help = "epochs without improvement before it stops" }
# batch_size = { default = 32, min = 1, max = 65536, help = "rows per step" }
# learning_rate = { default = 0.0005, min = 0.0000001, max = 10.0, help = "step size of the optimizer" }
# validation_share = { default = 0.2, min = 0.05, max = 0.5, help = "fraction used for validation" }
# test_share = { default = 0.25, min = 0.05, max = 0.5, help = "fraction held out for testing" }
# seed = { default = 0, min = 0, max = 4294967295, help = "the same seed gives the same result" }
# ///
"""Continues training a saved model on new rows, and saves the result as a model of its own.

Takes the `model.keras` of any TensorFlow recipe with its `model.json`. Columns, scaling and words stay as
they are; classes that the model does not know yet get outputs of their own. The metrics include what the
model scored before.
"""

import argparse
import os
import sys

from kit.checkpoints import Checkpoints, sha256
from kit.data import load
from kit.flags import data_flags
from kit.job import BadData, run
from kit.networks import (
    compiled,
    encode,
    encode_targets,
    network,
    network_scores,
    read_network,
    read_schema,
    start_tensorflow,
)
from kit.training import early_stopping_flags, three_parts, train_and_save

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no log of TensorFlow's start


def arguments():
    parser = argparse.ArgumentParser(description="Continue training a saved Keras model on new rows.")
    parser.add_argument(
        "--model", required=True, help="model.keras of a train recipe, with its model.json beside it"
    )
    data_flags(parser)
    parser.add_argument("--train", default="all", choices=["all", "last"], help="the layers to train")
    early_stopping_flags(parser, 20, 0.0005)
    return parser


def with_new_classes(schema, targets):
    """The schema, with the classes that are new in these targets at the end."""
    known = schema["classes"]
    new = sorted(set(targets.tolist()) - set(known))
    if new and known and not isinstance(new[0], type(known[0])):
        raise BadData(f"'{new[0]}' is not of the same kind as the model's classes, such as '{known[0]}'")
    if new:
        print(f"new classes: {', '.join(map(str, new[:20]))}")
    return {**schema, "classes": [*known, *new]}


def widened(keras, model, schema, learning_rate):
    """The model with an output for each class; the outputs that it had keep their weights."""
    last = model.layers[-1]
    kernel, bias = last.get_weights()
    wide = network(keras, model.input, last.input, schema, learning_rate)
    new_kernel, new_bias = wide.layers[-1].get_weights()
    new_kernel[:, : kernel.shape[1]], new_bias[: len(bias)] = kernel, bias
    wide.layers[-1].set_weights([new_kernel, new_bias])
    return wide


def main(argv=None):
    options, checkpoints = arguments().parse_args(argv), Checkpoints(__file__)
    schema = read_schema(options.model)
    features, targets, task = load(options.data, options.target, schema["task"])
    encode(features.head(1), schema)
    wider = with_new_classes(schema, targets) if task == "classification" else schema
    parts = three_parts(features, targets, task, options)
    options.model_sha256 = sha256(options.model)  # so that a checkpoint belongs to this very model
    tensorflow = start_tensorflow(options.seed)
    keras = tensorflow.keras
    model = read_network(tensorflow, options.model)
    test, test_targets = parts[2]
    try:
        outputs = model.predict(encode(test, schema), verbose=0)
        before = network_scores(outputs, encode_targets(test_targets, schema), schema)
    except Exception as error:
        raise BadData(f"{options.model} cannot be used with this data: {error!r}") from error
    main_score = next(iter(before))
    print(f"before: {main_score} {before[main_score]:.4f}")
    for layer in model.layers:
        layer.trainable = True
    if len(wider["classes"]) > len(schema["classes"]):
        model = widened(keras, model, wider, options.learning_rate)
    if options.train == "last":
        for layer in [layer for layer in model.layers if layer.trainable_weights][:-1]:
            layer.trainable = False
    model = compiled(keras, model, wider, options.learning_rate)
    kept = {f"{main_score}_before": before[main_score]}
    train_and_save(model, wider, parts, options=options, checkpoints=checkpoints, **kept)


if __name__ == "__main__":
    sys.exit(run(main))
