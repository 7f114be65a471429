"""The nouns of an optimisation, and how its controller is told from other jobs: by its command line.

Pure values. The plan stands in the controller's command, so that it is stored with the job and comes back
with it; what became of the trials is in the job store alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from jobs.core.jobs import Failed, Job, ParamValue, Succeeded
from jobs.core.kinds import JobKind
from jobs.core.sweeps import is_pruned, score
from jobs.core.versions import read_as

PROGRAM = ("-P", "-m", "jobs.programs.optimizer")
MOST_TRIALS = 10_000
AHEAD = 2  # trials that wait at any time, so that the scheduler never runs dry


@dataclass(frozen=True, slots=True)
class SearchAxis:
    """One parameter that is searched: from `low` to `high` (both included), or one of `choices`."""

    name: str
    low: int | float = 0
    high: int | float = 0
    log: bool = False
    choices: tuple[ParamValue, ...] = ()


@dataclass(frozen=True, slots=True)
class OptimizationPlan:
    """What is searched, and what every trial has in common.

    `better` is "max" or "min". `fixed` are parameters that stay as they are. `request` has the fields of a
    `SubmitRequest` that are not its parameters, and `needs` those of its `NeedsRequest`.
    """

    recipe: str
    metric: str
    better: str
    trials: int
    space: tuple[SearchAxis, ...]
    fixed: Mapping[str, ParamValue] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    needs: Mapping[str, Any] = field(default_factory=dict)
    prunes: bool = True

    @property
    def startup(self) -> int:
        """So many trials must have ended well before one is stopped for being worse."""
        return max(2, min(5, self.trials // 5))


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """What an ended trial is told as: a value, pruned, or (neither) failed."""

    value: float | None = None
    pruned: bool = False


def outcome(job: Job, metric: str) -> TrialOutcome:
    if isinstance(job.state, Succeeded):
        return TrialOutcome(score(job, metric))
    return TrialOutcome(pruned=is_pruned(job))


def why_failed(job: Job, metric: str) -> str:
    """One phrase for a trial that counts for nothing."""
    if isinstance(job.state, Succeeded):
        return f"it left no {metric}"
    if isinstance(job.state, Failed):
        return job.state.cause or "it failed"
    return job.state.name.value.replace("_", " ")


def trial_name(plan: OptimizationPlan, number: int, params: Mapping[str, ParamValue]) -> str:
    """What a trial is called: its recipe, its number and what was proposed; numbers in four digits."""
    said = [
        f"{axis.name}={value:.4g}"
        if isinstance(value := params[axis.name], float)
        else f"{axis.name}={value}"
        for axis in plan.space
    ]
    base = plan.request.get("name") or plan.recipe
    return " ".join([f"{base} t{number}", *said])


def argv(python: str, data: str, settings: str, plan: OptimizationPlan) -> tuple[str, ...]:
    """The command of a controller."""
    return (python, *PROGRAM, "--data", data, "--settings", settings, json.dumps(asdict(plan)))


def is_controller(job: Job) -> bool:
    return job.spec.kind is JobKind.OPTIMIZATION


def plan_of(job: Job) -> OptimizationPlan | None:
    """The plan of a controller; None where it cannot be read."""
    if not is_controller(job):
        return None
    try:
        table = json.loads(job.spec.argv[-1])
        table["space"] = tuple(
            read_as(SearchAxis, {**each, "choices": tuple(each["choices"])}) for each in table["space"]
        )
        plan = read_as(OptimizationPlan, table)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return plan if isinstance(plan.trials, int) and 0 < plan.trials <= MOST_TRIALS else None


def in_sweep(job: Job) -> bool:
    """Whether there are figures of a sweep or an optimisation that it belongs to."""
    return job.spec.group is not None or is_controller(job)
