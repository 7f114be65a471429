"""From what a person asked for to the job that it means, or to one sentence for each field that is wrong.

Three steps in a row: what it runs, what it needs, and how it is treated. This happens once, at submit: a
job keeps the command that it was queued with.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jobs.client.batch import Batch
from jobs.client.command_line import CommandLine, of_recipe, of_words
from jobs.client.needs import explicit_needs, needs_of
from jobs.core.jobs import JobSpec, OnReboot
from jobs.core.ports import BadInput
from jobs.core.requests import SubmitRequest
from jobs.installation.settings import HIGHEST_PRIORITY, LOWEST_PRIORITY, DefaultSettings

if TYPE_CHECKING:
    from recipes.manifest import Recipe

LONGEST_NAME = 200
_MOST_WORDS = 100


class CannotResolve(BadInput):
    """`problems` has one sentence by field: a parameter, `cpus`, `mem`, `gpus`, `vram`, `time`, `recipe`,
    `command`, `cwd`, `priority`, `grace`, `on_reboot` or `env`."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(" ".join(problems.values()))
        self.problems = problems


def resolve_all(requests: Sequence[SubmitRequest], batch: Batch) -> list[JobSpec]:
    """The jobs that the requests mean. Raises BadInput, which says for which of several."""
    specs: list[JobSpec] = []
    last: SubmitRequest | None = None
    for number, request in enumerate(requests, 1):
        if request is last:  # a hundred alike are one look-up
            specs.append(specs[-1])
            continue
        try:
            specs.append(resolve(request, batch))
        except CannotResolve as error:
            if len(requests) == 1:
                raise
            raise BadInput(f"Job {number} of {len(requests)}: {error}") from error
        last = request
    return specs


def resolve(request: SubmitRequest, batch: Batch) -> JobSpec:
    """The job that a request means. Raises CannotResolve."""
    problems: dict[str, str] = {}
    cwd, cannot = batch.folder_of(request.cwd or ".")
    if cannot:
        problems["cwd"] = cannot
    environ = batch.environ if request.env is None else request.env
    _check(request, problems)
    found = None if request.recipe is None else batch.recipe_of(request.recipe)
    recipe = None if isinstance(found, str) else found
    grace_s, on_reboot, checkpoint = _treatment(request, recipe, batch.defaults)

    if isinstance(found, str):
        problems["recipe"], command = found, CommandLine((), request.kind)
    elif recipe is None:
        command = of_words(request, batch, problems, cwd=cwd, environ=environ)
    else:
        command = of_recipe(recipe, request, batch, problems, cwd=cwd, environ=environ)

    needs = needs_of(request.needs, recipe, batch.defaults, problems)

    if problems:
        raise CannotResolve(problems)
    argv = command.argv
    inputs = argv[1:] if recipe is None else [value for _, value in command.params]
    return JobSpec(
        name=(request.name or request.recipe or os.path.basename(argv[0]) or argv[0])[:LONGEST_NAME],
        argv=argv,
        cwd=cwd,
        env_digest=batch.digest_of(environ),
        needs=needs,
        priority=batch.defaults.priority if request.priority is None else request.priority,
        after=tuple(dict.fromkeys(request.after)),
        recipe=None if recipe is None else recipe.name,
        params=command.params,
        framework=command.framework,
        warm=recipe is None or recipe.warm,
        grace_s=grace_s,
        on_reboot=on_reboot,
        start_held=request.start_held,
        user=batch.user,
        checkpoint=checkpoint,
        explicit_needs=explicit_needs(request.needs),
        secrets=command.secrets,
        input_bytes=sum(batch.size_of(cwd, word) for word in inputs[:_MOST_WORDS]),
        kind=command.kind,
    )


def _treatment(
    request: SubmitRequest, recipe: Recipe | None, defaults: DefaultSettings
) -> tuple[float, OnReboot, bool]:
    """Its grace time, what becomes of it at a restart of the machine, and whether it promises to save: what
    the person said, else the recipe."""
    grace_s, on_reboot, checkpoint = request.grace_s, request.on_reboot, request.checkpoint
    if recipe is not None:
        grace_s = recipe.grace_s if grace_s is None else grace_s
        on_reboot = recipe.on_reboot.value if on_reboot is None else on_reboot
        checkpoint = recipe.checkpoint if checkpoint is None else checkpoint
    return (
        float(defaults.grace_s if grace_s is None else grace_s),
        OnReboot.REQUEUE if on_reboot == OnReboot.REQUEUE else OnReboot.FAIL,
        bool(checkpoint),
    )


def _check(request: SubmitRequest, problems: dict[str, str]) -> None:
    """What can be said of the request by itself."""
    priority, grace_s, on_reboot = request.priority, request.grace_s, request.on_reboot
    if priority is not None and not (
        isinstance(priority, int) and LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY
    ):
        problems["priority"] = f"The priority must be a whole number from 0 to 100, not {priority}."
    if grace_s is not None and not (math.isfinite(grace_s) and grace_s >= 0):
        problems["grace"] = "The grace time must be 0 seconds or more."
    if on_reboot is not None and on_reboot not in {each.value for each in OnReboot}:
        problems["on_reboot"] = f"on_reboot must be requeue or fail, not {on_reboot!r}."
    for name, value in (request.env or {}).items():
        if "\0" in name or "\0" in value or "=" in name or not name:
            problems["env"] = "A variable's name or value holds a character that the system cannot pass on."
