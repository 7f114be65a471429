"""The controller of an optimization: a job that queues trials of a recipe as Optuna proposes them."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from jobs.client.batch import batch_of
from jobs.client.connection import Connection
from jobs.client.enqueue import enqueue
from jobs.client.recipes import Recipes
from jobs.client.resolve import resolve
from jobs.core.jobs import MIB, JobId
from jobs.core.kinds import JobKind
from jobs.core.ports import BadInput, NeverFits
from jobs.core.requests import NeedsRequest, SubmitRequest
from jobs.kinds import optimization_plan
from jobs.kinds.optimization import OptimizationPlan, argv
from jobs.store.intents import NewGroup

_MEM_BYTES = 256 * MIB
_GRACE_S = 15.0
_OF_TRIALS = ("name", "priority", "grace_s", "on_reboot", "checkpoint")


def queue_controller(
    request: SubmitRequest,
    params: Mapping[str, Sequence[str]],
    metric: str,
    trials: int,
    *,
    prunes: bool,
    connection: Connection,
    recipes: Recipes,
) -> JobId:
    """See `Jobs.optimize`. Raises BadInput, NeverFits, NoSuchJob."""
    if request.recipe is None:
        raise BadInput("--optimize needs a recipe: a command has no parameters.")
    if importlib.util.find_spec("optuna") is None:
        raise BadInput("--optimize needs Optuna.", "Install it: pip install 'cro-tui[optimize]'")
    recipe = recipes.get(request.recipe)
    here = Path.cwd()
    cwd = str(here / (request.cwd or "."))
    request = replace(request, cwd=cwd)
    plan = optimization_plan.plan(
        recipe, params, metric=metric, trials=trials, prunes=prunes, cwd=cwd,
        home=connection.environ.get("HOME", ""), exists=os.path.exists,
    )  # fmt: skip
    common = {name: getattr(request, name) for name in _OF_TRIALS} | {"cwd": cwd}
    plan = replace(plan, request=common, needs=asdict(request.needs))
    trial = resolve(_first_trial(plan, request), batch_of(connection, recipes, keep=False))
    batch = batch_of(connection, recipes, keep=True)
    beside = replace(trial.needs, mem_bytes=trial.needs.mem_bytes + _MEM_BYTES)
    if too_large := batch.too_large(beside):
        raise NeverFits(f"A trial beside its controller: {too_large}", "Ask for less.")
    home = connection.home
    wanted = SubmitRequest(
        argv=argv(sys.executable, str(home.data), str(home.settings_file), plan),
        name=f"optimize {request.name or recipe.name}",
        cwd=str(here),
        needs=NeedsRequest(mem_bytes=_MEM_BYTES),
        priority=request.priority,
        after=request.after,
        start_held=request.start_held,
        grace_s=_GRACE_S,
        on_reboot="requeue",
        kind=JobKind.OPTIMIZATION,
    )
    spec = resolve(wanted, batch)
    # It reserves no core: a trial that needs all of them could never start beside it.
    spec = replace(spec, needs=replace(spec.needs, cpus=0.0), explicit_needs=("cpus", "mem"))
    group = NewGroup(spec.name, trials, ((metric, plan.better),), optimized=True)
    return enqueue([spec], batch, connection, group=group)[0]


def _first_trial(plan: OptimizationPlan, request: SubmitRequest) -> SubmitRequest:
    """The trial at the lower end of every range."""
    first = {axis.name: axis.choices[0] if axis.choices else axis.low for axis in plan.space}
    return replace(request, params={**plan.fixed, **first})
