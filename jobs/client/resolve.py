"""From what a person asked for to the job that it means, or to one sentence for each field that is wrong.

Three steps in a row: what it runs, what it needs, and how it is treated. This happens once, at submit: a
job keeps the command that it was queued with.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from jobs.client.batch import Batch
from jobs.client.command_line import of_recipe, of_words
from jobs.client.needs import explicit_needs, needs_of
from jobs.core.jobs import JobSpec, OnReboot
from jobs.core.ports import BadInput
from jobs.core.requests import SubmitRequest
from jobs.installation.settings import HIGHEST_PRIORITY, LOWEST_PRIORITY

LONGEST_NAME = 200


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
    cwd = _folder(request.cwd or ".", problems)
    environ = batch.environ if request.env is None else request.env
    _check(request, problems)

    if request.recipe is None:
        command = of_words(request, cwd, environ, problems)
    else:
        command = of_recipe(request, cwd, environ, batch, problems)

    needs = needs_of(request.needs, command.needs, batch.defaults, problems)

    if problems:
        raise CannotResolve(problems)
    argv, grace_s, defaults = command.argv, request.grace_s, batch.defaults
    if grace_s is None:
        grace_s = defaults.grace_s if command.grace_s is None else command.grace_s
    return JobSpec(
        name=(request.name or request.recipe or os.path.basename(argv[0]) or argv[0])[:LONGEST_NAME],
        argv=argv,
        cwd=cwd,
        env_digest=batch.digest_of(environ),
        needs=needs,
        priority=defaults.priority if request.priority is None else request.priority,
        after=tuple(dict.fromkeys(request.after)),
        recipe=command.recipe,
        params=command.params,
        framework=command.framework,
        warm=command.warm,
        grace_s=float(grace_s),
        on_reboot=OnReboot(request.on_reboot or command.on_reboot),
        start_held=request.start_held,
        user=batch.user,
        checkpoint=command.checkpoint if request.checkpoint is None else request.checkpoint,
        explicit_needs=explicit_needs(request.needs),
        secrets=command.secrets,
        input_bytes=command.input_bytes,
    )


def _folder(cwd: str, problems: dict[str, str]) -> str:
    """The working directory, absolute."""
    if not cwd.startswith("/"):
        try:
            here = str(Path.cwd())
            cwd = here if cwd == "." else os.path.join(here, cwd)
        except FileNotFoundError:
            problems["cwd"] = "The working directory is gone: change to another one."
            return "/"
    if "\0" in cwd or not os.path.isdir(cwd):
        problems["cwd"] = f"The working directory {cwd!r} does not exist: name one that does."
    elif not os.access(cwd, os.X_OK):
        problems["cwd"] = f"The working directory {cwd!r} cannot be entered: name another one."
    return cwd


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
