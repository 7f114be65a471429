# /// script
# requires-python = ">=3.11"
# dependencies = ["pandas>=2.2", "pyarrow>=18", "scikit-learn>=1.6", "tensorflow>=2.19"]
# [tool.cro]
# title = "Text network in Keras"
# description = "Learns a vector for each word, a text is the mean of its words; takes raw texts."
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
# data.help = "sentences of scikit-learn's documentation and their part, or a CSV or Parquet file"
# target = { default = "target", help = "the column of the file to predict" }
# text = { default = "auto", help = "the column with the texts; auto: the longest ones" }
# task.default = "auto"
# task.choices = ["auto", "classification", "regression"]
# task.help = "auto: by the answers"
# max_words = { default = 20000, min = 100, max = 1000000, help = "the most frequent ones that are known" }
# length = { default = 200, min = 1, max = 10000, help = "words of a text that are read" }
# units = { default = 64, min = 1, max = 4096, help = "numbers that stand for a word" }
# dropout = { default = 0.2, min = 0.0, max = 0.9, help = "share of them that rest in each step" }
# epochs = { default = 30, min = 1, max = 10000, help = "most passes over the data" }
# patience = { default = 5, min = 1, max = 1000, help = "passes without improvement to stop after" }
# batch_size = { default = 32, min = 1, max = 65536, help = "rows in one step" }
# learning_rate = { default = 0.003, min = 0.0000001, max = 10.0, help = "size of one step" }
# validation_share = { default = 0.2, min = 0.05, max = 0.5, help = "training rows to validate on" }
# test_share = { default = 0.25, min = 0.05, max = 0.5, help = "share of the rows held out to measure on" }
# seed = { default = 0, min = 0, max = 4294967295, help = "same seed, same result" }
# ///
"""Trains a small network on a column of texts and saves it as `model.keras` with `model.json` beside it.

Each word has a vector that is learned, a text is the mean of those of its words, and one dense layer tells
the class. A layer of the saved model (TextVectorization) cuts the words, so it takes the raw texts.
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


# --- shared by the TensorFlow recipes, word for word ----------------------------------------------
MAX_WORDS = 30


def import_tensorflow(log):
    """TensorFlow, with what it says on stderr while it starts kept in a file, and shown if it fails."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    stderr = os.dup(2)
    with log.open("wb") as file:
        os.dup2(file.fileno(), 2)
    try:
        import tensorflow
    except BaseException:
        os.write(stderr, log.read_bytes())
        raise
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
    return tensorflow


def start_tensorflow(seed):
    """TensorFlow with the granted threads, quiet, and the same numbers for the same seed."""
    tensorflow = import_tensorflow(output_folder() / "tensorflow.log")
    tensorflow.config.threading.set_intra_op_parallelism_threads(cpus())
    tensorflow.config.threading.set_inter_op_parallelism_threads(cpus())
    tensorflow.keras.utils.set_random_seed(seed)
    tensorflow.config.experimental.enable_op_determinism()
    return tensorflow


def learn_schema(features, answers, task):
    """What the rows to learn from look like, as JSON values: columns, their statistics, the classes."""
    import numpy

    if features.shape[1] and all(prose(column) for _, column in features.items()):
        raise BadData("there are texts alone: sklearn_text and tf_text learn from them")
    schema = {"task": task, "numbers": {}, "words": {}, "classes": [], "answers": [0.0, 1.0]}
    for name, column in features.items():
        if column.dtype == "float64":
            known = column.dropna()
            mean, variance = (known.mean(), known.var(ddof=0) or 1.0) if len(known) else (0.0, 1.0)
            schema["numbers"][name] = [float(mean), float(variance)]
        else:
            schema["words"][name] = [str(word) for word in column.value_counts().index[:MAX_WORDS]]
    if task == "classification":
        schema["classes"] = numpy.unique(answers).tolist()
    else:
        schema["answers"] = [float(numpy.mean(answers)), float(numpy.std(answers)) or 1.0]
    return schema


def encode(features, schema):
    """The arrays that the model takes, one for all numbers and one for each column of words."""
    import numpy

    missing = [name for name in (*schema["numbers"], *schema["words"]) if name not in features.columns]
    if missing:
        raise BadData(f"the data has no column {missing[0]!r}, which the model needs")
    texts = [name for name in schema["numbers"] if features[name].dtype != "float64"]
    if texts:
        raise BadData(f"column {texts[0]!r} has text where the model needs numbers")
    arrays = {
        f"word_{i}": features[name].astype(str).to_numpy(object) for i, name in enumerate(schema["words"])
    }
    if schema["numbers"]:
        arrays["numbers"] = features[list(schema["numbers"])].to_numpy(numpy.float32)
    return arrays


def class_numbers(answers, schema):
    """Answers as the network learns them: class numbers (-1: a class that it does not know) or numbers."""
    import numpy

    if schema["task"] == "regression":
        return numpy.asarray(answers, dtype=numpy.float32)
    numbers = {name: number for number, name in enumerate(schema["classes"])}
    return numpy.array([numbers.get(answer, -1) for answer in answers.tolist()])


def prepared_inputs(keras, schema):
    """Input layers and one tensor of scaled numbers (gaps as the mean) and 0/1 columns for words."""
    inputs, parts = {}, []
    if schema["numbers"]:
        inputs["numbers"] = keras.Input((len(schema["numbers"]),), name="numbers")
        mean, variance = zip(*schema["numbers"].values(), strict=True)
        scaled = keras.layers.Normalization(mean=list(mean), variance=list(variance))(inputs["numbers"])
        parts.append(keras.ops.where(keras.ops.isnan(scaled), 0.0, scaled))
    for i, words in enumerate(schema["words"].values()):
        inputs[f"word_{i}"] = keras.Input((), name=f"word_{i}", dtype="string")
        lookup = keras.layers.StringLookup(vocabulary=words, output_mode="one_hot")
        parts.append(keras.ops.cast(lookup(inputs[f"word_{i}"]), "float32"))
    return inputs, parts[0] if len(parts) == 1 else keras.layers.Concatenate()(parts)


def scores(outputs, answers, schema):
    """The metrics of a network's outputs on rows that it has not seen."""
    import numpy

    if schema["task"] == "regression":
        error = numpy.asarray(outputs, dtype=float).reshape(-1) - answers
        spread = float(((answers - answers.mean()) ** 2).sum())
        r2 = 1 - float((error**2).sum()) / spread if spread else math.nan
        return {"r2": r2, "mae": abs(error).mean(), "rmse": math.sqrt((error**2).mean())}
    known = answers >= 0
    chances = numpy.clip(outputs[known, answers[known]], 1e-7, 1)
    return {
        "accuracy": (outputs.argmax(axis=1) == answers).mean(),
        "log_loss": -numpy.log(chances).mean() if len(chances) else math.nan,
    }


# --- end of the part shared by the TensorFlow recipes ---------------------------------------------


# --- shared by the TensorFlow training recipes, word for word -------------------------------------
def network(keras, inputs, tensor, schema, learning_rate):
    """The compiled model: the given tensor, then one output a class or one number."""
    if schema["task"] == "classification":
        outputs = keras.layers.Dense(len(schema["classes"]), activation="softmax")(tensor)
    else:
        mean, deviation = schema["answers"]
        outputs = keras.layers.Rescaling(deviation, offset=mean)(keras.layers.Dense(1)(tensor))
    return compiled(keras, keras.Model(inputs, outputs), schema, learning_rate)


def compiled(keras, model, schema, learning_rate):
    classifies = schema["task"] == "classification"
    loss, metric = ("sparse_categorical_crossentropy", "accuracy") if classifies else ("mse", "mae")
    model.compile(keras.optimizers.Adam(learning_rate), loss, metrics=[metric])
    return model


def batches(tensorflow, rows, options, epoch, step):
    """The training rows from that step of that epoch on; the order follows from the seed and the epoch."""
    dataset = tensorflow.data.Dataset
    numbers = tensorflow.range(len(rows[1]))

    def of_epoch(epoch):
        seed = tensorflow.stack([tensorflow.constant(options.seed, "int64"), epoch])
        order = tensorflow.random.experimental.stateless_shuffle(numbers, seed)
        return dataset.from_tensor_slices(order).batch(options.batch_size)

    rows = tensorflow.nest.map_structure(tensorflow.convert_to_tensor, rows)
    flat = dataset.range(epoch, options.epochs).flat_map(of_epoch).skip(step)
    return flat.map(
        lambda some: tensorflow.nest.map_structure(lambda column: tensorflow.gather(column, some), rows)
    ).prefetch(2)


def learn(model, known, watched, options, checkpoints):
    """Fits the model, from where the checkpoint ends; what became of it: the epochs, the best one.

    With `options.patience` it stops early and keeps the best weights.
    """
    import tensorflow

    patience = getattr(options, "patience", None)
    per_epoch = math.ceil(len(known[1]) / options.batch_size)
    at = {"epoch": 0, "step": 0, "best": math.inf, "best_epoch": 0, "best_weights": None, "ended": False}
    model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables]  # with the dropout's random state
    if saved := checkpoints.load(options, tensorflow):
        at, values = saved
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        checkpoints.going_on(f"{at['epoch']} epochs and {at['step']} steps")

    class Follow(tensorflow.keras.callbacks.Callback):
        def look(self):
            if checkpoints.due():
                checkpoints.save((at, [variable.numpy() for variable in variables]))

        def on_train_batch_end(self, batch, logs=None):
            at["step"] += 1
            self.look()

        def on_test_batch_end(self, batch, logs=None):
            self.look()

        def on_epoch_end(self, epoch, logs=None):
            at.update(epoch=epoch + 1, step=0)
            found = {name: float(value) for name, value in logs.items()}
            say(step=epoch + 1, progress=(epoch + 1) / options.epochs, phase="train", **found)
            if patience and logs["val_loss"] < at["best"]:
                at.update(best=logs["val_loss"], best_epoch=epoch + 1, best_weights=model.get_weights())
            at["ended"] = bool(patience) and epoch + 1 - at["best_epoch"] >= patience
            model.stop_training = at["ended"]
            self.look()

    def go_on(epochs, steps):
        model.fit(
            batches(tensorflow, known, options, at["epoch"], at["step"]),
            initial_epoch=at["epoch"],
            epochs=epochs,
            steps_per_epoch=steps,
            shuffle=False,
            validation_data=watched,
            callbacks=[Follow()],
            verbose=2,
        )

    if at["step"] == per_epoch:  # stopped while it validated
        follow = Follow()
        found = model.evaluate(*watched, verbose=0, return_dict=True, callbacks=[follow])
        follow.on_epoch_end(at["epoch"], {f"val_{name}": value for name, value in found.items()})
    elif at["step"]:
        go_on(at["epoch"] + 1, per_epoch - at["step"])
    if at["epoch"] < options.epochs and not at["ended"]:
        go_on(options.epochs, per_epoch)
    if at["best_weights"] is not None:
        model.set_weights(at["best_weights"])
    return at


def save_model(model, schema, rows, folder):
    """`model.keras`, and beside it `model.json`: which columns it takes and what its outputs mean."""
    model.save(folder / "model.part.keras")
    (folder / "model.json.part").write_text(json.dumps(schema, indent=1) + "\n")
    (folder / "model.json.part").replace(folder / "model.json")
    (folder / "model.part.keras").replace(folder / "model.keras")
    say_model("model.keras", "keras", rows)
    print(f"wrote {folder / 'model.keras'}")


# --- end of the part shared by the TensorFlow training recipes ------------------------------------


# --- shared by the TensorFlow recipes that stop early, word for word --------------------------------
def early_flags(parser, epochs, learning_rate):
    number(parser, "--epochs", epochs, (1, 10_000), "most passes over the data")
    number(parser, "--patience", 5, (1, 1000), "passes without improvement to stop after")
    number(parser, "--batch-size", 32, (1, 65_536), "rows in one step")
    number(parser, "--learning-rate", learning_rate, (1e-7, 10.0), "size of one step")
    number(parser, "--validation-share", 0.2, (0.05, 0.5), "training rows to validate on")


def three_parts(features, answers, task, options):
    """Rows to learn from, to validate on and held out, each with their answers."""
    train, test, train_answers, test_answers = split(
        features, answers, task, options.test_share, options.seed
    )
    train, watch, train_answers, watch_answers = split(
        train, train_answers, task, options.validation_share, options.seed
    )
    print(f"{task}: {len(train)} rows to learn from, {len(watch)} to validate, {len(test)} held out")
    return (train, train_answers), (watch, watch_answers), (test, test_answers)


def learn_and_save(model, schema, parts, *, options, checkpoints, **beside):
    """Fits the model, and leaves it with its metrics and those `beside` them."""
    known, watched, held_out = (
        (encode(rows, schema), class_numbers(answers, schema)) for rows, answers in parts
    )
    at = learn(model, known, watched, options, checkpoints)
    if at["ended"]:
        print(f"stopped after epoch {at['epoch']} without improvement; kept the best")
    folder = output_folder()
    save_model(model, schema, parts[0][0], folder)
    found = scores(model.predict(held_out[0], verbose=0), held_out[1], schema)
    save_metrics({**found, **beside, "epochs": at["epoch"]}, folder)
    checkpoints.done()


# --- end of the part shared by the TensorFlow recipes that stop early -------------------------------


# --- shared by the text recipes, word for word ----------------------------------------------------
def text_flags(parser):
    common_flags(parser, data="docstrings")
    parser.add_argument("--text", default="auto", help="the column with the texts; auto: the longest ones")


def only_text(features, name):
    """The one column of texts, as a table; the others are left out."""
    texts = [each for each, column in features.items() if column.dtype != "float64"]
    if not texts:
        raise BadData("there is no column of texts, only numbers: the other recipes learn from those")
    if name == "auto":
        name = max(texts, key=lambda each: features[each].str.len().mean())
    if name not in texts:
        raise BadData(
            f"there is no column {name!r} of texts: name one with --text; it has {', '.join(texts[:12])}"
        )
    others = [repr(each) for each in features.columns if each != name]
    more = ", ..." if len(others) > 8 else ""
    print(f"texts: column {name!r}" + (f"; not used: {', '.join(others[:8])}{more}" if others else ""))
    return features[[name]]


# --- end of the part shared by the text recipes ---------------------------------------------------


def arguments():
    parser = argparse.ArgumentParser(description="Train a small Keras network on texts.")
    text_flags(parser)
    parser.add_argument("--task", default="auto", choices=TASKS, help="auto: by the answers")
    number(parser, "--max-words", 20_000, (100, 1_000_000), "the most frequent ones that are known")
    number(parser, "--length", 200, (1, 10_000), "words of a text that are read")
    number(parser, "--units", 64, (1, 4096), "numbers that stand for a word")
    number(parser, "--dropout", 0.2, (0.0, 0.9), "share of them that rest in each step")
    early_flags(parser, 30, 0.003)
    return parser


def mean_of_words(keras, text, vectorize, units):
    """A text as the mean of the vectors of its words; zeros where it has none."""
    ops, numbers = keras.ops, vectorize(text)
    vectors = keras.layers.Embedding(vectorize.vocabulary_size(), units)(numbers)
    there = ops.expand_dims(ops.cast(ops.not_equal(numbers, 0), "float32"), -1)
    return ops.sum(vectors * there, axis=1) / ops.maximum(ops.sum(there, axis=1), 1.0)


def main(argv=None):
    options, checkpoints = arguments().parse_args(argv), Checkpoints()
    features, answers, task = load(options.data, options.target, options.task)
    features = only_text(features, options.text)
    parts = three_parts(features, answers, task, options)
    train, train_answers = parts[0]
    schema = learn_schema(train.iloc[:, :0], train_answers, task)
    tensorflow = start_tensorflow(options.seed)
    keras = tensorflow.keras
    vectorize = keras.layers.TextVectorization(
        max_tokens=options.max_words, output_mode="int", output_sequence_length=options.length
    )
    vectorize.adapt(tensorflow.constant(train.iloc[:, 0].tolist()))
    words = vectorize.get_vocabulary(include_special_tokens=False)
    if not words:
        raise BadData("there is no word in these texts")
    print(f"{len(words)} words are known")
    schema["words"] = {train.columns[0]: [str(word) for word in words[:MAX_WORDS]]}
    text = keras.Input((), name="word_0", dtype="string")
    tensor = mean_of_words(keras, text, vectorize, options.units)
    tensor = keras.layers.Dropout(options.dropout)(tensor)
    model = network(keras, {"word_0": text}, tensor, schema, options.learning_rate)
    learn_and_save(model, schema, parts, options=options, checkpoints=checkpoints)


if __name__ == "__main__":
    sys.exit(run(main))
