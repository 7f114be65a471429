"""Trains a Keras network so that it can stop after any step and resume to the same bits; stops early."""

from __future__ import annotations

import argparse
import math
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .checkpoints import Checkpoints
from .data import split
from .flags import number
from .job import output_folder, report, save_metrics
from .networks import Schema, encode, encode_targets, network_scores, save_network

if TYPE_CHECKING:
    import keras
    import pandas
    import tensorflow
    from numpy.typing import NDArray

Part = tuple[Any, Any]  # features and targets, or the arrays they were encoded into


def early_stopping_flags(parser: argparse.ArgumentParser, epochs: int, learning_rate: float) -> None:
    """--epochs, --patience, --batch-size, --learning-rate, --validation-share, with two defaults."""
    number(parser, "--epochs", epochs, (1, 10_000), "maximum passes over the training rows")
    number(parser, "--patience", 5, (1, 1000), "epochs without improvement before it stops")
    number(parser, "--batch-size", 32, (1, 65_536), "rows per step")
    number(parser, "--learning-rate", learning_rate, (1e-7, 10.0), "step size of the optimizer")
    number(parser, "--validation-share", 0.2, (0.05, 0.5), "fraction used for validation")


def three_parts(
    features: pandas.DataFrame, targets: NDArray[Any], task: str, options: argparse.Namespace
) -> tuple[Part, Part, Part]:
    """Training, validation and test rows, each with their targets."""
    train, test, train_targets, test_targets = split(
        features, targets, task, options.test_share, options.seed
    )
    train, watch, train_targets, watch_targets = split(
        train, train_targets, task, options.validation_share, options.seed
    )
    print(f"{task}: {len(train)} training rows, {len(watch)} to validate, {len(test)} held out")
    return (train, train_targets), (watch, watch_targets), (test, test_targets)


def train_and_save(
    model: keras.Model,
    schema: Schema,
    parts: tuple[Part, Part, Part],
    *,
    options: argparse.Namespace,
    checkpoints: Checkpoints,
    **more_metrics: float,
) -> None:
    """Fit the model with early stopping; save it with its metrics on the test rows."""
    known, watched, held_out = (
        (encode(rows, schema), encode_targets(targets, schema)) for rows, targets in parts
    )
    state = fit(model, known, watched, options, checkpoints)
    if state["ended"]:
        print(f"stopped after epoch {state['epoch']} without improvement; kept the best weights")
    folder = output_folder()
    save_network(model, schema, parts[0][0], folder)
    found = network_scores(model.predict(held_out[0], verbose=0), held_out[1], schema)
    save_metrics({**found, **more_metrics, "epochs": state["epoch"]}, folder)
    checkpoints.done()


def fit(
    model: keras.Model,
    known: Part,
    watched: Part,
    options: argparse.Namespace,
    checkpoints: Checkpoints,
) -> dict[str, Any]:
    """Fit the model to `known` and validate it on `watched`, from the checkpoint if there is one.

    With `options.patience` it stops early and keeps the best weights. Returns how far it came: `epoch`, and
    whether it `ended` early.
    """
    import tensorflow

    patience = getattr(options, "patience", None)
    per_epoch = math.ceil(len(known[1]) / options.batch_size)
    state: dict[str, Any] = {"epoch": 0, "step": 0, "ended": False}
    state.update(best=math.inf, best_epoch=0, best_weights=None)
    model.optimizer.build(model.trainable_variables)
    variables = [*model.variables, *model.optimizer.variables]  # with the dropout's random state
    if saved := checkpoints.load(options, tensorflow):
        state, values = saved
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        checkpoints.resumed(f"{state['epoch']} epochs and {state['step']} steps")

    class Follow(tensorflow.keras.callbacks.Callback):  # type: ignore[misc]
        def save_if_due(self) -> None:
            if checkpoints.due():
                checkpoints.save((state, [variable.numpy() for variable in variables]))

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            state["step"] += 1
            self.save_if_due()

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            self.save_if_due()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            state.update(epoch=epoch + 1, step=0)
            found = {name: float(value) for name, value in logs.items()}
            report(step=epoch + 1, progress=(epoch + 1) / options.epochs, phase="train", **found)
            if patience and logs["val_loss"] < state["best"]:
                weights = model.get_weights()
                state.update(best=logs["val_loss"], best_epoch=epoch + 1, best_weights=weights)
            state["ended"] = bool(patience) and epoch + 1 - state["best_epoch"] >= patience
            model.stop_training = state["ended"]
            self.save_if_due()

    def fit_until(epochs: int, steps: int) -> None:
        model.fit(
            batches(tensorflow, known, options, state["epoch"], state["step"]),
            initial_epoch=state["epoch"],
            epochs=epochs,
            steps_per_epoch=steps,
            shuffle=False,
            validation_data=watched,
            callbacks=[Follow()],
            verbose=2,
        )

    if state["step"] == per_epoch:  # stopped while it validated
        follow = Follow()
        found = model.evaluate(*watched, verbose=0, return_dict=True, callbacks=[follow])
        follow.on_epoch_end(state["epoch"], {f"val_{name}": value for name, value in found.items()})
    elif state["step"]:
        fit_until(state["epoch"] + 1, per_epoch - state["step"])
    if state["epoch"] < options.epochs and not state["ended"]:
        fit_until(options.epochs, per_epoch)
    if state["best_weights"] is not None:
        model.set_weights(state["best_weights"])
    return state


def batches(
    tensorflow: ModuleType, rows: Part, options: argparse.Namespace, epoch: int, step: int
) -> tensorflow.data.Dataset:
    """The training rows from that step of that epoch on; seed and epoch alone give their order."""
    dataset = tensorflow.data.Dataset
    positions = tensorflow.range(len(rows[1]))

    def of_epoch(epoch: Any) -> Any:
        seed = tensorflow.stack([tensorflow.constant(options.seed, "int64"), epoch])
        order = tensorflow.random.experimental.stateless_shuffle(positions, seed)
        return dataset.from_tensor_slices(order).batch(options.batch_size)

    rows = tensorflow.nest.map_structure(tensorflow.convert_to_tensor, rows)
    flat = dataset.range(epoch, options.epochs).flat_map(of_epoch).skip(step)
    return flat.map(
        lambda some: tensorflow.nest.map_structure(lambda column: tensorflow.gather(column, some), rows)
    ).prefetch(2)
