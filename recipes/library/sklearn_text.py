# /// script
# requires-python = ">=3.11"
# dependencies = ["joblib>=1.4", "pandas>=2.2", "pyarrow>=18", "scikit-learn>=1.6"]
# [tool.cro]
# title = "Linear model for texts"
# description = "Weights the words of a column of texts (TF-IDF) and fits a linear model to them."
# framework = "sklearn"
# kind = "train"
# resources = { cpus = 1, mem = "600M", gpus = 0, time = "5m" }
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
# ngrams = { default = 1, min = 1, max = 5, help = "maximum words in a row that count as one term" }
# max_words = { default = 20000, min = 100, max = 1000000, help = "vocabulary: the most frequent words" }
# min_rows = { default = 1, min = 1, max = 1000, help = "minimum rows a word must appear in" }
# c = { default = 10.0, min = 0.000001, max = 1000000.0, help = "inverse regularization strength" }
# folds = { default = 5, min = 2, max = 20, help = "folds of the cross-validation" }
# max_iter = { default = 500, min = 10, max = 100000, help = "maximum iterations of the solver" }
# test_share = { default = 0.25, min = 0.05, max = 0.5, help = "fraction held out for testing" }
# seed = { default = 0, min = 0, max = 4294967295, help = "the same seed gives the same result" }
# ///
"""Trains a linear model on a column of texts; rare words weigh more than common ones (TF-IDF).

Logistic regression for classes, ridge regression for numbers. Each fold of the cross-validation prints its
score. The model is then fitted to all training rows, measured on the test rows and saved as `model.joblib`,
a plain scikit-learn pipeline that takes the raw texts.
"""

import argparse
import sys

from kit.checkpoints import Checkpoints
from kit.data import load, split, text_column
from kit.flags import number, text_flags
from kit.job import BadData, output_folder, run, save_metrics
from kit.linear import fit_linear, linear_flags
from kit.pipelines import pipeline_scores, save_pipeline


def arguments():
    parser = argparse.ArgumentParser(description="Train a linear model on texts.")
    text_flags(parser)
    number(parser, "--ngrams", 1, (1, 5), "maximum words in a row that count as one term")
    number(parser, "--max-words", 20_000, (100, 1_000_000), "vocabulary: the most frequent words")
    number(parser, "--min-rows", 1, (1, 1000), "minimum rows a word must appear in")
    linear_flags(parser, 10.0)
    return parser


def main(argv=None):
    options, checkpoints = arguments().parse_args(argv), Checkpoints(__file__)
    features, targets, task = load(options.data, options.target, options.task)
    features = text_column(features, options.text)
    train, test, train_targets, test_targets = split(
        features, targets, task, options.test_share, options.seed
    )
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(
        ngram_range=(1, options.ngrams),
        max_features=options.max_words,
        min_df=options.min_rows,
        sublinear_tf=True,
    )
    prepare = ColumnTransformer([("words", words, features.columns[0])])
    print(f"{task}: {len(train)} training texts, {len(test)} held out")
    try:
        model, cross_validated = fit_linear(
            prepare, train, train_targets, task, options=options, checkpoints=checkpoints
        )
    except ValueError as error:
        if "vocabulary" in str(error) or "no terms" in str(error):
            raise BadData(f"no word appears in {options.min_rows} texts: lower --min-rows") from error
        raise
    print(f"vocabulary: {len(model[0][0].named_transformers_['words'].vocabulary_)} terms")
    folder = output_folder()
    save_pipeline(model, train, folder)
    save_metrics({**pipeline_scores(model, test, test_targets, task), **cross_validated}, folder)
    checkpoints.done()


if __name__ == "__main__":
    sys.exit(run(main))
