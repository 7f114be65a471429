"""Keras networks: from a table to arrays, building, scores, saving and loading.

A saved model is `model.keras`; beside it `model.json`, the schema, says which columns it takes and what its
outputs mean: task, numbers (mean and variance of each), words (of each column), classes, answers (mean and
deviation of a target that is a number).
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .data import is_prose
from .job import BadData, cpus, output_folder
from .models import report_model

if TYPE_CHECKING:
    import keras
    import pandas
    from numpy.typing import NDArray

Schema = dict[str, Any]
MAX_WORDS = 30  # of a column that become 0/1 columns


def start_tensorflow(seed: int) -> ModuleType:
    """TensorFlow with the cores granted, and the same numbers for the same seed."""
    tensorflow: ModuleType = import_tensorflow(output_folder() / "tensorflow.log")
    tensorflow.config.threading.set_intra_op_parallelism_threads(cpus())
    tensorflow.config.threading.set_inter_op_parallelism_threads(cpus())
    tensorflow.keras.utils.set_random_seed(seed)
    tensorflow.config.experimental.enable_op_determinism()
    return tensorflow


def import_tensorflow(log: Path) -> Any:
    """The module. What it prints to stderr while it starts goes to a file, and is shown if it fails."""
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


def learn_schema(features: pandas.DataFrame, targets: NDArray[Any], task: str) -> Schema:
    """The schema of the training rows, as JSON values."""
    import numpy

    if features.shape[1] and all(is_prose(column) for _, column in features.items()):
        raise BadData("there are only texts: sklearn_text and tf_text learn from them")
    schema: Schema = {"task": task, "numbers": {}, "words": {}, "classes": [], "answers": [0.0, 1.0]}
    for name, column in features.items():
        if column.dtype == "float64":
            known = column.dropna()
            mean, variance = (known.mean(), known.var(ddof=0) or 1.0) if len(known) else (0.0, 1.0)
            schema["numbers"][name] = [float(mean), float(variance)]
        else:
            schema["words"][name] = [str(word) for word in column.value_counts().index[:MAX_WORDS]]
    if task == "classification":
        schema["classes"] = numpy.unique(targets).tolist()
    else:
        schema["answers"] = [float(numpy.mean(targets)), float(numpy.std(targets)) or 1.0]
    return schema


def encode(features: pandas.DataFrame, schema: Schema) -> dict[str, NDArray[Any]]:
    """The arrays that the model takes: one for all numbers, and one for each column of words."""
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


def encode_targets(targets: NDArray[Any], schema: Schema) -> NDArray[Any]:
    """Targets as the network learns them: numbers, or positions in the classes (-1: not among them)."""
    import numpy

    if schema["task"] == "regression":
        return numpy.asarray(targets, dtype=numpy.float32)
    positions = {name: position for position, name in enumerate(schema["classes"])}
    return numpy.array([positions.get(target, -1) for target in targets.tolist()])


def prepared_inputs(keras: ModuleType, schema: Schema) -> tuple[dict[str, Any], Any]:
    """Input layers, and one tensor of scaled numbers (gaps become the mean) and 0/1 columns for words."""
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


def network(
    keras: ModuleType, inputs: Any, tensor: Any, schema: Schema, learning_rate: float
) -> keras.Model:
    """The compiled model: the given tensor, then an output for each class, or one number."""
    if schema["task"] == "classification":
        outputs = keras.layers.Dense(len(schema["classes"]), activation="softmax")(tensor)
    else:
        mean, deviation = schema["answers"]
        outputs = keras.layers.Rescaling(deviation, offset=mean)(keras.layers.Dense(1)(tensor))
    return compiled(keras, keras.Model(inputs, outputs), schema, learning_rate)


def compiled(keras: ModuleType, model: keras.Model, schema: Schema, learning_rate: float) -> keras.Model:
    """The same model with Adam, and the loss and metric of its task."""
    classifies = schema["task"] == "classification"
    loss, metric = ("sparse_categorical_crossentropy", "accuracy") if classifies else ("mse", "mae")
    model.compile(keras.optimizers.Adam(learning_rate), loss, metrics=[metric])
    return model


def network_scores(outputs: NDArray[Any], targets: NDArray[Any], schema: Schema) -> dict[str, float]:
    """The metrics of a network's outputs, given the encoded targets."""
    import numpy

    if schema["task"] == "regression":
        error = numpy.asarray(outputs, dtype=float).reshape(-1) - targets
        spread = float(((targets - targets.mean()) ** 2).sum())
        r2 = 1 - float((error**2).sum()) / spread if spread else math.nan
        return {"r2": r2, "mae": abs(error).mean(), "rmse": math.sqrt((error**2).mean())}
    known = targets >= 0
    probabilities = numpy.clip(outputs[known, targets[known]], 1e-7, 1)
    return {
        "accuracy": (outputs.argmax(axis=1) == targets).mean(),
        "log_loss": -numpy.log(probabilities).mean() if len(probabilities) else math.nan,
    }


def save_network(model: keras.Model, schema: Schema, rows: pandas.DataFrame, folder: Path) -> None:
    """Write `model.keras` and `model.json`; `rows` are the features that it learned from."""
    model.save(folder / "model.part.keras")
    (folder / "model.json.part").write_text(json.dumps(schema, indent=1) + "\n")
    (folder / "model.json.part").replace(folder / "model.json")
    (folder / "model.part.keras").replace(folder / "model.keras")
    report_model("model.keras", "keras", rows)
    print(f"wrote {folder / 'model.keras'}")


def read_schema(path: str) -> Schema:
    """The schema beside a saved model."""
    if not Path(path).is_file():
        raise BadData(f"there is no file {path}: --model is the model.keras of a train recipe")
    if not zipfile.is_zipfile(path):
        raise BadData(f"{path} is not a Keras model: it is not a .keras archive")
    beside = Path(path).with_suffix(".json")
    try:
        schema: Schema = json.loads(beside.read_text())
        kinds = {"task": str, "numbers": dict, "words": dict, "classes": list, "answers": list}
        if all(isinstance(schema[key], kind) for key, kind in kinds.items()):
            return schema
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise BadData(f"{beside} is missing or damaged: a train recipe writes it beside the model")


def read_network(tensorflow: ModuleType, path: str) -> keras.Model:
    """The saved model, loaded in Keras's safe mode: the file can hold layers, but no code."""
    try:
        return tensorflow.keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise BadData(f"{path} is not a model that can be loaded here: {error!r}") from error
