# /// script
# requires-python = ">=3.11"
# dependencies = ["pandas>=2.2", "pyarrow>=18", "scikit-learn>=1.6", "tensorflow>=2.19"]
# [tool.cro]
# title = "Prepare a table with tf.data"
# description = "Scales numbers and encodes text in a tf.data pipeline; writes TFRecord and Parquet files."
# framework = "tensorflow"
# kind = "preprocess"
# resources = { cpus = 2, mem = "1.5G", gpus = 0, time = "10m" }
# repeatable = true
# [tool.cro.params]
# data.type = "path"
# data.default = "digits"
# data.choices = ["digits", "breast_cancer", "wine", "diabetes"]
# data.help = "a data set bundled with scikit-learn, or a CSV or Parquet file"
# target = { default = "target", help = "the column to predict" }
# task.default = "auto"
# task.choices = ["auto", "classification", "regression"]
# task.help = "auto: inferred from the target"
# batch_size = { default = 256, min = 1, max = 65536, help = "rows that pass through the pipeline at once" }
# test_share = { default = 0.25, min = 0.05, max = 0.5, help = "fraction held out for testing" }
# seed = { default = 0, min = 0, max = 4294967295, help = "the same seed gives the same result" }
# ///
"""Prepares a table with tf.data: `train` and `test` as TFRecord and as Parquet.

Also saved are `preprocess.keras`, the fitted layers as a model, and `normalization.json`, their statistics,
learned from the training rows alone. The train recipes take the Parquet files. The TFRecord files hold one
`Example` per row, with `features` (floats) and `target`.
"""

import argparse
import json
import os
import sys

from kit.data import load, split, target_column
from kit.flags import data_flags, number, task_flag
from kit.job import BadData, output_folder, run, save_metrics
from kit.networks import encode, learn_schema, prepared_inputs, start_tensorflow

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no log of TensorFlow's start


def arguments():
    parser = argparse.ArgumentParser(description="Prepare a table with a tf.data pipeline.")
    data_flags(parser)
    task_flag(parser)
    number(parser, "--batch-size", 256, (1, 65_536), "rows that pass through the pipeline at once")
    return parser


def example(tensorflow, row, target):
    """One row as a serialized `tf.train.Example`."""
    train = tensorflow.train
    if isinstance(target, str):
        value = train.Feature(bytes_list=train.BytesList(value=[target.encode()]))
    elif isinstance(target, int):
        value = train.Feature(int64_list=train.Int64List(value=[target]))
    else:
        value = train.Feature(float_list=train.FloatList(value=[target]))
    floats = train.Feature(float_list=train.FloatList(value=row))
    features = train.Features(feature={"features": floats, "target": value})
    return train.Example(features=features).SerializeToString()


def main(argv=None):
    options = arguments().parse_args(argv)
    features, targets, task = load(options.data, options.target, options.task)
    target = target_column(options.data, options.target)
    train, test, train_targets, test_targets = split(
        features, targets, task, options.test_share, options.seed
    )
    schema = learn_schema(train, train_targets, task)
    names = list(schema["numbers"])
    for column, words in schema["words"].items():
        names += [f"{column}=(other)", *(f"{column}={word}" for word in words)]
    if len({*names, target}) <= len(names):
        raise BadData("two columns would have the same name: rename those with '=' in their names")
    print(f"read {len(features)} rows, {features.shape[1]} columns, {task}; loading TensorFlow")
    tensorflow = start_tensorflow(options.seed)
    import numpy
    import pandas

    inputs, tensor = prepared_inputs(tensorflow.keras, schema)
    prepare = tensorflow.keras.Model(inputs, tensor)
    folder = output_folder()
    prepare.save(folder / "preprocess.keras")
    (folder / "normalization.json").write_text(json.dumps(schema, indent=1) + "\n")
    for name, part, part_targets in (("train", train, train_targets), ("test", test, test_targets)):
        rows = tensorflow.data.Dataset.from_tensor_slices(encode(part, schema)).batch(options.batch_size)
        rows = rows.map(prepare, num_parallel_calls=tensorflow.data.AUTOTUNE).prefetch(1)
        done, blocks = 0, []
        with tensorflow.io.TFRecordWriter(str(folder / f"{name}.tfrecord")) as file:
            for block in rows.as_numpy_iterator():
                own = part_targets[done : done + len(block)].tolist()
                for row, value in zip(block, own, strict=True):
                    file.write(example(tensorflow, row, value))
                blocks.append(block)
                done += len(block)
                print(f"{name}  rows {done}/{len(part)}")
        table = pandas.DataFrame(numpy.concatenate(blocks).astype("float64"), columns=names)
        table[target] = part_targets
        table.to_parquet(folder / f"{name}.parquet")
        print(f"wrote {folder / name}.parquet and .tfrecord: {len(table)} rows, {len(names)} features")
    save_metrics({"train_rows": len(train), "test_rows": len(test), "features": len(names)}, folder)


if __name__ == "__main__":
    sys.exit(run(main))
