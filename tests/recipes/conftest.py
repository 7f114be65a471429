"""What the tests of recipes share: shipped recipes and their copies, loaded or run as real processes."""

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

from jobs.client.recipe_check import write_copy
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
LoadRecipe = Callable[..., ModuleType]


@pytest.fixture(scope="session")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a self-contained copy of each shipped recipe, and nothing else."""
    folder = tmp_path_factory.mktemp("copies")
    for recipe in library_folder().glob("*.py"):
        write_copy(recipe, folder / recipe.name)
    return folder


@pytest.fixture
def run_recipe(tmp_path: Path) -> RunRecipe:
    """Runs `python recipe.py FLAGS` with an output folder of its own and waits for its end."""

    def run(name: str, *flags: object, folder: str = "", within: Path | None = None) -> Ran:
        output = tmp_path / (folder or name)
        command = [sys.executable, str((within or library_folder()) / f"{name}.py"), *map(str, flags)]
        env = {**os.environ, "CRO_OUTPUT_DIR": str(output), "CRO_CPUS": "2"}
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=280, check=False
        )
        return Ran(done.returncode, done.stdout, done.stderr, output)

    return run


@pytest.fixture
def run_here(
    load_recipe: LoadRecipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> RunRecipe:
    """The same in this process, which has scikit-learn imported already; `instead` replaces globals."""
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "CRO_CPUS"):
        monkeypatch.setenv(variable, "2")

    def run(
        name: str, *flags: object, folder: str = "", within: Path | None = None, **instead: object
    ) -> Ran:
        output = tmp_path / (folder or name)
        monkeypatch.setenv("CRO_OUTPUT_DIR", str(output))
        module = load_recipe(name, within)
        vars(module).update(instead)
        capsys.readouterr()
        try:
            code = module.run(module.main, list(map(str, flags)))
        except SystemExit as ended:
            assert isinstance(ended.code, int)
            code = ended.code
        said = capsys.readouterr()
        return Ran(code, said.out, said.err, output)

    return run


@pytest.fixture
def load_recipe(monkeypatch: pytest.MonkeyPatch) -> LoadRecipe:
    """A shipped recipe as a module: its parser and functions, without running it."""
    monkeypatch.syspath_prepend(str(library_folder()))  # as for a script, which finds its kit there

    def load(name: str, within: Path | None = None) -> ModuleType:
        file = (within or library_folder()) / f"{name}.py"
        spec = util.spec_from_file_location(f"library_{name}", file)
        assert spec is not None and spec.loader is not None
        module = util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
