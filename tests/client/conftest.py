"""A Client on an empty state folder, without a scheduler."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.client import Client
from jobs.installation.home import Home
from jobs.installation.settings import Settings

RECIPE = """# /// script
# requires-python = ">=3.11"
# dependencies = []
#
# [tool.cro]
# title = "Counts"
# framework = "sklearn"
# grace = "3s"
#
# [tool.cro.resources]
# cpus = 0.5
# mem = "64M"
#
# [tool.cro.params]
# rounds = { type = "int", default = 3, min = 1, max = 9, help = "how often" }
# ///
print("counting")
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.find({"CRO_HOME": str(tmp_path / "home")})
    home.make()
    (home.recipes / "counting.py").write_text(RECIPE)
    (home.recipes / "broken.py").write_text(RECIPE.replace("# rounds = {", "# rounds = [{"))
    return home


@pytest.fixture
def client(home: Home) -> Iterator[Client]:
    environ = {"PATH": os.environ["PATH"], "HOME": "/", "TOKEN": "xyzzy-secret"}
    with Client(home, Settings(), environ=environ) as client:
        yield client
