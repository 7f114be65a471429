"""What the tests of recipes share: headers as text, and shipped recipes loaded or run as real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from types import ModuleType

import pytest

from recipes.discover import library_folder


@dataclass(frozen=True, slots=True)
class Ran:
    """One finished run of a recipe."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def metrics(self) -> dict[str, float]:
        found: dict[str, float] = json.loads((self.folder / "metrics.json").read_text())
        return found


RunRecipe = Callable[..., Ran]
LoadRecipe = Callable[[str], ModuleType]


@pytest.fixture
def run_recipe(tmp_path: Path) -> RunRecipe:
    """Runs `python recipe.py FLAGS` with an output folder of its own and waits for its end."""

    def run(name: str, *flags: object, folder: str = "") -> Ran:
        output = tmp_path / (folder or name)
        command = [sys.executable, str(library_folder() / f"{name}.py"), *map(str, flags)]
        env = {**os.environ, "CRO_OUTPUT_DIR": str(output), "CRO_CPUS": "2"}
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=280, check=False
        )
        return Ran(done.returncode, done.stdout, done.stderr, output)

    return run


@pytest.fixture
def load_recipe() -> LoadRecipe:
    """A shipped recipe as a module: its parser and functions, without running it."""

    def load(name: str) -> ModuleType:
        spec = util.spec_from_file_location(f"library_{name}", library_folder() / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
