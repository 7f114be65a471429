"""The kinds of jobs, and in one table how the row, the forecast and the actions of each differ.

Pure. What a kind needs besides (the plan of an optimization, the address of a service) is in `jobs.kinds`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class JobKind(StrEnum):
    """Which program a job runs; fixed at submit."""

    COMMAND = "command"
    RECIPE = "recipe"
    NOTEBOOK = "notebook"
    SERVICE = "service"  # a registered model that answers over HTTP
    OPTIMIZATION = "optimization"  # the controller that queues trials
    ENVIRONMENT = "environment"  # the build of a recipe's packages

    @property
    def traits(self) -> KindTraits:
        """How jobs of this kind differ from a plain command."""
        return _TRAITS[self]


@dataclass(frozen=True, slots=True)
class KindTraits:
    """How jobs of one kind differ from others.

    Row: `noun` names such a job in a sentence. One without an end shows no remaining time.
    Forecast: one that does not end (`has_end` False) is planned to run for ever, and teaches no run time.
    Actions: only where `leaves_model` can its model be registered.
    """

    noun: str
    has_end: bool = True
    leaves_model: bool = True


_TRAITS = {
    JobKind.COMMAND: KindTraits("a command"),
    JobKind.RECIPE: KindTraits("a recipe"),
    JobKind.NOTEBOOK: KindTraits("a notebook"),
    JobKind.SERVICE: KindTraits("a service", has_end=False, leaves_model=False),
    JobKind.OPTIMIZATION: KindTraits("an optimization", leaves_model=False),
    JobKind.ENVIRONMENT: KindTraits("the build of an environment", leaves_model=False),
}
