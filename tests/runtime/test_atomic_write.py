"""A file is replaced as a whole, or stays as it was."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.runtime import atomic_write


@pytest.mark.parametrize("replace", [atomic_write.replace, atomic_write.replace_durably])
def test_content_and_permissions_are_those_asked_for(tmp_path: Path, replace: Callable[..., None]) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    replace(path, "näw")
    assert path.read_text() == "näw" and path.stat().st_mode & 0o777 == 0o600
    replace(str(path), b"\x00\x01", 0o640)
    assert path.read_bytes() == b"\x00\x01" and path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["file"]


def test_a_bare_name_is_a_file_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    atomic_write.replace_durably("file", "x")
    assert (tmp_path / "file").read_text() == "x"


def test_where_it_cannot_be_written_the_old_content_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            atomic_write.replace(path, "new")
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["file"]
    with pytest.raises(FileNotFoundError):
        atomic_write.replace(tmp_path / "no" / "file", "new")


def test_readers_see_whole_contents_while_many_write(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = {letter * 70_000 for letter in "abcd"}
    atomic_write.replace(path, "a" * 70_000)

    def write(content: str) -> None:
        for _ in range(50):
            atomic_write.replace(path, content)

    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        seen.add(path.read_text())
    for writer in writers:
        writer.join()
    assert seen <= contents and path.read_text() in contents
    assert os.listdir(tmp_path) == ["file"]
