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
# data.help = "a data set carried by scikit-learn, or a CSV or Parquet file"
# target = { default = "target", help = "the column of the file to predict" }
# task.default = "auto"
# task.choices = ["auto", "classification", "regression"]
# task.help = "auto: by the answers"
# scale.default = "standard"
# scale.choices = ["standard", "minmax", "none"]
# scale.help = "how numbers are scaled"
# max_categories = { default = 30, min = 2, max = 1000, help = "most 0/1 columns made of one text column" }
# test_share = { default = 0.25, min = 0.05, max = 0.5, help = "share of the rows held out to measure on" }
# seed = { default = 0, min = 0, max = 4294967295, help = "same seed, same result" }
# ///
"""Prepares a table for learning: `train.parquet`, `test.parquet` and the fitted `preprocess.joblib`.

What is learnt (medians, scales, words) comes from the training rows alone. The train recipes take the
files: `--data .../train.parquet --target NAME`.
"""

import argparse
import json
import math
import os
import sys
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


def arguments():
    parser = argparse.ArgumentParser(description="Prepare a table: fill gaps, scale, encode, split.")
    common_flags(parser)
    parser.add_argument("--task", default="auto", choices=TASKS, help="auto: by the answers")
    parser.add_argument(
        "--scale", default="standard", choices=["standard", "minmax", "none"], help="how numbers are scaled"
    )
    number(parser, "--max-categories", 30, (2, 1000), "most 0/1 columns made of one text column")
    return parser


def main(argv=None):
    options = arguments().parse_args(argv)
    features, answers, task = load(options.data, options.target, options.task)
    target = "target" if options.data in BUNDLED else options.target
    import joblib

    print(f"read {len(features)} rows, {features.shape[1]} columns, {task}")
    train, test, train_answers, test_answers = split(
        features, answers, task, options.test_share, options.seed
    )
    prepare = preparation(features, options.scale, options.max_categories).set_output(transform="pandas")
    prepare.fit(train)
    if target in prepare.get_feature_names_out():
        raise BadData(f"a prepared column would be called {target!r} as well: rename the one to predict")
    print(f"learnt from {len(train)} rows")
    folder = output_folder()
    joblib.dump(prepare, folder / "preprocess.joblib")
    for name, part, part_answers in (("train", train, train_answers), ("test", test, test_answers)):
        table = prepare.transform(part).reset_index(drop=True)
        table[target] = part_answers
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
