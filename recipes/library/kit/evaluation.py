"""Tables and pictures of what a model predicts: confusion, ROC, residuals, importance of the columns.

Knows models only as functions: `predict(features)` returns the predictions, and the probabilities of the
classes or None.
"""

from __future__ import annotations

import argparse
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .data import BUNDLED, is_prose, split
from .flags import data_flags, number
from .job import report

if TYPE_CHECKING:
    import numpy
    import pandas
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

Predict = Callable[["pandas.DataFrame"], tuple[Any, Any]]
Score = Callable[[Any, Any, Any], float]  # of targets, predictions and probabilities

MOST_PREDICTED = 150_000  # rows, over all columns whose importance is measured
MOST_CELLS = 5_000_000  # of a table that is predicted at once
MOST_WORDS = 200  # of a column of texts
MOST_SHOWN = 20  # bars, curves, or classes with their numbers


def evaluation_flags(parser: argparse.ArgumentParser) -> None:
    """--rows, --repeats, and the flags of the data."""
    data_flags(parser)
    parser.add_argument(
        "--rows",
        default="auto",
        choices=["auto", "held_out", "all"],
        help="auto: all rows of a file, the rows held out from training of bundled data",
    )
    number(parser, "--repeats", 3, (0, 100), "shuffles per column for its importance; 0: none")


def chosen_rows(features: Any, targets: Any, task: str, options: argparse.Namespace) -> tuple[Any, Any]:
    """The rows that `--rows` asks for."""
    if options.rows == "held_out" or (options.rows == "auto" and options.data in BUNDLED):
        _, features, _, targets = split(features, targets, task, options.test_share, options.seed)
    return features, targets


def evaluate(
    predict: Predict,
    features: pandas.DataFrame,
    targets: NDArray[Any],
    classes: Sequence[Any],
    *,
    options: argparse.Namespace,
    folder: Path,
) -> dict[str, float]:
    """Write tables and pictures of the predictions for these rows; returns the metrics found on the way.

    `classes` is empty for a model that predicts numbers.
    """
    import pandas

    predicted, probabilities = predict(features)
    save_table(pandas.DataFrame({"answer": targets, "predicted": predicted}), "predictions.csv", folder)
    found: dict[str, float] = {}
    if classes:
        confusion(targets, predicted, classes, folder)
        found = {} if probabilities is None else roc(targets, probabilities, classes, folder)
    else:
        residuals(targets, predicted, folder)
    if options.repeats:
        score = score_for(features, classes, probabilities)
        importance(predict, score, features, targets, options=options, folder=folder)
    print(f"wrote tables and pictures to {folder}")
    return found


@contextmanager
def picture(name: str, folder: Path, width: float = 6.4, height: float = 4.8) -> Iterator[Axes]:
    """Axes that become a picture in the output folder. Names in it are text, never markup."""
    import logging

    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about characters that no font has
        figure = Figure((width, height), layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        yield axes
        figure.savefig(folder / name, dpi=120)
    report(artifact=name)


def label(name: object) -> str:
    """A name as it is shown: printable, and short."""
    text = "".join(char if char.isprintable() else " " for char in str(name))
    return text if len(text) <= 24 else text[:23] + "\u2026"


def save_table(table: pandas.DataFrame, name: str, folder: Path) -> None:
    """Write a table into the output folder, and report it."""
    table.to_csv(folder / name, index=False)
    report(artifact=name)


def confusion(targets: Any, predicted: Any, names: Sequence[Any], folder: Path) -> None:
    """How often each class was predicted as each: `confusion.csv` and a picture."""
    import numpy
    import pandas

    targets, predicted = pandas.Series(targets), pandas.Series(predicted)
    rows = [*names, *sorted(set(targets) - set(names))]
    columns = [*names, *sorted(set(predicted) - set(names))]
    counts = pandas.crosstab(targets, predicted).reindex(index=rows, columns=columns, fill_value=0)
    save_table(counts.rename_axis("answer").reset_index(), "confusion.csv", folder)
    for name in [name for name in names if name in counts.index][:MOST_SHOWN]:
        right, of, times = counts.at[name, name], counts.loc[name].sum(), counts[name].sum()
        print(f"class {label(name)}  {right} right of {of}, predicted {times} times")
    size = min(16, 3.2 + 0.45 * max(counts.shape))
    with picture("confusion.png", folder, size + 1, size) as axes:
        shares = counts.to_numpy() / numpy.maximum(counts.to_numpy().sum(axis=1, keepdims=True), 1)
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.figure.colorbar(image, label="fraction of the rows of that class")
        axes.set(
            xlabel="predicted", ylabel="true", title=f"{len(targets)} rows by true and predicted class"
        )
        for axis, labels in ((axes.xaxis, columns), (axes.yaxis, rows)):
            step = -(-len(labels) // 40)
            axis.set_ticks(range(0, len(labels), step), [label(each) for each in labels[::step]])
        if max(map(len, map(label, columns))) > 3:
            axes.tick_params(axis="x", rotation=60)
        if max(counts.shape) <= MOST_SHOWN:
            for (row, column), share in numpy.ndenumerate(shares):
                color = "w" if share > 0.5 else "k"
                axes.text(column, row, counts.iat[row, column] or "", ha="center", va="center", color=color)


def roc(targets: Any, probabilities: Any, classes: Sequence[Any], folder: Path) -> dict[str, float]:
    """The mean area under the curves of each class against the others: `roc.csv` and a picture."""
    import pandas
    from sklearn import metrics

    curves, areas = [], {}
    for place, name in enumerate(classes):
        mine = targets == name
        if (len(classes) == 2 and place == 0) or mine.all() or not mine.any():
            continue
        false, true, threshold = metrics.roc_curve(mine, probabilities[:, place])
        areas[name] = metrics.auc(false, true)
        rates = {"false_positive_rate": false, "true_positive_rate": true, "at_least": threshold.clip(0, 1)}
        curves.append(pandas.DataFrame({"class": name, **rates}))
    if not areas:
        return {}
    table, mean = pandas.concat(curves), sum(areas.values()) / len(areas)
    save_table(table, "roc.csv", folder)
    with picture("roc.png", folder) as axes:
        axes.plot([0, 1], [0, 1], color="0.7", linestyle=":")
        for name in sorted(areas, key=areas.__getitem__)[:MOST_SHOWN]:
            of = table[table["class"] == name]
            text = f"{label(name)}  {areas[name]:.3f}"
            axes.plot(of["false_positive_rate"], of["true_positive_rate"], label=text, linewidth=1.2)
        more = f", the {MOST_SHOWN} lowest" if len(areas) > MOST_SHOWN else ""
        one = "class and area" if len(areas) > 1 else "area"
        axes.set(xlabel="false positive rate", ylabel="true positive rate", title=f"ROC, area {mean:.4f}")
        axes.legend(title=one + more, loc="lower right", fontsize="small", frameon=False)
    return {"roc_auc": mean}


def residuals(targets: Any, predicted: Any, folder: Path) -> None:
    """How far predictions are from the targets, as two pictures."""
    with picture("residuals.png", folder) as axes:
        axes.axhline(0, color="0.7", linestyle=":")
        axes.scatter(predicted, targets - predicted, s=9, alpha=0.6, linewidths=0)
        axes.set(xlabel="predicted", ylabel="true - predicted", title=f"{len(targets)} rows")
    with picture("predicted.png", folder, 5.4, 5) as axes:
        ends = [min(targets.min(), predicted.min()), max(targets.max(), predicted.max())]
        axes.plot(ends, ends, color="0.7", linestyle=":")
        axes.scatter(targets, predicted, s=9, alpha=0.6, linewidths=0)
        axes.set(xlabel="true", ylabel="predicted", title=f"{len(targets)} rows")


def score_for(features: pandas.DataFrame, classes: Sequence[Any], probabilities: Any) -> Score:
    """The score whose fall is the importance of a column; its name is the function's name."""
    places = {name: place for place, name in enumerate(classes)}

    def accuracy(targets: Any, predicted: Any, _: Any) -> float:
        return float((targets == predicted).mean())

    def probability_of_the_class(targets: Any, _: Any, probabilities: Any) -> float:
        own = [(row, places[target]) for row, target in enumerate(targets) if target in places]
        return float(probabilities[tuple(zip(*own, strict=True))].sum() / len(targets)) if own else 0.0

    def r2(targets: Any, predicted: Any, _: Any) -> float:
        from sklearn import metrics

        return float(metrics.r2_score(targets, predicted))

    if not classes:
        return r2
    texts = probabilities is not None and any(is_prose(column) for _, column in features.items())
    return probability_of_the_class if texts else accuracy  # one word rarely turns a prediction


def altered(
    features: pandas.DataFrame, repeats: int, random: numpy.random.Generator
) -> Iterator[tuple[str, pandas.DataFrame]]:
    """What may matter, and the table without it: a column shuffled, or texts without one word."""
    for name, column in features.items():
        if not is_prose(column):
            for _ in range(repeats):
                yield name, features.assign(**{name: random.permutation(column.to_numpy())})
            continue
        words = Counter(word for text in column for word in set(re.findall(r"\w\w+", text.lower())))
        for word, _ in words.most_common(MOST_WORDS):
            without = column.str.replace(rf"\b{re.escape(word)}\b", " ", case=False, regex=True)
            yield f"{name}: {word}", features.assign(**{name: without})


def importance(
    predict: Predict,
    score: Score,
    features: pandas.DataFrame,
    targets: NDArray[Any],
    *,
    options: argparse.Namespace,
    folder: Path,
) -> None:
    """How far the score falls without each column: `importance.csv` and a picture.

    Of a column of texts, without each of its most frequent words.
    """
    import numpy
    import pandas

    random = numpy.random.default_rng(options.seed)
    shuffles = options.repeats * features.shape[1]
    most = min(len(features), max(100, MOST_PREDICTED // max(shuffles, 1)))
    some = numpy.sort(random.permutation(len(features))[:most])
    features, targets = features.iloc[some].reset_index(drop=True), targets[some]
    whole = score(targets, *predict(features))
    falls: dict[str, list[float]] = {}
    waiting: list[tuple[str, pandas.DataFrame]] = []
    total = sum(MOST_WORDS if is_prose(column) else 1 for _, column in features.items())

    def predict_waiting() -> None:
        predicted, probabilities = predict(
            pandas.concat([table for _, table in waiting], ignore_index=True)
        )
        for place, (name, _) in enumerate(waiting):
            rows = slice(place * most, (place + 1) * most)
            left = score(targets, predicted[rows], None if probabilities is None else probabilities[rows])
            falls.setdefault(name, []).append(whole - left)
        report(phase="importance", progress=len(falls) / total)
        waiting.clear()

    for pair in altered(features, options.repeats, random):
        waiting.append(pair)
        if len(waiting) * features.size >= MOST_CELLS or len(waiting) * most >= 20_000:
            predict_waiting()
    if waiting:
        predict_waiting()
    found = pandas.DataFrame(
        [(name, numpy.mean(each), numpy.std(each)) for name, each in falls.items()],
        columns=["column", "importance", "deviation"],
    ).sort_values("importance", ascending=False, kind="stable")
    save_table(found, "importance.csv", folder)
    top = found.head(MOST_SHOWN).iloc[::-1]
    with picture("importance.png", folder, 6.4, 1.2 + 0.22 * len(top)) as axes:
        axes.barh(range(len(top)), top["importance"], xerr=top["deviation"], color="tab:blue", ecolor="0.4")
        axes.set_yticks(range(len(top)), [label(name) for name in top["column"]])
        name = score.__name__.replace("_", " ")
        axes.set(xlabel=f"fall of {name} without it", title=f"{most} rows, {name} {whole:.4f}")
    print("most important  " + "  ".join(f"{label(a)} {b:.3f}" for a, b, _ in found.head(5).to_numpy()))
