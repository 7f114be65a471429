# /// script
# requires-python = ">=3.11"
# dependencies = ["joblib>=1.4", "matplotlib>=3.9", "pandas>=2.2", "pyarrow>=18", "scikit-learn>=1.6"]
# [tool.cro]
# title = "Evaluate a scikit-learn model"
# description = "Metrics, tables and pictures of a saved model. Only load your own: it can run code."
# framework = "sklearn"
# kind = "evaluate"
# resources = { cpus = 1, mem = "600M", gpus = 0, time = "5m" }
# metrics = { accuracy = "max", r2 = "max" }
# repeatable = true
# [tool.cro.params]
# model.type = "path"
# model.help = "model.joblib of a train recipe; only load models you wrote: the file can run code"
# data.type = "path"
# data.default = "digits"
# data.choices = ["digits", "breast_cancer", "wine", "diabetes", "docstrings"]
# data.help = "a data set carried by scikit-learn, or a CSV or Parquet file"
# target = { default = "target", help = "the column of the file to predict" }
# rows.default = "auto"
# rows.choices = ["auto", "held_out", "all"]
# rows.help = "auto: all of a file, of bundled data those that training held out"
# repeats = { default = 3, min = 0, max = 100, help = "shuffles of a column for its importance; 0: none" }
# test_share = { default = 0.25, min = 0.05, max = 0.5, help = "share of the rows held out to measure on" }
# seed = { default = 0, min = 0, max = 4294967295, help = "same seed, same result" }
# ///
"""Measures a saved scikit-learn model: metrics, tables and pictures.

`predictions.csv`; of classes `confusion` and `roc`, of numbers `predicted` and `residuals`; how much each
column counts as `importance`; all as tables and as pictures.

A joblib file is a pickle and can run any code while it loads: only load models you wrote.
"""

import argparse
import json
import math
import os
import sys
from contextlib import contextmanager
from pathlib import Path

# --- shared by every recipe of the library, word for word -----------------------------------------
TABLES = ("digits", "breast_cancer", "wine", "diabetes")
BUNDLED = (*TABLES, "docstrings")
TASKS = ("auto", "classification", "regression")
DATA_HELP = f"one of {', '.join(BUNDLED)} (carried by scikit-learn), or the path of a CSV or Parquet file"


class BadData(Exception):
    """One line for the person at the keyboard; the recipe ends with exit code 2."""


def number(parser, flag, default, bounds, help):
    """A flag that takes a number within bounds, whole if its default is."""
    low, high = bounds

    def read(text):
        value = type(default)(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not from {low} to {high}")
        return value

    read.__name__ = type(default).__name__
    parser.add_argument(flag, type=read, default=default, help=help)


def common_flags(parser, data="digits"):
    parser.add_argument("--data", default=data, help=DATA_HELP)
    parser.add_argument("--target", default="target", help="the column of the file to predict")
    number(parser, "--test-share", 0.25, (0.05, 0.5), "share of the rows held out to measure on")
    number(parser, "--seed", 0, (0, 2**32 - 1), "same seed, same result")


def run(recipe, argv=None):
    """Runs the recipe and turns bad data into one line on stderr and exit code 2."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, str(cpus()))
    sys.stdout.reconfigure(line_buffering=True)
    try:
        recipe(argv)
    except BadData as problem:
        line = "".join(char if char.isprintable() else " " for char in str(problem))
        print(f"error: {' '.join(line.split())[:400]}", file=sys.stderr)
        return 2
    return 0


def output_folder():
    folder = Path(os.environ.get("CRO_OUTPUT_DIR") or f"{Path(__file__).stem}-output")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def cpus():
    """The cores that were granted, at least one."""
    try:
        return max(1, int(float(os.environ.get("CRO_CPUS") or os.cpu_count() or 1)))
    except (ValueError, OverflowError):
        return 1


def save_metrics(metrics, folder):
    """Writes the finite ones as a flat object and prints them as the last line."""
    finite = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
    waiting = folder / "metrics.json.part"
    waiting.write_text(json.dumps(finite, indent=1) + "\n")
    waiting.replace(folder / "metrics.json")
    say(progress=1, **finite)
    print("metrics  " + "  ".join(f"{name} {value:.4g}" for name, value in finite.items()), flush=True)


OPENED = {}  # what say() keeps open, as opening costs more than a line
OWNER = os.getpid()  # whose they are: a worker that gets a copy has descriptors of its own


def say(**event):
    """Appends one line to `CRO_EVENTS`, for whoever watches; without that variable nothing happens."""
    if path := os.environ.get("CRO_EVENTS"):
        line = (json.dumps(event) + "\n").encode()
        try:
            if os.getpid() != OWNER:
                with open(path, "ab", buffering=0) as file:
                    file.write(line)
                return
            if path not in OPENED:
                OPENED[path] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            os.write(OPENED[path], line)  # in one piece: lines never mix
        except OSError as problem:  # a full disk, say: the work goes on
            print(f"note: nothing could be reported, {problem}", file=sys.stderr, flush=True)


def read_table(data):
    """The rows of a CSV or Parquet file, or of a bundled data set with its answer in `target`."""
    path = Path(data)
    if data not in BUNDLED:
        if not path.is_file():
            raise BadData(f"there is no file {data}: --data is {DATA_HELP}")
        if path.stat().st_size == 0:
            raise BadData(f"{data} is empty")
    import pandas

    if data in TABLES:
        from sklearn import datasets

        return getattr(datasets, f"load_{data}")(as_frame=True).frame
    if data in BUNDLED:
        return docstrings()
    parquet = path.suffix.lower() in (".parquet", ".pq")
    try:
        table = pandas.read_parquet(path) if parquet else pandas.read_csv(path, low_memory=False)
    except Exception as error:
        raise BadData(f"{data} cannot be read as {'Parquet' if parquet else 'CSV'}: {error}") from error
    table.columns = [str(column) for column in table.columns]
    if table.empty or table.columns.has_duplicates:
        raise BadData(f"{data} has {'no rows' if table.empty else 'two columns of the same name'}")
    return table


def docstrings():
    """Sentences of scikit-learn's own documentation, and which part of it each is about."""
    import re
    from importlib.resources import files

    import pandas

    found = {}
    for part in ("cluster", "datasets", "linear_model", "metrics"):
        for file in sorted(files("sklearn").joinpath(part).iterdir(), key=lambda file: file.name):
            code = file.read_text(encoding="utf-8") if file.name.endswith(".py") else ""
            for text in re.findall(r'"""(.*?)"""', code, re.DOTALL):
                for piece in re.split(r"\n\s*\n|(?<=[.!?])\s+(?=[A-Z])", text):
                    sentence = " ".join(piece.split())
                    if re.match(r"[A-Z](?!.*---).*\.$", sentence) and sentence.count(" ") >= 7:
                        found.setdefault(sentence, part)
    return pandas.DataFrame(found.items(), columns=["text", "target"])


def prose(column):
    """Whether a cleaned column holds texts, each another one, and not words that come again."""
    texts = column.dtype != "float64" and column.nunique() > len(column) / 2
    return texts and column.str.count(" ").mean() >= 3


def clean_features(table):
    """Numbers as floats (missing as NaN) and everything else as text (missing as "")."""
    import numpy
    import pandas

    columns = {}
    for name, column in table.items():
        if pandas.api.types.is_datetime64_any_dtype(column):
            raise BadData(f"column {name!r} holds dates: turn them into numbers first")
        if not pandas.api.types.is_numeric_dtype(column):
            given = column.dropna().astype(str)
            text = given[pandas.to_numeric(given, errors="coerce").isna()]
            if 0 < len(text) <= len(given) / 2:
                where = f"{text.iloc[0]!r} in row {table.index.get_loc(text.index[0]) + 1}"
                raise BadData(f"column {name!r} has text where numbers belong: {where}")
            if len(text) or given.empty:
                columns[name] = (
                    column.astype(object).where(column.notna(), "").astype(str).to_numpy(dtype=object)
                )
                continue
            column = pandas.to_numeric(column.astype(object), errors="coerce")
        values = column.astype("float64")
        if not (values.isna() | (values.abs() < 1e30)).all():
            raise BadData(f"column {name!r} has infinite or far too large numbers")
        columns[name] = values.to_numpy(dtype="float64", na_value=numpy.nan)
    return pandas.DataFrame(columns)


def load(data, target, task):
    """Features, answers and "classification" or "regression"; rows without an answer are left out."""
    import pandas

    table = read_table(data)
    target = "target" if data in BUNDLED else target
    if target not in table.columns:
        names = ", ".join(map(str, table.columns[:12])) + (", ..." if len(table.columns) > 12 else "")
        raise BadData(f"{data} has no column {target!r} to predict: name one with --target; it has {names}")
    features, known = clean_features(table.drop(columns=target)), table[target].notna().to_numpy()
    if features.shape[1] == 0 or known.sum() < 10:
        found = f"{known.sum()} usable rows and {features.shape[1]} features"
        raise BadData(f"{data} has {found}: too few to learn from")
    features, answers = features[known].reset_index(drop=True), table[target][known].reset_index(drop=True)
    numeric = pandas.api.types.is_numeric_dtype(answers) and not pandas.api.types.is_bool_dtype(answers)
    whole = numeric and bool((answers.abs() < 2**53).all() and (answers % 1 == 0).all())
    if task == "auto":
        few = answers.nunique() <= 20
        task = "classification" if not numeric or (whole and few) else "regression"
    if answers.nunique() < 2:
        raise BadData(f"column {target!r} is '{answers.iloc[0]}' in every row: nothing to learn")
    if task == "regression":
        answers = clean_features(answers.to_frame())[target]
        if answers.dtype != "float64":
            raise BadData(f"column {target!r} has text where numbers belong: '{answers.iloc[0]}' in row 1")
        return features, answers.to_numpy(), task
    if answers.nunique() > max(20, len(answers) // 4):
        raise BadData(f"column {target!r} has {answers.nunique()} different values: too many for classes")
    return features, (answers.astype("int64") if whole else answers.astype(str)).to_numpy(), task


def split(features, answers, task, share, seed):
    """Rows to learn from and rows held out, the same for the same seed; classes keep their shares."""
    from sklearn.model_selection import train_test_split

    stratify = answers if task == "classification" else None
    try:
        return train_test_split(features, answers, test_size=share, random_state=seed, stratify=stratify)
    except ValueError as error:
        raise BadData(
            f"{len(answers)} rows cannot be split {1 - share:.2f} to {share:.2f}: {error}"
        ) from error


# --- end of the shared part -----------------------------------------------------------------------


# --- shared by the scikit-learn recipes, word for word --------------------------------------------
def preparation(features, scale, max_categories):
    """Fills gaps, scales numbers and turns text into 0/1 columns."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

    if all(prose(column) for _, column in features.items()):
        raise BadData("there are texts alone: sklearn_text and tf_text learn from them")
    numbers = [name for name, column in features.items() if column.dtype == "float64"]
    words = [name for name in features.columns if name not in set(numbers)]
    steps = [SimpleImputer(strategy="median", keep_empty_features=True)]
    steps += {"standard": [StandardScaler()], "minmax": [MinMaxScaler()], "none": []}[scale]
    encoder = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=max_categories, sparse_output=False
    )
    return ColumnTransformer([("numbers", make_pipeline(*steps), numbers), ("words", encoder, words)])


def scores(model, features, answers, task):
    """The metrics of a fitted model on rows that it has not seen."""
    from sklearn import metrics

    predicted = model.predict(features)
    if task == "regression":
        return {
            "r2": metrics.r2_score(answers, predicted),
            "mae": metrics.mean_absolute_error(answers, predicted),
            "rmse": metrics.root_mean_squared_error(answers, predicted),
        }
    found = {
        "accuracy": metrics.accuracy_score(answers, predicted),
        "f1_macro": metrics.f1_score(answers, predicted, average="macro", zero_division=0),
    }
    if hasattr(model, "predict_proba") and set(answers) <= set(model.classes_):
        found["log_loss"] = metrics.log_loss(answers, model.predict_proba(features), labels=model.classes_)
    return found


# --- end of the part shared by the scikit-learn recipes -------------------------------------------


# --- shared by the recipes of groups, word for word -------------------------------------------------
MOST_MEASURED = 5000  # rows; a silhouette looks at every pair


def load_rows(data, target):
    """Features, and answers where the table has them."""
    table = read_table(data)
    target = "target" if data in BUNDLED else target
    answers = table[target].astype(str).to_numpy() if target in table.columns else None
    features = clean_features(table.drop(columns=[target] if answers is not None else []))
    if features.shape[1] == 0 or len(features) < 10:
        raise BadData(f"{data} has {len(features)} rows and {features.shape[1]} features: too few to group")
    return features, answers


def group_scores(model, features, answers):
    """The metrics of a fitted pipeline on rows that it has not seen, and the group of each row."""
    from sklearn import metrics

    prepared = model[:-1].transform(features)
    groups = model[-1].predict(prepared)
    found = {"inertia": -model[-1].score(prepared) / len(prepared)}
    if 1 < len(set(groups[:MOST_MEASURED])) < len(groups[:MOST_MEASURED]):
        found["silhouette"] = metrics.silhouette_score(prepared[:MOST_MEASURED], groups[:MOST_MEASURED])
    if answers is not None:
        found["adjusted_rand"] = metrics.adjusted_rand_score(answers, groups)
    return found, groups


# --- end of the part shared by the recipes of groups ------------------------------------------------


# --- shared by the evaluating recipes, word for word ------------------------------------------------
MOST_ASKED = 150_000  # rows that the model answers for the importance of the columns
MOST_CELLS = 5_000_000  # of a table that it answers at once
MOST_WORDS = 200  # of a column of texts
MOST_SHOWN = 20  # bars, curves, or classes with their numbers


def evaluate_flags(parser):
    common_flags(parser)
    parser.add_argument(
        "--rows",
        default="auto",
        choices=["auto", "held_out", "all"],
        help="auto: all of a file, of bundled data those that training held out",
    )
    number(parser, "--repeats", 3, (0, 100), "shuffles of a column for its importance; 0 leaves it out")


def asked_rows(features, answers, task, options):
    """Those of the rows that `--rows` means."""
    if options.rows == "held_out" or (options.rows == "auto" and options.data in BUNDLED):
        _, features, _, answers = split(features, answers, task, options.test_share, options.seed)
    return features, answers


@contextmanager
def picture(name, folder, wide=6.4, high=4.8):
    """Axes that become a picture in the output folder. Names in it are text and never markup."""
    import logging
    import warnings

    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of characters that no font has
        figure = Figure((wide, high), layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        yield axes
        figure.savefig(folder / name, dpi=120)
    say(artifact=name)


def shown(name):
    text = "".join(char if char.isprintable() else " " for char in str(name))
    return text if len(text) <= 24 else text[:23] + "\u2026"


def save_table(table, name, folder):
    table.to_csv(folder / name, index=False)
    say(artifact=name)


def confusion(answers, said, names, folder):
    """How often each answer was said for each: `confusion.csv` and a picture."""
    import numpy
    import pandas

    answers, said = pandas.Series(answers), pandas.Series(said)
    is_one = [*names, *sorted(set(answers) - set(names))]
    says = [*names, *sorted(set(said) - set(names))]
    counts = pandas.crosstab(answers, said).reindex(index=is_one, columns=says, fill_value=0)
    save_table(counts.rename_axis("answer").reset_index(), "confusion.csv", folder)
    for name in [name for name in names if name in counts.index][:MOST_SHOWN]:
        right, of, times = counts.at[name, name], counts.loc[name].sum(), counts[name].sum()
        print(f"class {shown(name)}  {right} right of {of}, said {times} times")
    size = min(16, 3.2 + 0.45 * max(counts.shape))
    with picture("confusion.png", folder, size + 1, size) as axes:
        shares = counts.to_numpy() / numpy.maximum(counts.to_numpy().sum(axis=1, keepdims=True), 1)
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.figure.colorbar(image, label="share of the rows with that answer")
        axes.set(xlabel="said", ylabel="answer", title=f"{len(answers)} rows by answer and prediction")
        for axis, labels in ((axes.xaxis, says), (axes.yaxis, is_one)):
            step = -(-len(labels) // 40)
            axis.set_ticks(range(0, len(labels), step), [shown(each) for each in labels[::step]])
        if max(map(len, map(shown, says))) > 3:
            axes.tick_params(axis="x", rotation=60)
        if max(counts.shape) <= MOST_SHOWN:
            for (row, column), share in numpy.ndenumerate(shares):
                number = counts.iat[row, column]
                axes.text(
                    column, row, number or "", ha="center", va="center", color="w" if share > 0.5 else "k"
                )


def roc(answers, chances, classes, folder):
    """The mean area under the curves of each class against the others: `roc.csv` and a picture."""
    import pandas
    from sklearn import metrics

    curves, areas = [], {}
    for place, name in enumerate(classes):
        mine = answers == name
        if (len(classes) == 2 and place == 0) or mine.all() or not mine.any():
            continue
        false, true, chance = metrics.roc_curve(mine, chances[:, place])
        areas[name] = metrics.auc(false, true)
        rates = {"false_positive_rate": false, "true_positive_rate": true, "at_least": chance.clip(0, 1)}
        curves.append(pandas.DataFrame({"class": name, **rates}))
    if not areas:
        return {}
    table, mean = pandas.concat(curves), sum(areas.values()) / len(areas)
    save_table(table, "roc.csv", folder)
    with picture("roc.png", folder) as axes:
        axes.plot([0, 1], [0, 1], color="0.7", linestyle=":")
        for name in sorted(areas, key=areas.get)[:MOST_SHOWN]:
            of = table[table["class"] == name]
            label = f"{shown(name)}  {areas[name]:.3f}"
            axes.plot(of["false_positive_rate"], of["true_positive_rate"], label=label, linewidth=1.2)
        more = f", the {MOST_SHOWN} lowest" if len(areas) > MOST_SHOWN else ""
        one = "class and area" if len(areas) > 1 else "area"
        axes.set(xlabel="false positive rate", ylabel="true positive rate", title=f"ROC, area {mean:.4f}")
        axes.legend(title=one + more, loc="lower right", fontsize="small", frameon=False)
    return {"roc_auc": mean}


def residuals(answers, said, folder):
    """How far predictions are from the answers, as a picture."""
    with picture("residuals.png", folder) as axes:
        axes.axhline(0, color="0.7", linestyle=":")
        axes.scatter(said, answers - said, s=9, alpha=0.6, linewidths=0)
        axes.set(xlabel="predicted", ylabel="answer - predicted", title=f"{len(answers)} rows")
    with picture("predicted.png", folder, 5.4, 5) as axes:
        ends = [min(answers.min(), said.min()), max(answers.max(), said.max())]
        axes.plot(ends, ends, color="0.7", linestyle=":")
        axes.scatter(answers, said, s=9, alpha=0.6, linewidths=0)
        axes.set(xlabel="answer", ylabel="predicted", title=f"{len(answers)} rows")


def altered(features, repeats, random):
    """What may count, and the table without it: a column shuffled, or texts without a word."""
    import re
    from collections import Counter

    for name, column in features.items():
        if not prose(column):
            for _ in range(repeats):
                yield name, features.assign(**{name: random.permutation(column.to_numpy())})
            continue
        words = Counter(word for text in column for word in set(re.findall(r"\w\w+", text.lower())))
        for word, _ in words.most_common(MOST_WORDS):
            without = column.str.replace(rf"\b{re.escape(word)}\b", " ", case=False, regex=True)
            yield f"{name}: {word}", features.assign(**{name: without})


def importance(ask, judge, features, answers, *, options, folder):
    """How far the score falls without each column: `importance.csv` and a picture.

    Of a column of texts, without each of its most frequent words.
    """
    import numpy
    import pandas

    if not options.repeats:
        return
    random = numpy.random.default_rng(options.seed)
    alike = options.repeats * features.shape[1]
    most = min(len(features), max(100, MOST_ASKED // max(alike, 1)))
    some = numpy.sort(random.permutation(len(features))[:most])
    features, answers = features.iloc[some].reset_index(drop=True), answers[some]
    whole, falls, waiting = judge(answers, *ask(features)), {}, []
    all_names = sum(MOST_WORDS if prose(column) else 1 for _, column in features.items())

    def answer():
        said, chances = ask(pandas.concat([table for _, table in waiting], ignore_index=True))
        for place, (name, _) in enumerate(waiting):
            rows = slice(place * most, (place + 1) * most)
            score = judge(answers, said[rows], None if chances is None else chances[rows])
            falls.setdefault(name, []).append(whole - score)
        say(phase="importance", progress=len(falls) / all_names)
        waiting.clear()

    for pair in altered(features, options.repeats, random):
        waiting.append(pair)
        if len(waiting) * features.size >= MOST_CELLS or len(waiting) * most >= 20_000:
            answer()
    if waiting:
        answer()
    found = pandas.DataFrame(
        [(name, numpy.mean(each), numpy.std(each)) for name, each in falls.items()],
        columns=["column", "importance", "deviation"],
    ).sort_values("importance", ascending=False, kind="stable")
    save_table(found, "importance.csv", folder)
    top = found.head(MOST_SHOWN).iloc[::-1]
    with picture("importance.png", folder, 6.4, 1.2 + 0.22 * len(top)) as axes:
        axes.barh(range(len(top)), top["importance"], xerr=top["deviation"], color="tab:blue", ecolor="0.4")
        axes.set_yticks(range(len(top)), [shown(name) for name in top["column"]])
        score = judge.__name__.replace("_", " ")
        axes.set(xlabel=f"fall of {score} without it", title=f"{most} rows, {score} {whole:.4f}")
    print("counts most  " + "  ".join(f"{shown(a)} {b:.3f}" for a, b, _ in found.head(5).to_numpy()))


def judge_of(features, classes, chances):
    """What an importance is the fall of: a function with the name of the score."""
    places = {name: place for place, name in enumerate(classes)}

    def accuracy(answers, said, _):
        return float((answers == said).mean())

    def chance_of_the_answer(answers, _, chances):  # one word of a text seldom turns an answer
        own = [(row, places[answer]) for row, answer in enumerate(answers) if answer in places]
        return float(chances[tuple(zip(*own, strict=True))].sum() / len(answers)) if own else 0.0

    def r2(answers, said, _):
        from sklearn import metrics

        return metrics.r2_score(answers, said)

    if not classes:
        return r2
    texts = chances is not None and any(prose(column) for _, column in features.items())
    return chance_of_the_answer if texts else accuracy


def look_closer(ask, features, answers, classes, *, options, folder):
    """Tables and pictures of what the model says to these rows; the metrics that come of it."""
    import pandas

    said, chances = ask(features)
    save_table(pandas.DataFrame({"answer": answers, "predicted": said}), "predictions.csv", folder)
    if classes:
        confusion(answers, said, classes, folder)
        found = roc(answers, chances, classes, folder) if chances is not None else {}
    else:
        residuals(answers, said, folder)
        found = {}
    judge = judge_of(features, classes, chances)
    importance(ask, judge, features, answers, options=options, folder=folder)
    print(f"wrote tables and pictures into {folder}")
    return found


# --- end of the part shared by the evaluating recipes -----------------------------------------------


def arguments():
    parser = argparse.ArgumentParser(
        description="Measure a saved scikit-learn model. Only load models you wrote."
    )
    parser.add_argument(
        "--model", required=True, help="model.joblib; only load models you wrote: it can run code"
    )
    evaluate_flags(parser)
    return parser


def load_model(path):
    """A fitted model and its task. Loading runs the code that the file holds."""
    if not Path(path).is_file():
        raise BadData(f"there is no file {path}: --model is the model.joblib of a train recipe")
    import joblib
    from sklearn.base import is_classifier, is_clusterer, is_regressor

    try:
        model = joblib.load(path)
    except Exception as error:
        raise BadData(f"{path} is not a model that can be loaded here: {error!r}") from error
    tasks = {"classification": is_classifier, "regression": is_regressor, "grouping": is_clusterer}
    for task, is_one in tasks.items():
        if is_one(model):
            return model, task
    raise BadData(f"{path} holds a {type(model).__name__}: no classifier, no regressor and no groups")


def columns_of(model, features, options):
    """The columns that the model takes, in its order."""
    names = list(getattr(model, "feature_names_in_", features.columns))
    missing = [name for name in names if name not in features.columns]
    if missing:
        raise BadData(f"{options.data} has no column {missing[0]!r}, which the model needs")
    return features[names]


def evaluate_groups(model, options, folder):
    """What k-means makes of these rows, and beside their answers, where they have any."""
    import numpy
    import pandas

    features, answers = load_rows(options.data, options.target)
    features, rows = columns_of(model, features, options), numpy.arange(len(features))
    _, rows = asked_rows(rows, rows, "regression", options)
    features = features.iloc[rows]
    answers = None if answers is None else answers[rows]
    print(f"groups: {type(model[-1]).__name__} on {len(features)} rows")
    found, groups = group_scores(model, features, answers)
    known = {} if answers is None else {"answer": answers}
    save_table(pandas.DataFrame({**known, "group": groups}), "predictions.csv", folder)
    if answers is not None:
        confusion(answers, groups, [], folder)
    return found


def main(argv=None):
    options = arguments().parse_args(argv)
    model, task = load_model(options.model)
    if task == "grouping":
        save_metrics(evaluate_groups(model, options, output_folder()), output_folder())
        return
    features, answers, task = load(options.data, options.target, task)
    features, answers = asked_rows(columns_of(model, features, options), answers, task, options)
    classes = model.classes_.tolist() if task == "classification" else []
    if classes and not set(answers) & set(classes):
        raise BadData(f"none of the answers, such as '{answers[0]}', is a class of the model")
    print(f"{task}: {type(model).__name__} on {len(features)} rows")
    tells = classes and hasattr(model, "predict_proba")
    try:
        found = scores(model, features, answers, task)
    except (ValueError, TypeError) as error:
        raise BadData(f"the model cannot take this data: {error}") from error
    folder = output_folder()
    more = look_closer(
        lambda rows: (model.predict(rows), model.predict_proba(rows) if tells else None),
        features,
        answers,
        classes,
        options=options,
        folder=folder,
    )
    save_metrics({**found, **more}, folder)


if __name__ == "__main__":
    sys.exit(run(main))
