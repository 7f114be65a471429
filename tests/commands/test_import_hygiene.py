"""What a command loads: start-up stays quick because heavy packages stay out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAM = """
import sys
from cro_tui.__main__ import main
code = main(sys.argv[1:])
print(" ".join(sorted({name.split(".")[0] for name in sys.modules})), file=sys.stderr)
sys.exit(code)
"""
FRAMEWORKS = {
    "textual",
    "rich",
    "pandas",
    "pyarrow",
    "tensorflow",
    "keras",
    "sklearn",
    "joblib",
    "optuna",
    "matplotlib",
}
SERVERS = {"starlette", "uvicorn", "onnxruntime", "prometheus_client", "skl2onnx", "uvloop"}
FRAMEWORKS |= SERVERS
HEAVY = FRAMEWORKS | {"numpy", "sqlite_utils"}


def loaded(home: Path, *words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        env={**os.environ, "CRO_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


def test_the_version_loads_next_to_nothing(tmp_path: Path) -> None:
    names = loaded(tmp_path, "--version")
    assert not names & (HEAVY | {"click", "psutil", "pynvml", "sqlite3", "asyncio", "recipes"})
    assert not [name for name in names if name.startswith("jobs.")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state folder that has been used before, with a scheduler running on it."""
    folder = tmp_path_factory.mktemp("home", numbered=True)
    folder.chmod(0o700)
    loaded(folder, "submit", "--hold", "--", "true")
    yield folder
    loaded(folder, "daemon", "--stop")


def test_the_very_first_command_makes_the_database_and_loads_no_framework(tmp_path: Path) -> None:
    assert not loaded(tmp_path, "ls", "--json") & FRAMEWORKS


@pytest.mark.parametrize(
    "line",
    [
        "ls --json",
        "--help",
        "submit --help",
        "show 1",
        "cancel --all",
        "serve --help",
        "serve --list",
    ],
)
def test_plain_commands_load_no_screen_no_framework_and_no_sensor(home: Path, line: str) -> None:
    assert not loaded(home, *line.split()) & (HEAVY | {"psutil", "pynvml", "asyncio"})


@pytest.mark.parametrize(
    "line",
    [
        "status",
        "why 1",
        "recipes",
        "doctor",
        "submit --cpus 0.1 --mem 64M -- true",
        "logs 1",
        "submit --hold tf_deep",
        "submit --hold sklearn_forest --optimize accuracy -p n_estimators=5..9",
    ],
)
def test_commands_that_read_the_machine_or_recipes_load_no_framework(home: Path, line: str) -> None:
    assert not loaded(home, *line.split()) & HEAVY
