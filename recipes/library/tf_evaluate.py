# /// script
# requires-python = ">=3.11"
# dependencies = ["matplotlib>=3.9", "pandas>=2.2", "pyarrow>=18", "scikit-learn>=1.6", "tensorflow>=2.19"]
# [tool.cro]
# title = "Evaluate a Keras model"
# description = "Metrics, tables and pictures of a saved model.keras."
# framework = "tensorflow"
# kind = "evaluate"
# resources = { cpus = 2, mem = "1.5G", gpus = 0, time = "5m" }
# metrics = { accuracy = "max", r2 = "max" }
# repeatable = true
# [tool.cro.params]
# model = { type = "path", help = "model.keras of a train recipe, with its model.json beside it" }
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
"""Measures a saved Keras model: metrics, tables and pictures.

Writes the predictions; for classes their confusion and ROC curves, for numbers their residuals; and how
important each column is. The model is loaded in Keras's safe mode, and `model.json` beside it says which
columns it takes.
"""

import argparse
import os
import sys

from kit.data import load
from kit.evaluation import chosen_rows, evaluate, evaluation_flags
from kit.job import BadData, output_folder, run, save_metrics
from kit.networks import (
    encode,
    encode_targets,
    network_scores,
    read_network,
    read_schema,
    start_tensorflow,
)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no log of TensorFlow's start


def arguments():
    parser = argparse.ArgumentParser(description="Measure a saved Keras model of a train recipe.")
    parser.add_argument(
        "--model", required=True, help="model.keras of a train recipe, with its model.json beside it"
    )
    evaluation_flags(parser)
    return parser


def main(argv=None):
    options = arguments().parse_args(argv)
    schema = read_schema(options.model)
    features, targets, task = load(options.data, options.target, schema["task"])
    features, targets = chosen_rows(features, targets, task, options)
    encode(features.head(1), schema)
    features = features[[*schema["numbers"], *schema["words"]]]
    truth, classes = encode_targets(targets, schema), schema["classes"]
    if classes and (truth < 0).all():
        raise BadData(f"no value of the target, such as '{targets[0]}', is a class of the model")
    print(f"{task}: {options.model} on {len(features)} rows; loading TensorFlow")
    tensorflow = start_tensorflow(options.seed)
    model = read_network(tensorflow, options.model)
    import numpy

    def predict(rows):
        outputs = model.predict(encode(rows, schema), batch_size=256, verbose=0)
        if classes:
            return numpy.array(classes)[outputs.argmax(axis=1)], outputs
        return outputs.reshape(-1), None

    try:
        outputs = model.predict(encode(features, schema), verbose=2)
        metrics = network_scores(outputs, truth, schema)
    except Exception as error:
        raise BadData(f"{options.model} cannot be used with this data: {error!r}") from error
    folder = output_folder()
    metrics |= evaluate(predict, features, targets, classes, options=options, folder=folder)
    save_metrics(metrics, folder)


if __name__ == "__main__":
    sys.exit(run(main))
