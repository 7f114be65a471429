"""Bells ring, dead ones are taken down, long paths work, and nobody ever blocks."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.installation.notify import Listener, Notifier, Subscription


@pytest.fixture(params=["short", "x" * 150])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    folder = tmp_path / str(request.param)
    folder.mkdir()
    return folder


@pytest.fixture
def ringer() -> Iterator[Notifier]:
    ringer = Notifier()
    yield ringer
    ringer.close()


def test_a_bell_rings(folder: Path, ringer: Notifier) -> None:
    path = folder / "daemon.sock"
    assert not ringer.notify(path)
    bell = Listener(path)
    assert not bell.clear()
    assert ringer.notify(path)
    assert ringer.notify(path)
    assert bell.clear()
    assert not bell.clear()
    bell.close()
    bell.close()
    assert not path.exists()
    assert not ringer.notify(path)


def test_a_new_bell_replaces_a_dead_one(folder: Path, ringer: Notifier) -> None:
    path = folder / "daemon.sock"
    path.write_text("left over")
    bell = Listener(path)
    assert ringer.notify(path)
    bell.close()


def test_a_full_bell_never_blocks(folder: Path, ringer: Notifier) -> None:
    bell = Listener(folder / "b")
    assert all(ringer.notify(folder / "b") for _ in range(5000))
    assert bell.clear()
    bell.close()


def test_watchers_hear_and_dead_ones_go(folder: Path, ringer: Notifier) -> None:
    script = (
        "import os, sys; from pathlib import Path; from jobs.installation.notify import Subscription\n"
        "Subscription(Path(sys.argv[1])); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True)
    assert len(list(folder.iterdir())) == 1
    watcher = Subscription(folder)
    assert not watcher.wait(0)
    timer = threading.Timer(0.05, lambda: ringer.notify_all(folder))
    timer.start()
    assert watcher.wait(20)
    timer.join()
    assert [path.name for path in folder.iterdir()] == [watcher.path.name]
    assert ringer.count(folder) == 1
    assert not watcher.wait(0), "counting does not ring"
    watcher.close()
    assert ringer.count(folder) == 0
    assert not watcher.wait(0)
