"""The nouns of a recipe: what its header says, as plain frozen values.

Pure: no I/O and no import from outside this package. Memory is bytes, durations are seconds, `None` means
that the header does not say (the scheduler's general default holds). Every text here was written by a
stranger and is to be shown as it is: never as markup, never through a shell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

ParamValue = int | float | bool | str
SECRET_NAME = re.compile(r"(?!CRO_|LD_|PYTHON|PATH$|HOME$)[A-Za-z_][A-Za-z0-9_]{0,63}")


class ParamType(StrEnum):
    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    CHOICE = "choice"
    PATH = "path"
    STR = "str"


class Framework(StrEnum):
    SKLEARN = "sklearn"
    TENSORFLOW = "tensorflow"
    NONE = "none"


class OnReboot(StrEnum):
    """What becomes of a run that was going on when the machine was restarted."""

    REQUEUE = "requeue"
    FAIL = "fail"


class Kind(StrEnum):
    PREPROCESS = "preprocess"
    TRAIN = "train"
    EVALUATE = "evaluate"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Param:
    """One typed parameter, passed as an ordinary command-line flag.

    `default` None means that a value is required. `choices` of a `CHOICE` are all that is allowed; of a
    `PATH` they are words that are allowed besides a path ("digits", or a file). `must_exist` matters for
    a `PATH` only.
    """

    name: str
    type: ParamType
    default: ParamValue | None = None
    minimum: int | float | None = None
    maximum: int | float | None = None
    choices: tuple[str, ...] = ()
    help: str = ""
    must_exist: bool = True

    @property
    def required(self) -> bool:
        return self.default is None

    @property
    def flag(self) -> str:
        """`--n-estimators` for `n_estimators`."""
        return "--" + self.name.replace("_", "-")


@dataclass(frozen=True, slots=True)
class RecipeNeeds:
    """What one run reserves; `gpu_mem_bytes` is per device."""

    cpus: float | None = None
    mem_bytes: int | None = None
    gpus: int | None = None
    gpu_mem_bytes: int | None = None
    time_limit_s: float | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """One recipe, known from its header alone.

    `metrics` pairs a metric's name with "max" or "min" (which end is better), the first is the main one.
    `repeatable` says that the same parameters give the same metrics; such a run is queued again after a
    restart of the machine, unless `on_reboot` says otherwise. `warm` says that the recipe may run
    in a process that has its framework imported already. `checkpoint` is its promise to save and leave
    with exit code 75 when it is asked to stop, and to go on from there when it is started again. A
    `notebook` is executed cell by cell. `secrets` are variables that it must be given, known by name
    alone. `uv` is the `[tool.uv]` table of its header as TOML, with absolute paths.
    """

    name: str
    path: Path
    title: str
    framework: Framework = Framework.NONE
    kind: Kind = Kind.OTHER
    description: str = ""
    dependencies: tuple[str, ...] = ()
    requires_python: str = ""
    uv: str = ""
    needs: RecipeNeeds = RecipeNeeds()
    params: tuple[Param, ...] = ()
    metrics: tuple[tuple[str, str], ...] = ()
    grace_s: float | None = None
    repeatable: bool = False
    on_reboot: OnReboot = OnReboot.FAIL
    warm: bool = True
    checkpoint: bool = False
    notebook: bool = False
    secrets: tuple[str, ...] = ()

    def param(self, name: str) -> Param | None:
        return next((param for param in self.params if param.name == name), None)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a header, and on which line of the file (the first line is 1)."""

    line: int
    message: str
