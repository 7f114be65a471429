"""Models that come from elsewhere and go there: what is agreed to is loaded, and nothing besides."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path
from typing import Any

import joblib
import pytest

from jobs.client.share import shared
from jobs.core.ports import BadInput, WrongState
from jobs.core.tracking import ModelCard
from jobs.programs.serving.engines import SklearnEngine
from jobs.programs.serving.loading import load, native
from jobs.programs.serving.pickle_allowlist import NotAllowed, allow_only
from jobs.registry.imports import import_model, main_file
from jobs.registry.inspect import inspect_file
from jobs.registry.store import Registry
from tests.registry.test_pickled import Runs
from tests.serving.conftest import Trained


def imported(registry: Registry, path: Path, **more: Any) -> ModelCard:
    wanted: dict[str, Any] = {"name": "wine", "trusted": True, "sample": None, "note": "", "licence": ""}
    return import_model(registry, inspect_file(main_file(path)), now=1.0, **(wanted | more))[0]


@pytest.fixture
def forest(registry: Registry, forests: tuple[Trained, Trained]) -> Trained:
    forests[0].register(registry, "own")
    return forests[0]


def answers(registry: Registry, card: ModelCard, rows: list[dict[str, Any]]) -> list[Any]:
    import pandas

    engine = native(registry, card)
    assert isinstance(engine, SklearnEngine)
    return list(engine.fitted.predict(pandas.DataFrame(rows)))


def test_a_pickle_from_elsewhere_is_not_taken_until_somebody_agrees(
    registry: Registry, forest: Trained
) -> None:
    with pytest.raises(WrongState, match="nobody has agreed"):
        imported(registry, forest.output / forest.file, trusted=False)
    assert [model.name for model in registry.names()] == ["own"]
    card = imported(registry, forest.output / forest.file)
    assert card.trusted == card.files[0].sha256 and "sklearn.tree._tree.Tree" in card.types
    own = registry.card("own")
    assert answers(registry, card, forest.sample) == answers(registry, own, forest.sample)


def test_a_service_loads_no_pickle_that_nobody_agreed_to(registry: Registry, tmp_path: Path) -> None:
    """A card that came with somebody's folder, and one that was agreed to for another file."""
    mark = tmp_path / "mark"
    (tmp_path / "model.joblib").write_bytes(pickle.dumps(Runs(f"touch {mark}")))
    card = {
        "flavor": "sklearn",
        "registered_at": 1.0,
        "job_id": 0,
        "attempt": 0,
        "source": "/x/model.joblib",
    }
    for name, trusted in (("one", ""), ("other", "0" * 64)):
        made, _ = registry.register(
            tmp_path,
            ["model.joblib"],
            {**card, "name": name, "trusted": trusted, "types": ("posix.system",)},
        )
        for loading in (load, native):
            with pytest.raises(BadInput, match="nobody agreed to load it"):
                loading(registry, made)
    assert not mark.exists()


def test_a_trusted_file_loads_the_names_that_were_shown_and_no_others(
    registry: Registry, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "model.joblib").write_bytes(pickle.dumps(Runs(f"touch {mark}")))
    seen = inspect_file(tmp_path / "model.joblib")
    card, _ = registry.register(
        tmp_path,
        ["model.joblib"],
        {"name": "x", "flavor": "sklearn", "registered_at": 1.0, "job_id": 0, "attempt": 0,
         "source": "/x", "trusted": seen.sha256, "types": ("numpy.dtype",)},
    )  # fmt: skip
    with pytest.raises(BadInput, match="not among the names that were shown"):
        native(registry, card)
    assert not mark.exists()
    with pytest.raises(NotAllowed), allow_only(["a.b"]):
        pickle.loads(pickle.dumps(os.getcwd))
    assert pickle.loads(pickle.dumps(os.getcwd)) is os.getcwd


def test_what_changes_between_the_look_and_the_copy_is_not_taken(
    registry: Registry, forest: Trained, tmp_path: Path
) -> None:
    file = tmp_path / "model.joblib"
    file.write_bytes((forest.output / forest.file).read_bytes())
    seen = inspect_file(file)
    joblib.dump(1, file)
    with pytest.raises(BadInput, match="changed while it was looked at"):
        import_model(
            registry, seen, name="x", trusted=True, sample=None, note="", licence="", now=time.time()
        )


def test_what_is_shared_is_no_pickle_and_comes_back(
    registry: Registry, forest: Trained, tmp_path: Path
) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    shared(tmp_path / "models", "own:1", folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "card.json", "compiled.json", "model.onnx", "model.skops",
    ]  # fmt: skip
    assert str(tmp_path) not in (folder / "card.json").read_text()
    card = imported(registry, folder, name="back")
    assert card.flavor == "skops" and card.sample == forest.sample and card.types
    assert answers(registry, card, forest.sample) == answers(registry, registry.card("own"), forest.sample)


@pytest.mark.parametrize("name", ["nothing.bin", "missing.joblib", "empty", "link.joblib"])
def test_what_is_no_model_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "nothing.bin").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link.joblib").symlink_to(tmp_path / "nothing.bin")
    with pytest.raises(BadInput):
        inspect_file(main_file(tmp_path / name))
