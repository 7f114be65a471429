"""Checkpoints alone: what is kept, what is refused and why, and when a signal ends the recipe."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from recipes.discover import library_folder
from recipes.library.kit import checkpoints as kit
from recipes.library.kit.checkpoints import Checkpoints, code_digests

LIBRARY = ModuleType("library")
LIBRARY.__dict__["__version__"] = "1.0"


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A recipe's file, with the variables of a queue that resumes it."""
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setenv("CRO_CHECKPOINT_DIR", str(tmp_path / "kept"))
    monkeypatch.setenv("CRO_RESUME", str(tmp_path / "kept"))
    (tmp_path / "recipe.py").write_text("print()")
    yield tmp_path / "recipe.py"
    signal.signal(signal.SIGTERM, before)


def options(**given: object) -> argparse.Namespace:
    return argparse.Namespace(**{"data": "digits", "seed": 0, **given})


def test_a_state_comes_back_as_it_was_saved(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = Checkpoints(str(recipe))
    assert not first.due()
    assert first.load(options(), LIBRARY) is None
    assert "is not used: " in capsys.readouterr().err  # there is none yet
    first.save({"trees": 4})
    assert sorted(path.name for path in (recipe.parent / "kept").iterdir()) == ["state"]
    again = Checkpoints(str(recipe))
    assert again.load(options(), LIBRARY) == {"trees": 4}
    assert capsys.readouterr() == ("", "")
    again.done()
    assert list((recipe.parent / "kept").iterdir()) == []


def test_without_the_queue_nothing_is_kept(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRO_CHECKPOINT_DIR")
    monkeypatch.delenv("CRO_RESUME")
    before = signal.getsignal(signal.SIGTERM)
    alone = Checkpoints(str(recipe))
    assert alone.load(options(), LIBRARY) is None and not alone.due()
    with alone.interruptible({}):
        pass
    alone.done()
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("what", ["seed", "recipe", "library", "data", "kit"])
def test_a_checkpoint_of_something_else_is_refused_and_told(
    recipe: Path, what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = recipe.parent / "rows.csv"
    data.write_text("a,b\n")
    saving = Checkpoints(str(recipe))
    saving.load(options(data=str(data)), LIBRARY)
    saving.save("state")
    capsys.readouterr()
    other = options(data=str(data))
    if what == "seed":
        other.seed = 1
    elif what == "recipe":
        recipe.write_text("print(1)")
    elif what == "library":
        monkeypatch.setitem(LIBRARY.__dict__, "__version__", "1.1")
    elif what == "data":
        data.write_text("a,c\n")
    else:
        changed = recipe.parent / "kit"
        shutil.copytree(library_folder() / "kit", changed, ignore=lambda *_: ["__pycache__"])
        monkeypatch.setattr(kit, "__file__", str(changed / "checkpoints.py"))
        assert Checkpoints(str(recipe)).load(options(data=str(data)), LIBRARY) == "state", "the same kit"
        with (changed / "linear.py").open("a") as file:
            file.write("# another\n")
    assert Checkpoints(str(recipe)).load(other, LIBRARY) is None
    refused = (
        f"note: the checkpoint in {recipe.parent / 'kept'} is not used: it was made with another {what}"
    )
    assert capsys.readouterr().err.splitlines() == [refused]


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "no pickle"])
def test_a_damaged_checkpoint_is_refused(
    recipe: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    saving = Checkpoints(str(recipe))
    saving.load(options(), LIBRARY)
    saving.save(list(range(100)))
    capsys.readouterr()
    state = recipe.parent / "kept" / "state"
    whole = state.read_bytes()
    changed = whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:]
    damaged = {"cut": whole[:-9], "changed": changed, "empty": b"", "no pickle": bytes(4000)}
    state.write_bytes(damaged[damage])
    assert Checkpoints(str(recipe)).load(options(), LIBRARY) is None
    assert capsys.readouterr().err.endswith("is not used: it is damaged\n")


def test_the_code_is_the_recipe_and_its_kit_or_one_file_alone(recipe: Path) -> None:
    assert set(code_digests(str(recipe))) == {"recipe", "kit"}
    assert set(code_digests(kit.__file__)) == {"recipe"}, "as in a self-contained copy"


def test_a_full_disk_leaves_the_previous_one(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saving = Checkpoints(str(recipe))
    saving.load(options(), LIBRARY)
    saving.save(1)
    (recipe.parent / "kept" / "state.part").mkdir()  # it cannot be opened to write
    saving.save(2)
    assert "note: the checkpoint could not be saved, " in capsys.readouterr().err
    assert Checkpoints(str(recipe)).load(options(), LIBRARY) == 1


def test_it_is_due_by_the_clock_and_less_often_where_a_save_takes_long(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    saving = Checkpoints(str(recipe))
    saving.load(options(), LIBRARY)
    now[0] += kit.SAVE_EVERY_S
    assert not saving.due()
    now[0] += 0.1
    assert saving.due()
    monkeypatch.setattr(os, "fsync", lambda _: now.__setitem__(0, now[0] + 5))  # a slow disk
    saving.save(1)
    now[0] += 3 * kit.SAVE_EVERY_S
    assert not saving.due(), "ten seconds of saving are worth 200 of work"
    now[0] += 200
    assert saving.due()


STOPPED = """
import os, signal, sys, time, types
sys.path.insert(0, sys.argv[1])
from argparse import Namespace
from kit.checkpoints import Checkpoints

def stop():
    os.kill(os.getpid(), signal.SIGTERM)

checkpoints = Checkpoints(__file__)
if sys.argv[2] == "early":
    stop()
library = types.SimpleNamespace(__name__="library", __version__="1")
print("state", checkpoints.load(Namespace(data="digits"), library))
if sys.argv[2] == "inside":
    with checkpoints.interruptible("inside"):
        stop()
        time.sleep(60)
if sys.argv[2] == "between":
    stop()
    assert checkpoints.due()
    print("finishes its step")
    checkpoints.save("between")
if sys.argv[2] == "done":
    checkpoints.done()
    stop()
print("left", os.listdir(os.environ["CRO_CHECKPOINT_DIR"]))
"""


def test_a_signal_ends_it_with_75_once_it_is_saved_and_with_0_when_all_is_done(tmp_path: Path) -> None:
    script, kept = tmp_path / "recipe.py", tmp_path / "kept"
    kept.mkdir()
    script.write_text(STOPPED)

    def run(when: str) -> tuple[int, list[str]]:
        argv = [sys.executable, str(script), str(library_folder()), when]
        environ = {**os.environ, "CRO_CHECKPOINT_DIR": str(kept)}
        environ["CRO_RESUME"] = str(kept) if any(kept.iterdir()) else ""
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
        assert done.stderr == "", done.stderr
        return done.returncode, done.stdout.splitlines()

    assert run("early") == (75, [])
    assert list(kept.iterdir()) == []
    code, said = run("inside")
    assert (code, said[0]) == (75, "state None") and said[1].startswith("stopped as asked: saved in ")
    code, said = run("between")
    assert (code, said[:2]) == (75, ["state inside", "finishes its step"])
    assert run("done") == (0, ["state between", "left []"])
