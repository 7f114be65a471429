"""Linear scikit-learn models: cross-validated, and fitted in steps between which they can be stopped."""

from __future__ import annotations

import argparse
import warnings
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from .checkpoints import Checkpoints
from .flags import number, task_flag
from .job import BadData, report
from .pipelines import pipeline_scores

if TYPE_CHECKING:
    import pandas
    from numpy.typing import NDArray
    from sklearn.base import BaseEstimator
    from sklearn.pipeline import Pipeline

CELLS = 10**9  # rows x columns x classes that the solver covers in about a second


def linear_flags(parser: argparse.ArgumentParser, c: float) -> None:
    """--task, --c, --folds, --max-iter; `c` is the default strength."""
    task_flag(parser)
    number(parser, "--c", c, (1e-6, 1e6), "inverse regularization strength")
    number(parser, "--folds", 5, (2, 20), "folds of the cross-validation")
    number(parser, "--max-iter", 500, (10, 100_000), "maximum iterations of the solver")


def enough_for(folds: int, targets: NDArray[Any], task: str) -> None:
    """Raise BadData if some fold would lack rows, or a class."""
    import numpy

    if task == "classification":
        fewest = numpy.unique(targets, return_counts=True)[1].min()
        if fewest < folds:
            raise BadData(f"{folds} folds need {folds} rows of each class, one has {fewest}: lower --folds")
    elif len(targets) < folds:
        raise BadData(f"{folds} folds need {folds} rows, there are {len(targets)}: lower --folds")


def fit_linear(
    prepare: BaseEstimator,
    train: pandas.DataFrame,
    targets: NDArray[Any],
    task: str,
    *,
    options: argparse.Namespace,
    checkpoints: Checkpoints,
) -> tuple[Pipeline, dict[str, float]]:
    """The pipeline fitted to all these rows, and its mean score in the cross-validation.

    Logistic regression for classes, ridge regression for numbers.
    """
    import numpy
    import sklearn
    from sklearn.base import clone
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.model_selection import KFold, StratifiedKFold
    from sklearn.pipeline import make_pipeline

    warnings.simplefilter("ignore", ConvergenceWarning)
    enough_for(options.folds, targets, task)
    classifies = task == "classification"
    if classifies:
        estimator = LogisticRegression(C=options.c, max_iter=options.max_iter, random_state=options.seed)
    else:
        estimator = Ridge(alpha=1 / options.c, max_iter=options.max_iter, random_state=options.seed)
    model = make_pipeline(prepare, estimator)
    fresh = {"estimator": None, "steps": 0}
    state = checkpoints.load(options, sklearn) or {"found": [], **fresh}
    found = state["found"]
    if found or state["steps"]:
        checkpoints.resumed(f"{len(found)} folds and {state['steps']} iterations of the solver")
    main_score = "accuracy" if classifies else "r2"
    kind = StratifiedKFold if classifies else KFold
    folds = kind(options.folds, shuffle=True, random_state=options.seed).split(train, targets)
    for fold, (inside, outside) in enumerate(folds, 1):
        if fold <= len(found):
            continue
        fitted = fit_in_steps(clone(model), train.iloc[inside], targets[inside], state, checkpoints)
        found.append(pipeline_scores(fitted, train.iloc[outside], targets[outside], task)[main_score])
        state.update(fresh)
        done = fold / (options.folds + 1)
        report(step=fold, progress=done, phase="cross-validation", **{main_score: found[-1]})
        print(f"fold {fold}/{options.folds}  {main_score} {found[-1]:.4f}")
        if checkpoints.due():
            checkpoints.save(state)
    report(phase="train")
    model = fit_in_steps(model, train, targets, state, checkpoints)
    if state["steps"] >= options.max_iter:
        print(f"note: the solver stopped after {options.max_iter} iterations; raise --max-iter")
    return model, {f"cv_{main_score}": numpy.mean(found)}


def fit_in_steps(
    model: Pipeline,
    rows: pandas.DataFrame,
    targets: NDArray[Any],
    state: dict[str, Any],
    checkpoints: Checkpoints,
) -> Pipeline:
    """The fitted pipeline; `state` has what is done of it, and is kept up to date.

    The solver runs a few seconds' worth of iterations at a time. How many follows from the size of the data
    alone, so a run that was stopped takes the same steps as one that was not.
    """
    from sklearn.pipeline import make_pipeline

    prepare, estimator = model[:-1], model[-1]
    with checkpoints.interruptible(state):
        known = prepare.fit_transform(rows)
    most = estimator.max_iter
    if not hasattr(estimator, "C"):  # ridge regression has no iterations to stop between
        return make_pipeline(prepare, estimator.fit(known, targets))
    size = int(min(100, max(10, CELLS // (known.size * len(set(targets))))))
    while True:
        partial = deepcopy(state["estimator"] or estimator)
        steps = min(size, most - state["steps"])
        with checkpoints.interruptible(state):
            partial.set_params(warm_start=True, max_iter=steps).fit(known, targets)
        taken = int(max(partial.n_iter_))
        state.update(estimator=partial, steps=state["steps"] + taken)
        if taken < steps or state["steps"] >= most:
            partial.set_params(warm_start=False, max_iter=most)
            return make_pipeline(prepare, partial)
        if checkpoints.due():
            checkpoints.save(state)
