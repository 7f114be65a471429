# /// script
# requires-python = ">=3.11"
# dependencies = ["joblib>=1.4", "pandas>=2.2", "pyarrow>=18", "scikit-learn>=1.6"]
# [tool.cro]
# title = "Prepare a table"
# description = "Fills gaps, scales numbers, encodes text, and splits the rows into train and test files."
# framework = "sklearn"
# kind = "preprocess"
# resources = { cpus = 1, mem = "600M", gpus = 0, time = "5m" }
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
# scale.default = "standard"
# scale.choices = ["standard", "minmax", "none"]
# scale.help = "how numbers are scaled"
# max_categories = { default = 30, min = 2, max = 1000, help = "maximum 0/1 columns per text column" }
# test_share = { default = 0.25, min = 0.05, max = 0.5, help = "fraction held out for testing" }
# seed = { default = 0, min = 0, max = 4294967295, help = "the same seed gives the same result" }
# ///
"""Prepares a table for training: `train.parquet`, `test.parquet` and the fitted `preprocess.joblib`.

Medians, scales and words are learned from the training rows alone. The train recipes take the files:
`--data .../train.parquet --target NAME`.
"""

import argparse
import sys

from kit.data import load, split, target_column
from kit.flags import data_flags, number, task_flag
from kit.job import BadData, output_folder, run, save_metrics
from kit.pipelines import preparation


def arguments():
    parser = argparse.ArgumentParser(description="Prepare a table: fill gaps, scale, encode, split.")
    data_flags(parser)
    task_flag(parser)
    parser.add_argument(
        "--scale", default="standard", choices=["standard", "minmax", "none"], help="how numbers are scaled"
    )
    number(parser, "--max-categories", 30, (2, 1000), "maximum 0/1 columns per text column")
    return parser


def main(argv=None):
    options = arguments().parse_args(argv)
    features, targets, task = load(options.data, options.target, options.task)
    target = target_column(options.data, options.target)
    import joblib

    print(f"read {len(features)} rows, {features.shape[1]} columns, {task}")
    train, test, train_targets, test_targets = split(
        features, targets, task, options.test_share, options.seed
    )
    prepare = preparation(features, options.scale, options.max_categories).set_output(transform="pandas")
    prepare.fit(train)
    if target in prepare.get_feature_names_out():
        raise BadData(f"a prepared column would be called {target!r} as well: rename the one to predict")
    print(f"learned from {len(train)} rows")
    folder = output_folder()
    joblib.dump(prepare, folder / "preprocess.joblib")
    for name, part, part_targets in (("train", train, train_targets), ("test", test, test_targets)):
        table = prepare.transform(part).reset_index(drop=True)
        table[target] = part_targets
        table.to_parquet(folder / f"{name}.parquet")
        print(f"wrote {folder / name}.parquet: {len(table)} rows, {table.shape[1] - 1} features")
    gaps = [
        column.isna().sum() if column.dtype == "float64" else (column == "").sum()
        for _, column in features.items()
    ]
    counts = {"train_rows": len(train), "test_rows": len(test), "features": table.shape[1] - 1}
    save_metrics({**counts, "missing_share": sum(gaps) / features.size}, folder)


if __name__ == "__main__":
    sys.exit(run(main))
