# /// script
# requires-python = ">=3.11"
# dependencies = ["pandas>=2.2", "pyarrow>=18", "scikit-learn>=1.6", "tensorflow>=2.19"]
# [tool.cro]
# title = "Text network in Keras"
# description = "Learns a vector for each word and averages them over a text; takes raw texts."
# framework = "tensorflow"
# kind = "train"
# resources = { cpus = 2, mem = "1.5G", gpus = 0, time = "15m" }
# metrics = { accuracy = "max", r2 = "max" }
# grace = "30s"
# repeatable = true
# checkpoint = true
# [tool.cro.params]
# data.type = "path"
# data.default = "docstrings"
# data.choices = ["docstrings"]
# data.help = "docstrings (sentences of scikit-learn's documentation), or a CSV or Parquet file"
# target = { default = "target", help = "the column to predict" }
# text = { default = "auto", help = "the column of texts; auto: the one with the longest" }
# task.default = "auto"
# task.choices = ["auto", "classification", "regression"]
# task.help = "auto: inferred from the target"
# max_words = { default = 20000, min = 100, max = 1000000, help = "vocabulary: the most frequent words" }
# length = { default = 200, min = 1, max = 10000, help = "words of a text that are read" }
# units = { default = 64, min = 1, max = 4096, help = "length of a word's vector" }
# dropout = { default = 0.2, min = 0.0, max = 0.9, help = "fraction of units dropped in each step" }
# epochs = { default = 30, min = 1, max = 10000, help = "maximum passes over the training rows" }
# patience = { default = 5, min = 1, max = 1000, help = "epochs without improvement before it stops" }
# batch_size = { default = 32, min = 1, max = 65536, help = "rows per step" }
# learning_rate = { default = 0.003, min = 0.0000001, max = 10.0, help = "step size of the optimizer" }
# validation_share = { default = 0.2, min = 0.05, max = 0.5, help = "fraction used for validation" }
# test_share = { default = 0.25, min = 0.05, max = 0.5, help = "fraction held out for testing" }
# seed = { default = 0, min = 0, max = 4294967295, help = "the same seed gives the same result" }
# ///
"""Trains a small network on a column of texts and saves it as `model.keras` with `model.json` beside it.

It learns a vector for each word. A text is the mean of the vectors of its words, and one dense layer turns
that into a class or a number. A layer of the saved model splits texts into words, so it takes raw texts.
"""

import argparse
import os
import sys

from kit.checkpoints import Checkpoints
from kit.data import load, text_column
from kit.flags import number, task_flag, text_flags
from kit.job import BadData, run
from kit.networks import MAX_WORDS, learn_schema, network, start_tensorflow
from kit.training import early_stopping_flags, three_parts, train_and_save

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no log of TensorFlow's start


def arguments():
    parser = argparse.ArgumentParser(description="Train a small Keras network on texts.")
    text_flags(parser)
    task_flag(parser)
    number(parser, "--max-words", 20_000, (100, 1_000_000), "vocabulary: the most frequent words")
    number(parser, "--length", 200, (1, 10_000), "words of a text that are read")
    number(parser, "--units", 64, (1, 4096), "length of a word's vector")
    number(parser, "--dropout", 0.2, (0.0, 0.9), "fraction of units dropped in each step")
    early_stopping_flags(parser, 30, 0.003)
    return parser


def mean_of_words(keras, text, vectorize, units):
    """The mean of the vectors of a text's words; zeros if it has none."""
    ops, numbers = keras.ops, vectorize(text)
    vectors = keras.layers.Embedding(vectorize.vocabulary_size(), units)(numbers)
    is_word = ops.expand_dims(ops.cast(ops.not_equal(numbers, 0), "float32"), -1)
    return ops.sum(vectors * is_word, axis=1) / ops.maximum(ops.sum(is_word, axis=1), 1.0)


def main(argv=None):
    options, checkpoints = arguments().parse_args(argv), Checkpoints(__file__)
    features, targets, task = load(options.data, options.target, options.task)
    features = text_column(features, options.text)
    parts = three_parts(features, targets, task, options)
    train, train_targets = parts[0]
    schema = learn_schema(train.iloc[:, :0], train_targets, task)
    tensorflow = start_tensorflow(options.seed)
    keras = tensorflow.keras
    vectorize = keras.layers.TextVectorization(
        max_tokens=options.max_words, output_mode="int", output_sequence_length=options.length
    )
    vectorize.adapt(tensorflow.constant(train.iloc[:, 0].tolist()))
    words = vectorize.get_vocabulary(include_special_tokens=False)
    if not words:
        raise BadData("there are no words in these texts")
    print(f"vocabulary: {len(words)} words")
    schema["words"] = {train.columns[0]: [str(word) for word in words[:MAX_WORDS]]}
    text = keras.Input((), name="word_0", dtype="string")
    tensor = mean_of_words(keras, text, vectorize, options.units)
    tensor = keras.layers.Dropout(options.dropout)(tensor)
    model = network(keras, {"word_0": text}, tensor, schema, options.learning_rate)
    train_and_save(model, schema, parts, options=options, checkpoints=checkpoints)


if __name__ == "__main__":
    sys.exit(run(main))
