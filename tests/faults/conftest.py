"""Fixtures of the fault tests: the real installation of the daemon's tests, and a machine gone wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon.conftest import cores, empty_database, installation
from tests.faults.shim import Shim

__all__ = ["cores", "empty_database", "installation"]


@pytest.fixture
def shim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shim:
    """Processes started from now on can be told that the clock has jumped or that the disk is full."""
    folder = tmp_path / "shim"
    folder.mkdir()
    shim = Shim(folder)
    for name, value in shim.environ.items():
        monkeypatch.setenv(name, value)
    return shim
