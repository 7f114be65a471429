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
