"""Models in folders: addressed by content, found by alias, and only ever from the job's own folder."""

from __future__ import annotations

import json
import os
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from jobs.core.ports import BadInput, CroError, WrongState
from jobs.core.tracking import Column
from jobs.registry.imports import main_file
from jobs.registry.signature import signature_of
from jobs.registry.store import Registry

CARD: dict[str, Any] = {
    "name": "digits", "flavor": "sklearn", "registered_at": 1.0, "job_id": 7, "attempt": 1,
    "metrics": {"loss": 1.0, "accuracy": 0.9}, "better": (("accuracy", "max"),),
    "signature": (Column("a", "number"),), "params": {"depth": 3},
}  # fmt: skip


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def output(tmp_path: Path, content: str) -> Path:
    folder = tmp_path / "output"
    folder.mkdir(exist_ok=True)
    (folder / "model.joblib").write_text(content)
    return folder


def versions(registry: Registry, tmp_path: Path, *contents: str) -> None:
    for content in contents:
        registry.register(output(tmp_path, content), ["model.joblib"], CARD)


def test_the_same_files_are_the_same_version(registry: Registry, tmp_path: Path) -> None:
    first, is_new = registry.register(output(tmp_path, "one"), ["model.joblib"], CARD)
    assert is_new and first.version == 1
    again, is_new = registry.register(output(tmp_path, "one"), ["model.joblib"], {**CARD, "job_id": 8})
    assert not is_new and (again.version, again.job_id) == (1, 7)
    other, is_new = registry.register(output(tmp_path, "two"), ["model.joblib"], CARD)
    assert is_new and other.version == 2 and other.digest != first.digest
    named, _ = registry.register(output(tmp_path, "one"), ["model.joblib"], {**CARD, "name": "copy"})
    assert named.digest == first.digest
    assert (registry.content(named) / "model.joblib").read_text() == "one"
    assert registry.card("digits:1") == first
    assert first.main_metric == ("accuracy", 0.9)
    assert [model.name for model in registry.names()] == ["copy", "digits"]


def test_aliases_move_and_roll_back(registry: Registry, tmp_path: Path) -> None:
    versions(registry, tmp_path, "one", "two", "three")
    assert registry.card("digits").version == 3
    for version in (1, 2, 2, 3):
        registry.promote(f"digits:{version}", "champion")
    registry.promote("digits:v1", "challenger")
    assert registry.card("digits@champion").version == 3
    assert registry.model("digits").aliases == {"champion": 3, "challenger": 1}
    assert registry.roll_back("digits", "champion").version == 2
    assert registry.roll_back("digits", "champion").version == 1
    for alias in ("champion", "nobody"):
        with pytest.raises(WrongState):
            registry.roll_back("digits", alias)
    assert registry.card("digits@champion").version == 1


@pytest.mark.parametrize(
    "wrong", ["", "nothing", "digits:9", "digits@nobody", "../digits", "digits/1", "digits:0x1", "a b"]
)
def test_what_is_not_there_is_said(registry: Registry, tmp_path: Path, wrong: str) -> None:
    versions(registry, tmp_path, "one")
    with pytest.raises(BadInput):
        registry.card(wrong)


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "x" * 65, "two words"])
def test_names_cannot_leave_the_folder(registry: Registry, tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput):
        registry.register(output(tmp_path, "one"), ["model.joblib"], {**CARD, "name": name})


def test_only_plain_files_of_the_output_are_taken(registry: Registry, tmp_path: Path) -> None:
    folder = output(tmp_path, "one")
    (tmp_path / "secret").write_text("x")
    (folder / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "pipe")
    for path in ("../secret", str(tmp_path / "secret"), "link", "pipe", "missing", "."):
        with pytest.raises(BadInput):
            registry.register(folder, [path], CARD)
    assert registry.names() == ()


def test_an_export_is_whole_and_a_damaged_file_is_not_given_out(registry: Registry, tmp_path: Path) -> None:
    versions(registry, tmp_path, "one")
    folder = registry.export("digits", tmp_path / "out")
    assert (folder / "model.joblib").read_text() == "one"
    assert json.loads((folder / "card.json").read_text())["job_id"] == 7
    with pytest.raises(BadInput, match="already"):
        registry.export("digits", tmp_path / "out")
    stored = registry.content(registry.card("digits")) / "model.joblib"
    stored.chmod(0o600)
    stored.write_text("other")
    with pytest.raises(CroError, match="damaged"):
        registry.export("digits", tmp_path / "again")


def test_damaged_cards_and_strange_files_are_passed_over(registry: Registry, tmp_path: Path) -> None:
    versions(registry, tmp_path, "one", "two")
    folder = tmp_path / "models" / "names" / "digits"
    (folder / "2.json").write_text("{")
    (folder / "x.json").write_text("[]")
    (folder / "aliases.json").write_text('{"champion": [1, "x"], "no one": 3}')
    model = registry.model("digits")
    assert [card.version for card in model.versions] == [1]
    assert model.aliases == {"champion": 1}


def _register(folder: str, number: int) -> None:
    source = Path(folder) / f"output{number}"
    source.mkdir()
    (source / "model.joblib").write_text(f"model {number}")
    Registry(Path(folder) / "models").register(source, ["model.joblib"], CARD)


def test_registering_at_the_same_time_loses_no_version(registry: Registry, tmp_path: Path) -> None:
    context = get_context("fork")
    workers = [context.Process(target=_register, args=(str(tmp_path), number)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert [card.version for card in registry.model("digits").versions] == [6, 5, 4, 3, 2, 1]
    assert len({card.digest for card in registry.model("digits").versions}) == 6


def test_a_signature_is_what_a_few_rows_tell() -> None:
    rows = [{"a": 1, "b": "x", "c": True}, {"a": None, "b": None, "d": [1]}]
    kinds = {column.name: column.kind for column in signature_of(rows)}
    assert kinds == {"a": "number", "b": "text", "c": "flag", "d": "list"}
    assert [column.name for column in signature_of([[1, 2.5], [3, "x"]])] == ["0", "1"]
    assert [column.kind for column in signature_of([[1, 2.5], [3, "x"]])] == ["number", "text"]
    for odd in (None, [], "x", [1, 2], [{"a": 1}, [2]]):
        assert signature_of(odd) == ()


def test_a_folder_without_a_model_is_told_what_one_holds(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"anything")
    with pytest.raises(BadInput, match="holds no model") as refused:
        main_file(tmp_path)
    assert "Name the file itself" in str(refused.value) and ".onnx" not in str(refused.value)
    assert main_file(tmp_path / "model.onnx") == tmp_path / "model.onnx"
    (tmp_path / "model.keras").write_bytes(b"anything")
    assert main_file(tmp_path) == tmp_path / "model.keras"
