"""From what a person asked for to a JobSpec, or to one sentence for each field that is wrong.

Recipes are resolved here, once, at submit: a job keeps the command it was queued with. Looks at files and
PATH, writes only the captured environment, and that only when asked to.
"""

from __future__ import annotations

import math
import os
import pwd
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.client.recipe_command import command_line
from jobs.core.jobs import Job, JobId, JobSpec, Needs, OnReboot, ParamValue
from jobs.core.kinds import JobKind
from jobs.core.ports import BadInput
from jobs.core.requests import NeedsRequest, SubmitRequest
from jobs.installation.home import Home
from jobs.installation.settings import HIGHEST_PRIORITY, LOWEST_PRIORITY, Settings
from jobs.store import captured_variables
from jobs.store.secrets import wanted as wanted_secrets

if TYPE_CHECKING:
    from recipes.discover import Catalogue
    from recipes.manifest import Recipe

LONGEST_NAME = 200
_MOST_WORDS = 100
_FIELDS = {
    "cpus": "cpus",
    "mem_bytes": "mem",
    "gpus": "gpus",
    "gpu_mem_bytes": "vram",
    "time_limit_s": "time",
}
_LEARNABLE = ("cpus", "mem_bytes", "gpu_mem_bytes")


class Resolver:
    """Resolves a batch of requests; remembers what it looked up, so make a new one for each batch."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        environ: Mapping[str, str],
        catalogue: Callable[[], Catalogue],
    ) -> None:
        self._home = home
        self._settings = settings
        self._environ = environ
        self._catalogue = catalogue
        self._digests: dict[int, str] = {}
        self._known_needs: dict[tuple[NeedsRequest, str | None], Needs] = {}
        self._commands: dict[tuple[str, str, str], str | None] = {}
        self._folders: dict[str, str | None] = {}
        self._sizes: dict[str, int] = {}
        self._pythons: dict[Path, str] = {}
        self._here = ""
        self._user = _user(os.getuid())

    def resolve(self, request: SubmitRequest, *, keep: bool) -> tuple[JobSpec | None, dict[str, str]]:
        """The job, or the problems by field. `keep` writes the environment's file; a preview does not."""
        problems: dict[str, str] = {}
        cwd = self._cwd(request, problems)
        environ = self._environ if request.env is None else request.env
        recipe: Recipe | None = None
        argv = tuple(request.argv)
        params: tuple[tuple[str, ParamValue], ...] = ()
        secrets: tuple[str, ...] = ()
        if request.recipe is not None:
            if argv:
                problems["command"] = "Give a recipe or a command, not both."
            found = self._recipe(request.recipe)
            if isinstance(found, str):
                problems["recipe"] = found
            else:
                recipe = found
                python = self._python(recipe, problems, keep=keep)
                params, argv = command_line(recipe, python, request, cwd, environ, problems)
                secrets, missing = wanted_secrets(self._home.secrets, recipe.secrets, environ)
                if missing:
                    problems.setdefault("recipe", missing)
        elif request.params:
            problems["recipe"] = "Parameters belong to a recipe: name one, or put them into the command."
        else:
            self._check_command(argv, cwd, environ, problems)
        asked = request.needs, recipe.name if recipe else None
        needs = self._known_needs.get(asked)
        if needs is None:
            needs = self._needs(request.needs, recipe, problems)
            if not problems:
                self._known_needs[asked] = needs
        grace_s = request.grace_s
        if grace_s is None:
            grace_s = recipe.grace_s if recipe and recipe.grace_s is not None else None
        if grace_s is None:
            grace_s = self._settings.defaults.grace_s
        priority = self._settings.defaults.priority if request.priority is None else request.priority
        _check_rest(request, priority, grace_s, problems)
        on_reboot = request.on_reboot
        if on_reboot is None:
            on_reboot = recipe.on_reboot.value if recipe else OnReboot.FAIL
        checkpoint = request.checkpoint
        if checkpoint is None:
            checkpoint = recipe is not None and recipe.checkpoint
        if problems:
            return None, problems
        return (
            JobSpec(
                name=_name(request, argv),
                argv=argv,
                cwd=cwd,
                env_digest=self._digest(environ) if keep else "",
                needs=needs,
                priority=priority,
                after=tuple(dict.fromkeys(request.after)),
                recipe=recipe.name if recipe else None,
                params=params,
                framework=_stack(recipe, argv),
                warm=recipe is None or recipe.warm,
                grace_s=float(grace_s),
                on_reboot=OnReboot(on_reboot),
                start_held=request.start_held,
                user=self._user,
                checkpoint=checkpoint,
                explicit_needs=_named(request.needs),
                secrets=secrets,
                input_bytes=self._input_bytes(cwd, [value for _, value in params] if recipe else argv[1:]),
                kind=_kind(request, recipe),
            ),
            {},
        )

    # --- parts ---------------------------------------------------------------------------------------

    def _cwd(self, request: SubmitRequest, problems: dict[str, str]) -> str:
        cwd = request.cwd or "."
        if not cwd.startswith("/"):
            try:
                self._here = self._here or str(Path.cwd())
            except FileNotFoundError:
                problems["cwd"] = "The working directory is gone: change to another one."
                return "/"
            cwd = self._here if cwd == "." else os.path.join(self._here, cwd)
        if cwd not in self._folders:
            self._folders[cwd] = None
            if "\0" in cwd or not os.path.isdir(cwd):
                self._folders[cwd] = f"The working directory {cwd!r} does not exist: name one that does."
            elif not os.access(cwd, os.X_OK):
                self._folders[cwd] = f"The working directory {cwd!r} cannot be entered: name another one."
        if wrong := self._folders[cwd]:
            problems["cwd"] = wrong
        return cwd

    def _recipe(self, name: str) -> Recipe | str:
        catalogue = self._catalogue()
        return usable(catalogue, name)

    def _python(self, recipe: Recipe, problems: dict[str, str], *, keep: bool) -> str:
        """The interpreter for a recipe: this one, or that of an environment which need not be there yet."""
        if recipe.path not in self._pythons:
            if not recipe.dependencies and not recipe.requires_python and not recipe.uv:
                return sys.executable
            from jobs.environments import folder, installed
            from jobs.kinds.environment import python_of

            try:
                wanted = installed.wanted_now(recipe, self._home.run)
                if wanted is not None and keep:
                    folder.remember(self._home.recipe_environments, wanted)
            except (BadInput, OSError) as error:
                problems["recipe"] = str(error)
                return sys.executable
            self._pythons[recipe.path] = (
                sys.executable
                if wanted is None
                else python_of(str(self._home.recipe_environments), wanted.key)
            )
        return self._pythons[recipe.path]

    def _check_command(
        self, argv: tuple[str, ...], cwd: str, environ: Mapping[str, str], problems: dict[str, str]
    ) -> None:
        if not argv or not argv[0]:
            problems["command"] = "There is no command: name a recipe, or a program and its arguments."
            return
        if any("\0" in word for word in argv):
            problems["command"] = "The command holds a zero byte, which no program can receive."
            return
        key = (argv[0], cwd, environ.get("PATH", os.defpath))
        if key not in self._commands:
            self._commands[key] = _missing(*key)
        if wrong := self._commands[key]:
            problems["command"] = wrong

    def _needs(self, asked: NeedsRequest, recipe: Recipe | None, problems: dict[str, str]) -> Needs:
        defaults = self._settings.defaults
        of_recipe = recipe.needs if recipe else NeedsRequest()

        def pick(name: str) -> float | int | None:
            value: float | int | None = getattr(asked, name)
            if value is None:
                return getattr(of_recipe, name)  # type: ignore[no-any-return]
            _check_need(name, value, problems)
            return value

        cpus, mem_bytes, gpus = pick("cpus"), pick("mem_bytes"), pick("gpus")
        gpu_mem_bytes, time_limit_s = pick("gpu_mem_bytes"), pick("time_limit_s")
        if asked.gpus == 0 and asked.gpu_mem_bytes is None:
            gpu_mem_bytes = None
        if gpu_mem_bytes is not None and not gpus:
            problems.setdefault("vram", "vram is memory of a GPU: ask for at least one GPU as well.")
        if problems.keys() & set(_FIELDS.values()):
            return Needs()
        return Needs(
            cpus=float(defaults.cpus if cpus is None else cpus),
            mem_bytes=int(defaults.mem_bytes if mem_bytes is None else mem_bytes),
            gpus=int(gpus or 0),
            gpu_mem_bytes=None if gpu_mem_bytes is None else int(gpu_mem_bytes),
            time_limit_s=None if time_limit_s is None else float(time_limit_s),
            mem_is_limit=mem_bytes is not None,
        )

    def _input_bytes(self, cwd: str, words: Sequence[ParamValue]) -> int:
        """The size of the files that are named: how long it takes and what it uses goes by that."""
        total = 0
        for word in words[:_MOST_WORDS]:
            if not isinstance(word, str) or not ("." in word or "/" in word) or "\0" in word:
                continue
            path = os.path.join(cwd, word)
            if path not in self._sizes:
                try:
                    found = os.stat(path)
                    self._sizes[path] = found.st_size if stat.S_ISREG(found.st_mode) else 0
                except OSError:
                    self._sizes[path] = 0
            total += self._sizes[path]
        return total

    def _digest(self, environ: Mapping[str, str]) -> str:
        digest = self._digests.get(id(environ))
        if digest is None:
            digest = self._digests[id(environ)] = captured_variables.capture(
                self._home.captured_variables, environ
            )
        return digest


def _kind(request: SubmitRequest, recipe: Recipe | None) -> JobKind:
    if recipe is None:
        return request.kind
    return JobKind.NOTEBOOK if recipe.notebook else JobKind.RECIPE


def _stack(recipe: Recipe | None, argv: tuple[str, ...]) -> str | None:
    """What a warm process would have imported: only this installation's packages are ever kept so."""
    if recipe is None or recipe.framework.value == "none" or recipe.notebook or argv[0] != sys.executable:
        return None
    return recipe.framework.value


def usable(catalogue: Catalogue, name: str) -> Recipe | str:
    """The recipe of that name, or one sentence why there is none to run."""
    from recipes.manifest import Recipe

    entry = catalogue.find(name)
    if entry is None:
        return f"There is no recipe {name!r}.{catalogue.hint(name)}"
    if isinstance(entry, Recipe):
        return entry
    first = entry.problems[0]
    return f"The recipe {name!r} cannot be used: {entry.path}, line {first.line}: {first.message}"


def _check_rest(request: SubmitRequest, priority: int, grace_s: float, problems: dict[str, str]) -> None:
    if not isinstance(priority, int) or not LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY:
        problems["priority"] = f"The priority must be a whole number from 0 to 100, not {priority}."
    if not (math.isfinite(grace_s) and grace_s >= 0):
        problems["grace"] = "The grace time must be 0 seconds or more."
    if request.on_reboot is not None and request.on_reboot not in {each.value for each in OnReboot}:
        problems["on_reboot"] = f"on_reboot must be requeue or fail, not {request.on_reboot!r}."
    for name, value in (request.env or {}).items():
        if "\0" in name or "\0" in value or "=" in name or not name:
            problems["env"] = "A variable's name or value holds a character that the system cannot pass on."


def _name(request: SubmitRequest, argv: tuple[str, ...]) -> str:
    name = request.name or request.recipe or os.path.basename(argv[0]) or argv[0]
    return name[:LONGEST_NAME]


def _missing(command: str, cwd: str, path: str) -> str | None:
    """One sentence when the command cannot be run from there, else None."""
    if "/" in command:
        places = [os.path.join(cwd, command)]
    else:
        places = [os.path.join(cwd, folder, command) for folder in path.split(os.pathsep)]
    files = [place for place in places if Path(place).is_file()]
    if any(os.access(place, os.X_OK) for place in files):
        return None
    if files:
        return f"{command!r} may not be run: make it executable, or put its interpreter before it."
    where = f"in {cwd}" if "/" in command else "on the PATH"
    return f"There is no program {command!r} {where}: check its spelling."


def retried(
    job: Job, asked: NeedsRequest | None, newest_retry: Callable[[JobId], JobId], home: Home
) -> JobSpec:
    """The same job again, with the needs a person changed. Raises BadInput when it cannot run as it did."""
    spec = job.spec
    if not spec.argv:
        raise BadInput(f"Job {job.id} cannot be retried: its record is damaged.", "Submit it again.")
    if not Path(spec.cwd).is_dir():
        raise BadInput(
            f"Job {job.id} cannot be retried: its folder {spec.cwd!r} is gone.", "Submit it again."
        )
    if not captured_variables.path_of(home.captured_variables, spec.env_digest).exists():
        raise BadInput(f"Job {job.id} cannot be retried: its environment is gone.", "Submit it again.")
    _, missing = wanted_secrets(home.secrets, spec.secrets, {})
    if missing:
        raise BadInput(f"Job {job.id} cannot be retried. {missing}")
    needs = spec.needs
    if asked is not None:
        problems: dict[str, str] = {}
        changes: dict[str, Any] = {}
        for name in _FIELDS:
            value = getattr(asked, name)
            if value is not None:
                _check_need(name, value, problems)
                changes[name] = value
        needs = replace(needs, **changes)
        if asked.mem_bytes is not None:
            needs = replace(needs, mem_is_limit=True)
        if asked.gpus == 0:
            needs = replace(needs, gpu_mem_bytes=None)
        if problems:
            raise BadInput(" ".join(problems.values()))
    after = tuple(replace(each, job_id=newest_retry(each.job_id)) for each in spec.after)
    fixed = (
        spec.explicit_needs
        if asked is None
        else tuple(dict.fromkeys((*spec.explicit_needs, *_named(asked))))
    )
    return replace(
        spec,
        needs=needs,
        after=after,
        start_held=False,
        retry_of=job.id,
        expected_s=None,
        explicit_needs=fixed,
        group=None
        if spec.group is None or spec.group[1] == 0
        else spec.group,  # trials are their controller's
    )


def _named(asked: NeedsRequest) -> tuple[str, ...]:
    """The needs that the person named and that earlier runs could tell: see `JobSpec.explicit_needs`."""
    return tuple(_FIELDS[name] for name in _LEARNABLE if getattr(asked, name) is not None)


def _user(uid: int) -> str:
    """The login name; the number where the machine has no name for it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _check_need(name: str, value: float, problems: dict[str, str]) -> None:
    field = _FIELDS[name]
    if name == "gpus":
        if value < 0 or value != int(value):
            problems[field] = "gpus must be a whole number, 0 or more."
    elif not math.isfinite(value) or value <= 0:
        problems[field] = f"{field} must be more than 0."
