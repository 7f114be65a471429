"""What is remembered of a run's beginning: other when a file or a package is, and never in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.runtime import provenance


def files(found: dict[str, object]) -> dict[str, str]:
    value = found["files"]
    assert isinstance(value, dict)
    return value


def test_files_are_known_by_their_content_wherever_a_word_names_them(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("1")
    (tmp_path / "data.csv").write_text("a")
    argv = ["/bin/sh", "train.py", f"--data={tmp_path}/data.csv", "--lr", "0.1", "", "no\0file", "x" * 5000]
    before = files(provenance.of(argv, str(tmp_path)))
    assert set(before) == {"train.py", f"{tmp_path}/data.csv"}
    assert files(provenance.of(argv, str(tmp_path))) == before
    (tmp_path / "data.csv").write_text("b")
    after = files(provenance.of(argv, str(tmp_path)))
    assert after["train.py"] == before["train.py"]
    assert after[f"{tmp_path}/data.csv"] != before[f"{tmp_path}/data.csv"]


def project(folder: Path, **texts: str) -> None:
    """Files by their paths, where `__` stands for a slash."""
    for name, text in texts.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize("script", ["train.py", "./code/train.py", "{here}/code/train.py"])
def test_modules_beside_a_script_count_as_its_files(tmp_path: Path, script: str) -> None:
    folder = tmp_path if script == "train.py" else tmp_path / "code"
    project(
        folder,
        train="""
            import json, model as m, os.path
            import nets.deep
            def later():
                from tools import (
                    plot,  # a module of the package
                    NUMBER,
                )
            from tools.text import clean; import unseen_here
            """,
        model="from helper import thing",
        helper="import model",  # in a circle
        nets__deep="from . import wide\nfrom .. import model",
        nets__wide="from ..helper import x\nfrom ...... import outside",
        tools__plot="",
        tools__text="from .words import WORDS",
        tools__words="",
        tools__spare="",
        spare="",
    )
    (folder / "tools" / "__init__.py").write_text("VERSION = 1")
    project(tmp_path.parent, outside="")
    script = script.format(here=tmp_path)
    argv = ["/bin/python3", script, "--epochs", "3"]
    before = files(provenance.of(argv, str(tmp_path)))
    beside = os.path.dirname(script)
    names = (
        *("train", "model", "helper", "nets/deep", "nets/wide"),
        *("tools/__init__", "tools/plot", "tools/text", "tools/words"),
    )
    assert set(before) == {os.path.join(beside, f"{name}.py") for name in names}
    project(folder, helper="import model\n")
    project(folder, spare="changed")
    after = files(provenance.of(argv, str(tmp_path)))
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {os.path.join(beside, "helper.py")}


def test_a_shipped_recipe_brings_the_modules_of_its_kit() -> None:
    library = Path(__file__).parents[2] / "recipes" / "library"
    found = files(provenance.of(["/bin/python3", f"{library}/sklearn_linear.py"], "/"))
    kit = {Path(path).stem for path in found if Path(path).parent == library / "kit"}
    assert kit == {"__init__", "checkpoints", "data", "flags", "job", "linear", "models", "pipelines"}


def test_imports_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "MOST_MODULES", 5)
    project(tmp_path, train="\n".join(f"import m{number}" for number in range(9)))
    for number in range(9):
        project(tmp_path, **{f"m{number}": ""})
    found = files(provenance.of(["python", "train.py"], str(tmp_path)))
    assert sorted(found) == ["m0.py", "m1.py", "m2.py", "m3.py", "m4.py", "train.py"]


HOSTILE = {
    "open parentheses": b"\nfrom m import (",
    "spaces": b" ",
    "names": b"\nimport " + b"m," * 400,
    "dots": b"\nfrom " + b"." * 150 + b" import m",
    "not text": bytes(range(256)),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_takes_long_or_leads_astray(tmp_path: Path, name: str) -> None:
    (tmp_path / "train.py").write_bytes((HOSTILE[name] * (1 << 20))[: 1 << 20])
    os.mkfifo(tmp_path / "m.py")  # nobody writes to it: reading would wait for ever
    assert list(files(provenance.of(["python", "train.py"], str(tmp_path)))) == ["train.py"]


def test_what_is_large_is_known_by_size_and_time_and_what_is_no_file_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "MOST_BYTES", 10)
    for name, text in (("one", "12345678"), ("two", "12345678")):
        (tmp_path / name).write_text(text)
    os.mkfifo(tmp_path / "pipe")  # nobody writes to it: reading would wait for ever
    found = files(provenance.of(["sh", "one", "two", "pipe", str(tmp_path)], str(tmp_path)))
    assert {path: said.split()[0] for path, said in found.items()} == {"one": "sha256", "two": "size"}


def test_packages_are_those_beside_the_python_that_runs(tmp_path: Path) -> None:
    packages = tmp_path / "lib/python3.12/site-packages"
    packages.mkdir(parents=True)
    (packages / "numpy-2.1.3.dist-info").mkdir()
    (packages / "numpy").mkdir()
    found = provenance.of([f"{tmp_path}/bin/python3", "-c", "pass"], "/")
    assert found["packages"] == {"python": "3.12", "numpy": "2.1.3"}
    assert found["machine"]
    assert provenance.of(["true"], "/") == {}
