"""Optimisations, as a front end asks for them: a recipe, ranges, and a metric to make better."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from jobs.client.groups import Grouping
from jobs.core.jobs import MIB, JobId
from jobs.core.kinds import JobKind
from jobs.core.ports import BadInput, NeverFits
from jobs.core.requests import NeedsRequest, SubmitRequest
from jobs.store.intents import NewGroup

_MEM_BYTES = 256 * MIB
_GRACE_S = 15.0
_OF_TRIALS = ("name", "priority", "grace_s", "on_reboot", "checkpoint")


class Optimizing(Grouping):
    def optimize(
        self,
        request: SubmitRequest,
        params: Mapping[str, Sequence[str]],
        metric: str,
        trials: int,
        *,
        prunes: bool = True,
    ) -> JobId:
        """Queue the controller of an optimisation, which queues so many trials of the request's recipe.

        `params` has the texts of each parameter: several are a choice, `LOW..HIGH` (or `:log`) a range.
        The request's hold and dependencies are the controller's. Raises BadInput, NeverFits, NoSuchJob.
        """
        import importlib.util
        import os

        if request.recipe is None:
            raise BadInput("--optimize needs a recipe: a command has no parameters.")
        if importlib.util.find_spec("optuna") is None:
            raise BadInput("--optimize needs Optuna.", "Install it: pip install 'cro-tui[optimize]'")
        from jobs.kinds import optimization_plan
        from jobs.kinds.optimization import argv

        here = Path.cwd()
        cwd = str(here / (request.cwd or "."))
        recipe = self.recipe(request.recipe)
        home = self._environ.get("HOME", "")
        plan = optimization_plan.plan(
            recipe, params, metric=metric, trials=trials, prunes=prunes, cwd=cwd, home=home,
            exists=os.path.exists,
        )  # fmt: skip
        common = {name: getattr(request, name) for name in _OF_TRIALS} | {"cwd": cwd}
        plan = replace(plan, request=common, needs=asdict(request.needs))
        resolver = self._resolver()
        first = {axis.name: axis.choices[0] if axis.choices else axis.low for axis in plan.space}
        trial = replace(request, params={**plan.fixed, **first}, cwd=cwd)
        spec, problems = resolver.resolve(trial, keep=False)
        if spec is None:
            raise BadInput(" ".join(problems.values()))
        from jobs.policy.limits import never_fits

        beside = replace(spec.needs, mem_bytes=spec.needs.mem_bytes + _MEM_BYTES)
        if tight := never_fits(self.capacity(), self.settings.admission, beside):
            from jobs.client.forecast import sentences

            raise NeverFits(f"A trial beside its controller: {sentences(tight)}", "Ask for less.")
        command = argv(sys.executable, str(self.home.data), str(self.home.settings_file), plan)
        controller, problems = resolver.resolve(
            SubmitRequest(
                argv=command,
                name=f"optimize {request.name or recipe.name}",
                cwd=str(here),
                needs=NeedsRequest(mem_bytes=_MEM_BYTES),
                priority=request.priority,
                after=request.after,
                start_held=request.start_held,
                grace_s=_GRACE_S,
                on_reboot="requeue",
                kind=JobKind.OPTIMIZATION,
            ),
            keep=True,
        )
        if controller is None:
            raise BadInput(" ".join(problems.values()))
        # It reserves no core: a trial that needs all of them could never start beside it.
        needs = replace(controller.needs, cpus=0.0)
        group = NewGroup(controller.name, trials, ((metric, plan.better),), optimized=True)
        return self._queue([replace(controller, needs=needs, explicit_needs=("cpus", "mem"))], group=group)[
            0
        ]
