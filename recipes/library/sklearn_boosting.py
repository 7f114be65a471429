# /// script
# requires-python = ">=3.11"
# dependencies = ["joblib>=1.4", "pandas>=2.2", "pyarrow>=18", "scikit-learn>=1.6"]
# [tool.cro]
# title = "Gradient boosting"
# description = "Trees that each mend what those before got wrong; often the best on tables."
# framework = "sklearn"
# kind = "train"
# resources = { cpus = 2, mem = "700M", gpus = 0, time = "10m" }
# metrics = { accuracy = "max", r2 = "max" }
# grace = "30s"
# repeatable = true
# checkpoint = true
# [tool.cro.params]
# data.type = "path"
# data.default = "digits"
# data.choices = ["digits", "breast_cancer", "wine", "diabetes"]
# data.help = "a data set carried by scikit-learn, or a CSV or Parquet file"
# target = { default = "target", help = "the column of the file to predict" }
# task.default = "auto"
# task.choices = ["auto", "classification", "regression"]
# task.help = "auto: by the answers"
# n_estimators = { default = 200, min = 1, max = 5000, help = "rounds; a tree for each class in each" }
# learning_rate = { default = 0.1, min = 0.001, max = 1.0, help = "how much of its answer counts" }
# max_leaves = { default = 31, min = 2, max = 1000, help = "most leaves of a tree" }
# min_samples_leaf = { default = 20, min = 1, max = 10000, help = "fewest rows in a leaf" }
# test_share = { default = 0.25, min = 0.05, max = 0.5, help = "share of the rows held out to measure on" }
# seed = { default = 0, min = 0, max = 4294967295, help = "same seed, same result" }
# ///
"""Trains histogram gradient boosting and saves it as `model.joblib`, a plain scikit-learn pipeline.

The trees grow in ten steps; each step prints how many rounds there are and how well they do on the held-out
rows. Between two looks at the clock grow as many as take about a second, by the size of the data alone, so
that a stop never waits long and changes nothing.
"""

import argparse
import hashlib
import json
import math
import os
import pickle
import signal
import sys
import time
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


# --- shared by the training recipes, word for word ------------------------------------------------
SAVED = 75  # exit code: what is done is saved, start me again
SAVE_EVERY_S = float(os.environ.get("CRO_SAVE_EVERY_S") or 30)


class BreakOff(BaseException):
    """SIGTERM has come, and the piece of work at hand can be done again."""


class Checkpoints:
    """What is done so far, kept in `CRO_CHECKPOINT_DIR`; without that variable nothing is kept.

    SIGTERM makes `due()` true, and the next `save` ends the recipe with exit code 75. Before `load` there
    is nothing new to save: it ends at once.
    """

    def __init__(self):
        self.folder = os.environ.get("CRO_CHECKPOINT_DIR")
        self.at_work = self.asked = self.breaks = False
        self.save_s = 0.0
        if self.folder:
            signal.signal(signal.SIGTERM, self._stop)

    def _stop(self, *_):
        if not self.at_work:
            os._exit(SAVED)
        again, self.asked = self.asked, True
        if self.breaks and not again:
            raise BreakOff

    def load(self, options, library):
        """What `CRO_RESUME` has of this recipe with these options and data, or None to begin."""
        self.of = {"recipe": sha256(__file__), library.__name__: library.__version__, **vars(options)}
        if options.data not in BUNDLED:
            self.of["data"] = sha256(options.data)
        state = None
        if folder := os.environ.get("CRO_RESUME"):
            try:
                state = self._read(Path(folder) / "state")
            except Exception as problem:
                print(
                    f"note: the checkpoint in {folder} is not used: {problem}", file=sys.stderr, flush=True
                )
        self.saved_at, self.at_work = time.monotonic(), True
        return state

    def _read(self, path):
        with path.open("rb") as file:
            digest = file.read(32)
            if hashlib.file_digest(file, "sha256").digest() != digest:
                raise ValueError("it is damaged")
            file.seek(32)
            of = pickle.load(file)
            other = sorted(key for key in {**of, **self.of} if of.get(key) != self.of.get(key))
            if other:
                raise ValueError(f"it was made with another {', '.join(other)}")
            return pickle.load(file)

    def due(self):
        """Whether to call `save` now."""
        since_s = time.monotonic() - self.saved_at if self.at_work else 0.0
        return bool(self.folder) and (self.asked or since_s > max(SAVE_EVERY_S, 20 * self.save_s))

    def save(self, state):
        """Replaces the checkpoint in one step: a kill leaves the older one whole. Ends if asked to."""
        began, folder = time.monotonic(), Path(self.folder)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (folder / "state.part").open("wb+") as file:
                file.write(bytes(32))
                pickle.dump(self.of, file)
                pickle.dump(state, file, protocol=5)
                file.seek(32)
                digest = hashlib.file_digest(file, "sha256").digest()
                file.seek(0)
                file.write(digest)
                file.flush()
                os.fsync(file.fileno())
            (folder / "state.part").replace(folder / "state")
            entries = os.open(folder, os.O_RDONLY)
            os.fsync(entries)
            os.close(entries)
        except OSError as problem:  # a full disk, say: the older one counts
            print(f"note: the checkpoint could not be saved, {problem}", file=sys.stderr, flush=True)
        self.saved_at = time.monotonic()
        self.save_s = self.saved_at - began
        if self.asked:
            print(f"stopped as asked: saved in {self.save_s:.2f} s", flush=True)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Python forgets its handlers before it is gone
            sys.exit(SAVED)

    def going_on(self, after):
        """Says where it goes on: what the restart took is measured by that."""
        print(f"going on after {after}")
        say(note=f"going on after {after}")

    @contextmanager
    def breaking_off(self, state):
        """Inside, SIGTERM breaks off what is going on; it is begun again from `state`."""
        try:
            try:
                self.breaks = bool(self.folder)
                yield
            finally:
                self.breaks = False
        except BreakOff:
            self.save(state)

    def done(self):
        """The outputs are there: nothing to go on from any more."""
        if self.folder:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            for name in ("state", "state.part"):
                (Path(self.folder) / name).unlink(missing_ok=True)


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def say_model(file, flavor, rows):
    """Reports the model, a few of the rows that it learned from, and how each column is spread."""
    import numpy

    sample = json.loads(rows.head(max(1, min(20, 2000 // rows.shape[1]))).to_json(orient="records"))
    while len(json.dumps(sample)) > 50_000:
        sample = sample[: len(sample) // 2]
    say(model=file, flavor=flavor, sample=sample)
    spread = {}
    for name, column in rows.items():
        if prose(column):
            continue  # nearly every text is a new one
        if column.dtype == "float64":
            known = column.dropna()
            cuts = numpy.unique([float(f"{cut:.6g}") for cut in known.quantile(numpy.arange(1, 20) / 20)])
            cuts = cuts[numpy.isfinite(cuts)]
            counts = numpy.bincount(numpy.searchsorted(cuts, known), minlength=len(cuts) + 1)
            spread[name] = {
                "cuts": cuts.tolist(),
                "counts": counts.tolist(),
                "missing": len(column) - len(known),
            }
        else:
            counts = column.value_counts()
            words = {str(word)[:100]: int(count) for word, count in counts[:50].items()}
            spread[name] = {"words": words, "others": int(counts[50:].sum())}
    if spread and len(json.dumps(spread)) < 60_000:
        say(spread=spread)


# --- end of the part shared by the training recipes -----------------------------------------------


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


# --- shared by the scikit-learn training recipes, word for word -----------------------------------
def save_model(model, rows, folder):
    """`model.joblib`, there as a whole or not at all; `rows` are those that it learned from."""
    import joblib

    joblib.dump(model, folder / "model.joblib.part")
    (folder / "model.joblib.part").replace(folder / "model.joblib")
    say_model("model.joblib", "sklearn", rows)
    print(f"wrote {folder / 'model.joblib'}")


# --- end of the part shared by the scikit-learn training recipes ----------------------------------

CELLS = 4 * 10**6  # rows x columns x classes of the rounds between two looks at the clock


def arguments():
    parser = argparse.ArgumentParser(description="Train histogram gradient boosting.")
    common_flags(parser)
    parser.add_argument("--task", default="auto", choices=TASKS, help="auto: by the answers")
    number(parser, "--n-estimators", 200, (1, 5000), "rounds; a tree for each class in each")
    number(parser, "--learning-rate", 0.1, (0.001, 1.0), "how much of its answer counts")
    number(parser, "--max-leaves", 31, (2, 1000), "most leaves of a tree")
    number(parser, "--min-samples-leaf", 20, (1, 10_000), "fewest rows in a leaf")
    return parser


def main(argv=None):
    options, checkpoints = arguments().parse_args(argv), Checkpoints()
    features, answers, task = load(options.data, options.target, options.task)
    train, test, train_answers, test_answers = split(
        features, answers, task, options.test_share, options.seed
    )
    import sklearn
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.pipeline import make_pipeline

    print(f"{task}: {len(train)} rows to learn from, {len(test)} held out, {features.shape[1]} features")
    prepare = preparation(features, "none", 30).fit(train)
    known, held_out = prepare.transform(train), prepare.transform(test)
    classes = len(set(train_answers)) if task == "classification" else 1
    kind = HistGradientBoostingClassifier if classes > 1 else HistGradientBoostingRegressor
    model = checkpoints.load(options, sklearn) or kind(
        warm_start=True,
        early_stopping=False,
        learning_rate=options.learning_rate,
        max_leaf_nodes=options.max_leaves,
        min_samples_leaf=options.min_samples_leaf,
        random_state=options.seed,
    )
    main_score = "accuracy" if task == "classification" else "r2"
    steps = min(10, options.n_estimators)
    marks = [options.n_estimators * step // steps for step in range(1, steps + 1)]
    batch = max(1, CELLS // (known.size * classes))
    rounds = getattr(model, "n_iter_", 0)
    if rounds:
        checkpoints.going_on(f"{rounds} rounds")
    while rounds < options.n_estimators:
        mark = next(mark for mark in marks if mark > rounds)
        rounds = min(mark, rounds + batch)
        model.set_params(max_iter=rounds).fit(known, train_answers)
        if rounds == mark:
            score = model.score(held_out, test_answers)
            say(step=rounds, progress=rounds / options.n_estimators, phase="train", **{main_score: score})
            print(f"rounds {rounds}/{options.n_estimators}  {main_score} {score:.4f}")
        if checkpoints.due():
            checkpoints.save(model)
    model = make_pipeline(prepare, model)
    folder = output_folder()
    save_model(model, train, folder)
    save_metrics(scores(model, test, test_answers, task), folder)
    checkpoints.done()


if __name__ == "__main__":
    sys.exit(run(main))
