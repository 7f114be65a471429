# /// script
# requires-python = ">=3.11"
# dependencies = ["joblib>=1.4", "pandas>=2.2", "pyarrow>=18", "scikit-learn>=1.6"]
# [tool.cro]
# title = "k-means clusters"
# description = "Groups similar rows; no target needed."
# framework = "sklearn"
# kind = "train"
# resources = { cpus = 2, mem = "600M", gpus = 0, time = "10m" }
# metrics = { silhouette = "max", inertia = "min" }
# grace = "30s"
# repeatable = true
# checkpoint = true
# [tool.cro.params]
# data.type = "path"
# data.default = "digits"
# data.choices = ["digits", "breast_cancer", "wine", "diabetes"]
# data.help = "a data set bundled with scikit-learn, or a CSV or Parquet file"
# target = { default = "target", help = "a column to leave out, and to compare the clusters with" }
# n_clusters = { default = 10, min = 2, max = 1000, help = "number of clusters" }
# n_init = { default = 10, min = 1, max = 1000, help = "random starts; the best one is kept" }
# test_share = { default = 0.25, min = 0.05, max = 0.5, help = "fraction held out for testing" }
# seed = { default = 0, min = 0, max = 4294967295, help = "the same seed gives the same result" }
# ///
"""Finds clusters by k-means and saves them as `model.joblib`, a plain scikit-learn pipeline.

It starts from several random centers, one after the other, and keeps the result with the least inertia. Two
metrics are measured on rows that were held out: how well the clusters are separated (`silhouette`), and how
far a row is from the center of its cluster (`inertia`, per row). If the table has the target column,
`adjusted_rand` says how well the clusters agree with it.
"""

import argparse
import sys

from kit.checkpoints import Checkpoints
from kit.data import load_unlabelled, split
from kit.flags import data_flags, number
from kit.job import BadData, output_folder, report, run, save_metrics
from kit.pipelines import cluster_scores, preparation, save_pipeline


def arguments():
    parser = argparse.ArgumentParser(description="Find clusters by k-means.")
    data_flags(parser, target_help="a column to leave out, and to compare the clusters with")
    number(parser, "--n-clusters", 10, (2, 1000), "number of clusters")
    number(parser, "--n-init", 10, (1, 1000), "random starts; the best one is kept")
    return parser


def main(argv=None):
    options, checkpoints = arguments().parse_args(argv), Checkpoints(__file__)
    import numpy
    import sklearn
    from sklearn.cluster import KMeans
    from sklearn.pipeline import make_pipeline

    features, targets = load_unlabelled(options.data, options.target)
    rows = numpy.arange(len(features))
    inside, outside, *_ = split(rows, rows, "regression", options.test_share, options.seed)
    train, test = features.iloc[inside], features.iloc[outside]
    if len(train) < options.n_clusters:
        raise BadData(f"{len(train)} rows cannot make {options.n_clusters} clusters: lower --n-clusters")
    print(f"{len(train)} training rows, {len(test)} held out, {features.shape[1]} features")
    prepare = preparation(features, "standard", 30).fit(train)
    known = prepare.transform(train)
    state = checkpoints.load(options, sklearn) or {"starts": 0, "best": None}
    if state["starts"]:
        checkpoints.resumed(f"{state['starts']} starts")
    while state["starts"] < options.n_init:
        clusters = KMeans(
            options.n_clusters, n_init=1, random_state=(options.seed + state["starts"]) % 2**32
        )
        with checkpoints.interruptible(state):
            clusters.fit(known)
        state["starts"] += 1
        if state["best"] is None or clusters.inertia_ < state["best"].inertia_:
            state["best"] = clusters
        inertia = state["best"].inertia_ / len(known)
        done = state["starts"] / options.n_init
        report(step=state["starts"], progress=done, phase="train", inertia=inertia)
        print(f"start {state['starts']}/{options.n_init}  inertia {inertia:.4f}")
        if checkpoints.due():
            checkpoints.save(state)
    model, folder = make_pipeline(prepare, state["best"]), output_folder()
    metrics, _ = cluster_scores(model, test, None if targets is None else targets[outside])
    save_pipeline(model, train, folder)
    save_metrics(metrics, folder)
    checkpoints.done()


if __name__ == "__main__":
    sys.exit(run(main))
