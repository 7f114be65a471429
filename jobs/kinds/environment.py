"""The nouns of recipes' environments: what one is to hold, its names, how a build is told from other jobs.

Pure values. Two names: `key` is that of what a header asks for, known at submit; `digest` is that of what
came of it, the exact packages, known once it is resolved. Headers that resolve to the same share a digest.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass

from jobs.core.jobs import Job
from jobs.core.kinds import JobKind

BUILDERS = ("jobs.programs.environment_builder", "jobs.venvs")  # the second as earlier versions stored it
PROGRAM = ("-P", "-m", BUILDERS[0])
NAME = "environment for "
WANTED = "wanted"
DIGEST_CHARS = 16
_KEY = rf"[0-9a-f]{{{DIGEST_CHARS}}}"
_PYTHON = re.compile(rf"(.+)/{WANTED}/({_KEY})/bin/python")


@dataclass(frozen=True, slots=True)
class EnvironmentRequest:
    """What a header asks for. `python` is the interpreter to build with; empty: uv finds one.

    `uv` is the header's `[tool.uv]` as TOML lines; `lock` the text of a lock that lies beside the recipe.
    """

    dependencies: tuple[str, ...]
    requires_python: str = ""
    uv: str = ""
    python: str = ""
    lock: str = ""

    @property
    def key(self) -> str:
        parts = [sorted(self.dependencies), self.requires_python, self.uv, self.python, self.lock]
        return digest_of(json.dumps(parts))

    @property
    def header(self) -> str:
        """A script of nothing but the PEP 723 block."""
        toml = f"dependencies = {json.dumps(sorted(self.dependencies))}\n"
        if self.requires_python:
            toml += f"requires-python = {json.dumps(self.requires_python)}\n"
        if self.uv:
            toml += f"[tool.uv]\n{self.uv}"
        return "# /// script\n" + "".join(f"# {line}\n" for line in toml.splitlines()) + "# ///\n"


@dataclass(frozen=True, slots=True)
class Environment:
    """One that is complete. `recipes` are names that it was built for; `packages` counts what it holds."""

    digest: str
    python: str
    packages: int
    size_bytes: int
    made_at: float
    used_at: float
    recipes: tuple[str, ...] = ()
    needed: bool = False


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_CHARS]


def python_of(venvs: str, key: str) -> str:
    """The interpreter that a recipe's job names: in a folder that is there once it is built."""
    return f"{venvs}/{WANTED}/{key}/bin/python"


def key_of(python: str, venvs: str) -> str | None:
    """The key of the environment that an interpreter is of; None for any other program."""
    found = _PYTHON.fullmatch(python)
    return found[2] if found is not None and found[1] == venvs else None


def keys_in(text: str) -> set[str]:
    """The keys of all environments that a text (of a job's record) names."""
    return set(re.findall(rf"/{WANTED}/({_KEY})/bin/python", text)) | set(
        re.findall(rf'"(?:{"|".join(map(re.escape, BUILDERS))})",[^\]]*"({_KEY})"', text)
    )


def argv(python: str, data: str, settings: str, key: str, recipe: str) -> tuple[str, ...]:
    """The command of a build."""
    return (python, *PROGRAM, "--data", data, "--settings", settings, "--recipe", recipe, key)


def build_key(job: Job) -> str | None:
    """The key that a build is for; None for any other job."""
    return job.spec.argv[-1] if job.spec.kind is JobKind.ENVIRONMENT else None
