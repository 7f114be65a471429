"""Whether this installation satisfies a recipe's header, else what environment it wants.

Reads the metadata of installed packages; imports none of them. A header with a `[tool.uv]` table, or with a
requirement from a URL, says where its packages come from: that is never taken to be what lies here.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jobs.core.ports import BadInput
from jobs.kinds.environment import EnvironmentRequest
from jobs.runtime import atomic_write
from recipes.model import Recipe

Installed = Callable[[str], tuple[str, Sequence[str]] | None]
_LARGEST_LOCK = 16 << 20
_SATISFIED = "satisfied.json"
_MOST_KNOWN = 200


def wanted_now(recipe: Recipe, folder: Path) -> EnvironmentRequest | None:
    """As `wanted`. What was satisfied is remembered in the folder until a package comes or goes: reading
    metadata takes longer than all the rest of a submit."""
    asked = json.dumps([recipe.dependencies, recipe.requires_python, recipe.uv])
    state = [sys.executable, *(f"{path} {_changed_at(path)}" for path in sys.path)]
    try:
        known = json.loads((folder / _SATISFIED).read_text(encoding="utf-8"))
        good = known["satisfied"] if known["state"] == state else []
    except (OSError, ValueError, KeyError, TypeError):
        good = []
    if asked in good:
        return None
    found = wanted(recipe)
    if found is None:
        text = json.dumps({"state": state, "satisfied": [*good, asked][-_MOST_KNOWN:]})
        with contextlib.suppress(OSError):  # it is looked up again the next time
            atomic_write.replace(folder / _SATISFIED, text)
    return found


def _changed_at(path: str) -> int:
    try:
        return os.stat(path or ".").st_mtime_ns if path.endswith("-packages") else 0
    except OSError:
        return 0


def installed(name: str) -> tuple[str, Sequence[str]] | None:
    """Version and requirements of a package of this installation; None when it has none of that name."""
    from importlib import metadata

    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    return found.version, found.requires or ()


def wanted(recipe: Recipe, look: Installed = installed) -> EnvironmentRequest | None:
    """The environment that the recipe wants; None: this installation will do.

    Raises BadInput for a requirement that cannot be read.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    version = ".".join(map(str, sys.version_info[:3]))
    try:
        python_fits = SpecifierSet(recipe.requires_python).contains(version, prereleases=True)
    except InvalidSpecifier:
        raise BadInput(
            f"requires-python {recipe.requires_python[:60]!r} of {recipe.name} is no version range.",
            'Write it like ">=3.11".',
        ) from None
    lacks = missing(recipe, look)
    if python_fits and not lacks and not recipe.uv:
        return None
    return EnvironmentRequest(
        dependencies=recipe.dependencies,
        requires_python=recipe.requires_python,
        uv=recipe.uv,
        python=sys.executable if python_fits else "",
        lock=_lock_beside(recipe.path),
    )


def missing(recipe: Recipe, look: Installed = installed) -> tuple[str, ...]:
    """Those of the recipe's requirements that this installation does not satisfy. Raises BadInput."""
    from packaging.requirements import InvalidRequirement, Requirement

    found = []
    for text in recipe.dependencies:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise BadInput(
                f"The requirement {text[:60]!r} of {recipe.name} cannot be read.",
                f"Correct it in the header: {str(error).splitlines()[0]}",
            ) from None
        if not _satisfied(requirement, look, {}, frozenset()):
            found.append(text)
    return tuple(found)


def _satisfied(
    requirement: object, look: Installed, environment: Mapping[str, str], seen: frozenset[str]
) -> bool:
    from packaging.requirements import Requirement

    assert isinstance(requirement, Requirement)
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": "", **environment}):
        return True
    found = None if requirement.url else look(requirement.name)
    if found is None or not requirement.specifier.contains(found[0], prereleases=True):
        return False
    for extra in requirement.extras - seen:
        of_extra = {"extra": extra}
        for text in found[1]:
            inner = Requirement(text)
            asked = inner.marker is not None and "extra" in str(inner.marker)
            if asked and not _satisfied(inner, look, of_extra, seen | requirement.extras):
                return False
    return True


def _lock_beside(script: Path) -> str:
    """The lock that `uv lock --script` has left, which `uv run` goes by as well."""
    try:
        with open(f"{script}.lock", encoding="utf-8") as file:
            return file.read(_LARGEST_LOCK)
    except (OSError, UnicodeDecodeError):
        return ""
