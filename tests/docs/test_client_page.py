"""The page about the client is true: each example runs and prints what it says, each name is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.client import Client
from jobs.core.jobs import Active
from jobs.installation.home import Home
from jobs.installation.settings import Settings
from tests.daemon.conftest import TOLERANT

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "client.md").read_text()
SUBMIT, FOLLOW, SERVE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """An installation of its own, whose jobs and scheduler are stopped afterwards."""
    home = Home.find({"CRO_HOME": str(tmp_path / "home")})
    home.make()
    home.settings_file.write_text(TOLERANT)
    yield home
    with Client(home, Settings.load(home.settings_file)) as client:
        running = [job.id for job in client.jobs.list() if isinstance(job.state, Active)]
        client.jobs.cancel(running)
        client.jobs.wait(running, timeout_s=60)
        client.scheduler.stop()


def printed(example: str, home: Home) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", example],
        env={**os.environ, "CRO_HOME": str(home.data)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_job_is_submitted_and_waited_for(home: Home) -> None:
    assert printed(SUBMIT, home) == ["succeeded 42"]


def test_metrics_are_followed(home: Home) -> None:
    assert printed(FOLLOW, home) == [f"step {step}: loss {1 / step:.3f}" for step in range(1, 6)]


def test_a_model_is_registered_and_serves(home: Home) -> None:
    assert printed(SERVE, home) == ["wine:1 True", "wine:1"]


def test_the_parts_and_their_methods_are_those_of_the_page(home: Home) -> None:
    named = {
        part: set(re.findall(r"`(\w+)`", text))
        for part, text in re.findall(r"^- `client\.(\w+)`(.*?)(?=^- |^$)", PAGE, re.DOTALL | re.MULTILINE)
    }
    with Client(home, Settings()) as client:
        parts = {
            name: {each for each in dir(part) if not each.startswith("_")}
            for name, part in vars(client).items()
            if name not in {"home", "settings", "connection"}
        }
    assert named == parts
