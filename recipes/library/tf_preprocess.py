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
# data.help = "a data set carried by scikit-learn, or a CSV or Parquet file"
# target = { default = "target", help = "the column of the file to predict" }
# task.default = "auto"
# task.choices = ["auto", "classification", "regression"]
# task.help = "auto: by the answers"
# batch_size = { default = 256, min = 1, max = 65536, help = "rows that pass through the pipeline at once" }
# test_share = { default = 0.25, min = 0.05, max = 0.5, help = "share of the rows held out to measure on" }
# seed = { default = 0, min = 0, max = 4294967295, help = "same seed, same result" }
# ///
"""Prepares a table with tf.data: `train` and `test` as TFRecord and as Parquet.

Also saved: `preprocess.keras`, the fitted layers as a model, and `normalization.json`, their statistics,
learnt from the training rows alone. The train recipes take the Parquet files; the TFRecord files hold one
`Example` a row with `features` (floats) and `target`.
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


def arguments():
    parser = argparse.ArgumentParser(description="Prepare a table with a tf.data pipeline.")
    common_flags(parser)
    parser.add_argument("--task", default="auto", choices=TASKS, help="auto: by the answers")
    number(parser, "--batch-size", 256, (1, 65_536), "rows that pass through the pipeline at once")
    return parser


def example(tensorflow, row, answer):
    """One row as a serialised `tf.train.Example`."""
    train = tensorflow.train
    if isinstance(answer, str):
        target = train.Feature(bytes_list=train.BytesList(value=[answer.encode()]))
    elif isinstance(answer, int):
        target = train.Feature(int64_list=train.Int64List(value=[answer]))
    else:
        target = train.Feature(float_list=train.FloatList(value=[answer]))
    floats = train.Feature(float_list=train.FloatList(value=row))
    return train.Example(
        features=train.Features(feature={"features": floats, "target": target})
    ).SerializeToString()


def main(argv=None):
    options = arguments().parse_args(argv)
    features, answers, task = load(options.data, options.target, options.task)
    target = "target" if options.data in BUNDLED else options.target
    train, test, train_answers, test_answers = split(
        features, answers, task, options.test_share, options.seed
    )
    schema = learn_schema(train, train_answers, task)
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
    for name, part, part_answers in (("train", train, train_answers), ("test", test, test_answers)):
        rows = tensorflow.data.Dataset.from_tensor_slices(encode(part, schema)).batch(options.batch_size)
        rows = rows.map(prepare, num_parallel_calls=tensorflow.data.AUTOTUNE).prefetch(1)
        done, blocks = 0, []
        with tensorflow.io.TFRecordWriter(str(folder / f"{name}.tfrecord")) as file:
            for block in rows.as_numpy_iterator():
                for row, answer in zip(block, part_answers[done : done + len(block)].tolist(), strict=True):
                    file.write(example(tensorflow, row, answer))
                blocks.append(block)
                done += len(block)
                print(f"{name}  rows {done}/{len(part)}")
        table = pandas.DataFrame(numpy.concatenate(blocks).astype("float64"), columns=names)
        table[target] = part_answers
        table.to_parquet(folder / f"{name}.parquet")
        print(f"wrote {folder / name}.parquet and .tfrecord: {len(table)} rows, {len(names)} features")
    save_metrics({"train_rows": len(train), "test_rows": len(test), "features": len(names)}, folder)


if __name__ == "__main__":
    sys.exit(run(main))
