"""With no network at all: shipped recipes run, and what cannot be had is said, without a hang."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.conftest import TOLERANT

RECIPE = """\
# /// script
# dependencies = ["cro-tui-has-no-such-package>=3"]
# [tool.cro]
# title = "Wants what cannot be had"
# resources = { cpus = 0.1, mem = "64M" }
# ///
print("never")
"""
# where no network namespace may be made: a proxy that nobody answers for
NO_PROXY = {f"{kind}_PROXY": "http://127.0.0.1:9" for kind in ("HTTP", "HTTPS", "ALL")}


def apart() -> list[str]:
    """The words before a command that give it an empty network; none where that is forbidden."""
    words = ["unshare", "--map-root-user", "--net"] if os.getuid() else ["unshare", "--net"]
    try:
        return words if subprocess.run([*words, "true"], check=False).returncode == 0 else []
    except OSError:
        return []


class Apart:
    """The command line, and the scheduler that it starts, without any network."""

    def __init__(self, folder: Path) -> None:
        self.home, self._before = folder / "home", apart()
        (self.home / "recipes").mkdir(parents=True, mode=0o700)
        (self.home / "settings.toml").write_text(TOLERANT)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
        self._environ = kept | {"CRO_HOME": str(self.home), "UV_CACHE_DIR": str(folder / "cache")}
        self._environ |= {} if self._before else NO_PROXY
        self._folder = folder

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [*self._before, sys.executable, *words]
        return subprocess.run(
            command,
            cwd=self._folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    def cro(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self("-m", "cro_tui", *words)


@pytest.fixture
def offline(tmp_path: Path) -> Iterator[Apart]:
    made = Apart(tmp_path)
    yield made
    made.cro("daemon", "--stop")


def test_recipes_run_and_what_cannot_be_had_is_said(offline: Apart) -> None:
    reached = offline("-c", "import urllib.request as u; u.urlopen('https://pypi.org/simple/', timeout=10)")
    assert reached.returncode != 0, "there is a network, and the test would show nothing"
    ran = offline.cro("submit", "sklearn_linear", "-p", "data=wine", "--cpus", "1", "--mem", "2G", "--wait")
    assert ran.returncode == 0, ran.stderr
    (offline.home / "recipes" / "far.py").write_text(RECIPE)
    refused = offline.cro("submit", "far", "--wait")
    assert refused.returncode == 130, refused
    told = offline.cro("show", "3").stdout
    assert "has no network" in told and "retry" in told, told
