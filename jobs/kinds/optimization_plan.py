"""From what a person typed to the plan of an optimisation, or one clear sentence. Pure but for `exists`.

`50..200` is a range, `1e-4..1e-1:log` one whose factors count alike, `a,b,c` a choice, anything else fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from jobs.core.jobs import ParamValue
from jobs.core.ports import BadInput
from jobs.kinds.optimization import MOST_TRIALS, OptimizationPlan, SearchAxis
from recipes.model import Param, ParamType, Recipe
from recipes.params import validate

_NUMBERS = frozenset({ParamType.INT, ParamType.FLOAT})


def plan(
    recipe: Recipe,
    params: Mapping[str, Sequence[str]],
    *,
    metric: str,
    trials: int,
    prunes: bool,
    cwd: str,
    home: str,
    exists: Callable[[str], bool],
) -> OptimizationPlan:
    """The plan, without what the trials are to be queued with. Raises BadInput."""
    better = _better(recipe, metric)
    if not 1 <= trials <= MOST_TRIALS:
        raise BadInput(f"The number of trials must be from 1 to {MOST_TRIALS:,}, not {trials}.")
    ends = {name: _ends(recipe.param(name), values) for name, values in params.items()}
    first = {name: found[0] for name, found in ends.items()}

    def checked(values: Mapping[str, ParamValue]) -> Mapping[str, ParamValue]:
        typed, wrong = validate(recipe, values, cwd=cwd, home=home, exists=exists)
        if wrong:
            raise BadInput(" ".join(wrong.values()))
        return typed

    typed = checked(first)
    space = tuple(
        _axis(name, params[name], [checked(first | {name: value})[name] for value in found])
        for name, found in ends.items()
        if len(found) > 1
    )
    if not space:
        raise BadInput(
            "--optimize chooses among values, and no parameter has several.",
            "Give one a range or a list, like -p NAME=50..200 or -p NAME=a,b.",
        )
    searched = {axis.name for axis in space}
    fixed = {name: value for name, value in typed.items() if name not in searched}
    return OptimizationPlan(recipe.name, metric, better, trials, space, fixed, prunes=prunes)


def _better(recipe: Recipe, metric: str) -> str:
    known = dict(recipe.metrics)
    if metric in known:
        return known[metric]
    told = f"It says so of {', '.join(known)}." if known else 'Add metrics = { NAME = "max" } to it.'
    raise BadInput(
        f"The header of {recipe.name} does not say which end of {metric[:40]!r} is better.", told
    )


def _ends(param: Param | None, values: Sequence[str]) -> Sequence[str]:
    """The two ends of a range, else the values as they are."""
    text = values[0]
    if len(values) > 1 or param is None or param.type not in _NUMBERS or ".." not in text:
        return values
    low, _, high = text.partition("..")
    high, colon, word = high.partition(":")
    if (colon and word.strip() != "log") or not low.strip() or not high.strip() or ".." in high:
        raise BadInput(
            f"{param.name}: {text[:40]!r} is no range.",
            f"Write it like {param.name}=LOW..HIGH or LOW..HIGH:log.",
        )
    return low.strip(), high.strip()


def _axis(name: str, values: Sequence[str], typed: Sequence[ParamValue]) -> SearchAxis:
    if len(values) > 1:
        return SearchAxis(name, choices=tuple(dict.fromkeys(typed)))
    low, high = typed
    assert isinstance(low, (int, float)) and isinstance(high, (int, float))
    log = values[0].rstrip().endswith("log")
    if low >= high:
        raise BadInput(f"{name}: the range {values[0][:40]} is empty: the smaller number comes first.")
    if log and low <= 0:
        raise BadInput(f"{name}: a range with :log must begin above 0, and this one begins at {low}.")
    return SearchAxis(name, low, high, log)
