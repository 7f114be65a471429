"""Modules imported ahead of time, kept out of sight until the job itself imports them.

Standard library only. A fresh interpreter has none of them, and importing some of them changes more than
`sys.modules`: warnings filters, variables, the root logger. So what an import did is recorded, undone, and
done again at the moment at which the job's own import asks for it; only the time is saved.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import warnings
from importlib.machinery import ModuleSpec
from types import BuiltinFunctionType, FunctionType, ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class ProcessState:
    """What an import may change for the whole process, as it is now."""

    def __init__(self) -> None:
        self.modules = set(sys.modules)
        self.filters: list[Any] = list(warnings.filters)
        self.environ = dict(os.environ)
        self.handlers = list(logging.root.handlers)
        self.level = logging.root.level

    def restore(self) -> None:
        """Put everything back except the modules."""
        warnings.filters[:] = self.filters  # type: ignore[index]
        _filters_changed()
        for name in set(os.environ) - set(self.environ):
            del os.environ[name]
        os.environ.update(self.environ)
        logging.root.handlers[:] = self.handlers
        logging.root.setLevel(self.level)


class ModuleGroup:
    """The modules that one preloaded name brought in, and what else that import changed."""

    def __init__(self, before: ProcessState) -> None:
        self.modules = {
            name: module
            for name, module in list(sys.modules.items())
            if name not in before.modules and not _standard(name)
        }
        new = [each for each in warnings.filters if each not in before.filters]
        ahead = 0
        while ahead < len(warnings.filters) and warnings.filters[ahead] in new:
            ahead += 1
        self.filters_ahead = list(warnings.filters[:ahead])
        self.filters_behind = [each for each in new if each not in self.filters_ahead]
        self.environ = {
            name: value for name, value in os.environ.items() if before.environ.get(name) != value
        }
        self.handlers = [each for each in logging.root.handlers if each not in before.handlers]
        self.level = logging.root.level if logging.root.level != before.level else None
        self.needs: set[ModuleGroup] = set()
        self.out = False

    def take_out(self) -> None:
        """Make it look as if the import had just happened, together with what it rests on."""
        if self.out:
            return
        self.out = True
        for group in self.needs:
            group.take_out()
        for name, module in self.modules.items():
            sys.modules.setdefault(name, module)
        warnings.filters[:0] = self.filters_ahead  # type: ignore[index]
        warnings.filters.extend(self.filters_behind)  # type: ignore[attr-defined]
        _filters_changed()
        for name, value in self.environ.items():
            os.environ.setdefault(name, value)
        logging.root.handlers.extend(each for each in self.handlers if each not in logging.root.handlers)
        if self.level is not None:
            logging.root.setLevel(self.level)


class PreloadedModules:
    """The groups, in the order in which they were loaded; a finder and loader for `sys.meta_path`."""

    def __init__(self) -> None:
        self._start = ProcessState()
        self._groups: list[ModuleGroup] = []
        self._owner: dict[str, ModuleGroup] = {}

    def preload(self, name: str) -> None:
        """Import it ahead of time. Raises what the import raises."""
        before = ProcessState()
        importlib.import_module(name)
        group = ModuleGroup(before)
        self._groups.append(group)
        self._owner.update(dict.fromkeys(group.modules, group))

    def put_away(self) -> None:
        """Make the process look as it did before the first preload."""
        earlier: set[ModuleGroup] = set()
        for group in self._groups:
            group.needs = self._used_by(group) & earlier
            earlier.add(group)
        for name in self._owner:
            sys.modules.pop(name, None)
        self._start.restore()

    def names(self) -> set[str]:
        """The top-level names that are kept here."""
        return {name.partition(".")[0] for name in self._owner}

    def all_names(self) -> set[str]:
        """The full names of all modules that are kept here."""
        return set(self._owner)

    def module(self, name: str) -> Any:
        """A kept module, without bringing it to light; None when it is not here."""
        group = self._owner.get(name)
        return None if group is None else group.modules[name]

    def open(self) -> None:
        """From now on the process may import what is kept."""
        sys.meta_path.insert(0, self)

    # --- finder and loader -------------------------------------------------------------------------

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        group = self._owner.get(name)
        if group is None:
            return None
        own = getattr(group.modules[name], "__spec__", None)
        spec = ModuleSpec(name, self, origin=getattr(own, "origin", None))  # type: ignore[arg-type]
        spec.submodule_search_locations = getattr(own, "submodule_search_locations", None)
        spec.loader_state = own
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        group = self._owner[spec.name]
        group.take_out()
        return group.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        """It has run already; only its own specification is put back, which the import replaced."""
        spec = module.__spec__
        if spec is not None and spec.loader_state is not None:
            module.__spec__ = spec.loader_state

    def _used_by(self, group: ModuleGroup) -> set[ModuleGroup]:
        """The other groups whose modules, classes or functions appear in this one's modules."""
        found: set[ModuleGroup] = set()
        for module in group.modules.values():
            if not isinstance(module, ModuleType):
                continue
            for value in list(vars(module).values()):
                if type(value) is ModuleType:
                    name = value.__name__
                elif isinstance(value, (type, FunctionType, BuiltinFunctionType)):
                    name = value.__module__
                else:
                    continue
                owner = self._owner.get(name) if isinstance(name, str) else None
                if owner is not None and owner is not group:
                    found.add(owner)
        return found


def _standard(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names or name == "__main__"


def _filters_changed() -> None:
    """Have the warnings machinery forget what it decided by the old filters."""
    changed = getattr(warnings, "_filters_mutated", None)
    if changed is not None:
        changed()
