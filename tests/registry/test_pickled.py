"""What a pickle would load is told in full, and nothing of it ever happens."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import joblib
import numpy
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jobs.core.ports import BadInput
from jobs.core.trust import unusual
from jobs.registry.inspect import inspect_file
from jobs.registry.pickle_scan import UnreadablePickle, names_in


class Runs:
    """Loading it would run a command."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self._what,)


def names(content: bytes) -> list[str]:
    return names_in(io.BytesIO(content))


@pytest.fixture(scope="module")
def pipeline() -> Any:
    rows = numpy.random.default_rng(0).random((60, 4))
    return make_pipeline(StandardScaler(), RandomForestClassifier(5)).fit(rows, rows[:, 0] > 0.5)


def looked_up(content: bytes) -> set[str]:
    """What the real loader looks up."""
    found: set[str] = set()

    class Loader(joblib.numpy_pickle.NumpyUnpickler):  # type: ignore[misc]
        def find_class(self, module: str, name: str) -> Any:
            found.add(f"{module}.{name}")
            return super().find_class(module, name)

    before = joblib.numpy_pickle.NumpyUnpickler
    joblib.numpy_pickle.NumpyUnpickler = Loader
    try:
        joblib.load(io.BytesIO(content))
    finally:
        joblib.numpy_pickle.NumpyUnpickler = before
    return found


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 1), ("bz2", 1), ("lzma", 1), ("xz", 1)])
def test_a_model_of_joblib_loads_just_what_was_told(pipeline: Any, compress: Any) -> None:
    file = io.BytesIO()
    odd = numpy.array(["a", None], dtype=object)  # an array of objects is a pickle within the pickle
    joblib.dump([pipeline, odd, numpy.zeros((0, 3)), numpy.zeros(2, dtype="U5")], file, compress=compress)
    content = file.getvalue()
    told = names(content)
    assert set(told) >= looked_up(content) and "sklearn.tree._tree.Tree" in told
    assert unusual(told) == ()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_of_a_pickle_happens(pipeline: Any, tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "mark"
    content = pickle.dumps([pipeline, Runs(f"touch {mark}")], protocol)
    told = names(content)
    assert unusual(told)[-1] in (f"{os.system.__module__}.system",)
    assert "sklearn.pipeline.Pipeline" in told and not mark.exists()
    pickle.loads(content)
    assert mark.exists(), "the file was harmless, and the test showed nothing"


def test_what_hides_in_an_array_of_objects_is_told(tmp_path: Path) -> None:
    file = io.BytesIO()
    joblib.dump(numpy.array([Runs(f"touch {tmp_path / 'mark'}")], dtype=object), file)
    assert f"{os.system.__module__}.system" in names(file.getvalue())
    assert not (tmp_path / "mark").exists()


_BOMB = b"\x80\x02" + b"(" + b"".join(b"h\x00h\x00\x86q\x00" for _ in range(3)) + b"."


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle at all",
        b"\x80\x04",
        b"\x80\x02\x82\x07.",  # a number for a name
        b"\x80\x02K\x01Q.",  # an object that lies elsewhere
        b"\x80\x04\x8c\x02os\x8c\x06system\x85\x8c\x01x\x93.",  # a name that is no text
        b"ZF0x1",
        zlib.compress(b"\x80\x04" * 100)[:-20],
        _BOMB,
    ],
)
def test_what_cannot_be_followed_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadablePickle):
        names(content)


def test_keys_are_never_hashed() -> None:
    """A tuple of a tuple of ..., each held twice: its hash would take longer than anybody lives."""
    nested = b"N" + b"".join(b"2\x86" for _ in range(300))
    assert names(b"\x80\x02}(" + nested + b"K\x01u.") == []
    assert names(b"\x80\x04\x8f(" + nested + b"\x90.") == []


def test_a_file_is_looked_at_in_a_process_with_limits(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    file = tmp_path / "model.pkl"
    file.write_bytes(pickle.dumps(Runs(f"touch {mark}")))
    seen = inspect_file(file)
    assert seen.types == (f"{os.system.__module__}.system",) and seen.needs_trust
    file.write_bytes(zlib.compress(b"\x80\x04B" + (3 << 30).to_bytes(4, "little") + bytes(64 << 20)))
    with pytest.raises(BadInput, match="cannot be told"):
        inspect_file(file)
    with pytest.raises(BadInput, match="cannot be read"):
        inspect_file(tmp_path / "missing.pkl")
    (tmp_path / "model.onnx").write_bytes(b"anything")
    assert inspect_file(tmp_path / "model.onnx").types is None
    assert not mark.exists()


def test_a_zip_that_grows_far_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.skops"
    packer = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    piece = packer.compress(bytes(64 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("schema.json", piece * 48)
        (told,) = made.infolist()
        told.compress_type, told.file_size = zipfile.ZIP_DEFLATED, 3 << 30
    assert file.stat().st_size < 32 << 20
    with pytest.raises(BadInput, match="it needs too much memory to read"):
        inspect_file(file)
