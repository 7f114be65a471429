"""Optuna, asked and told: what to try next, and whether a running trial is worth its end.

The only file that imports Optuna. In memory alone: what happened is told again from the job store.
"""

from __future__ import annotations

from collections.abc import Mapping

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from jobs.core.jobs import ParamValue
from jobs.kinds.optimization import OptimizationPlan, SearchAxis, TrialOutcome


class Study:
    """One optimisation. `seed` should differ after a restart, else the same points are proposed again."""

    def __init__(self, plan: OptimizationPlan, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        startup = max(3, min(10, plan.trials // 4))
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup, constant_liar=True)
        pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
        if plan.prunes:
            pruner = optuna.pruners.MedianPruner(n_startup_trials=plan.startup)
        direction = "maximize" if plan.better == "max" else "minimize"
        self._study = optuna.create_study(direction=direction, sampler=sampler, pruner=pruner)
        self._space = {axis.name: _distribution(axis) for axis in plan.space}
        self._trials: list[optuna.trial.Trial] = []
        self._reported: list[set[int]] = []

    def ask(self, known: Mapping[str, ParamValue] | None = None) -> tuple[int, dict[str, ParamValue]]:
        """The next trial's number (from 0) and parameters; with `known` those of one that is there."""
        if known is not None:
            self._study.enqueue_trial({name: known[name] for name in self._space})
        trial = self._study.ask(self._space)
        self._trials.append(trial)
        self._reported.append(set())
        return len(self._trials) - 1, dict(trial.params)

    def report(self, number: int, points: Mapping[int, float]) -> None:
        """What a trial has reported so far: the metric by step."""
        seen = self._reported[number]
        for step, value in points.items():
            if step not in seen:
                seen.add(step)
                self._trials[number].report(value, step)

    def is_worse(self, number: int) -> bool:
        """Whether the pruner would stop it, by its last step."""
        return bool(self._reported[number]) and self._trials[number].should_prune()

    def tell(self, number: int, outcome: TrialOutcome) -> None:
        state = optuna.trial.TrialState
        if outcome.value is not None:
            self._study.tell(self._trials[number], outcome.value)
        else:
            self._study.tell(self._trials[number], state=state.PRUNED if outcome.pruned else state.FAIL)


def _distribution(axis: SearchAxis) -> BaseDistribution:
    if axis.choices:
        return CategoricalDistribution(axis.choices)
    if isinstance(axis.low, int) and isinstance(axis.high, int):
        return IntDistribution(axis.low, axis.high, log=axis.log)
    return FloatDistribution(float(axis.low), float(axis.high), log=axis.log)
