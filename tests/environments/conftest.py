"""A folder of tiny wheels as the only index, and an installation whose jobs see nothing else."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.client import Client
from jobs.installation.settings import Settings
from jobs.store import schema
from tests.daemon.conftest import Installation


def wheel(folder: Path, name: str, version: str, requires: str = "") -> None:
    """A wheel of one module that says its version."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    files = {
        f"{name}.py": f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as made:
        for file, text in {**files, f"{info}/RECORD": record}.items():
            made.writestr(file, text)


def recipe(folder: Path, name: str, *needs: str, body: str = "") -> None:
    asked = ", ".join(f'"{each}"' for each in needs)
    (folder / f"{name}.py").write_text(
        f"""\
# /// script
# requires-python = ">=3.11"
# dependencies = [{asked}]
# [tool.cro]
# title = "Needs {name}"
# framework = "sklearn"
# resources = {{ cpus = 0.1, mem = "64M" }}
# [tool.cro.params]
# x = 1
# ///
import argparse, json, os, sys
import crotiny
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=int, default=1)
x = parser.parse_args().x
{body}
print(sys.prefix, crotiny.version)
with open(os.path.join(os.environ.get("CRO_OUTPUT_DIR", "."), "metrics.json"), "w") as file:
    json.dump({{"x": x, "major": int(crotiny.version.split(".")[0])}}, file)
""".replace("# x = 1", "# x = { default = 1 }")
    )


@pytest.fixture
def index(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    wheel(folder, "crotiny", "1.2", requires="croinner>=1")
    wheel(folder, "croinner", "1.0")
    return folder


@pytest.fixture
def environ(tmp_path: Path, index: Path) -> dict[str, str]:
    """No network, no configuration of the person's own, no cache but this test's."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "UV_OFFLINE": "1",
        "UV_NO_INDEX": "1",
        "UV_NO_CONFIG": "1",
        "UV_FIND_LINKS": str(index),
        "UV_CACHE_DIR": str(tmp_path / "cache"),
        "UV_PYTHON_DOWNLOADS": "never",
    }


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "cro.db"
    schema.connect(path).close()
    return path


@pytest.fixture
def installation(tmp_path: Path, environ: dict[str, str], migrated: Path) -> Iterator[Installation]:
    made = Installation(tmp_path / "home", migrated)
    made.client.close()
    made.client = Client(made.home, Settings.load(made.home.settings_file), environ=environ)
    yield made
    made.close()
    shutil.rmtree(made.home.recipe_environments, ignore_errors=True)
