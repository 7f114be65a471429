"""From a card in the registry to an engine that answers: which one, after what checks.

A file is read once, compared with the digest on its card, and loaded from those very bytes. A pickle is
loaded when a job of this installation left it, or a person agreed to what it loads, and then it loads
nothing else. Compiling is done by another process, so that a service that answers by ONNX Runtime never
holds scikit-learn, and one that answers by LiteRT never TensorFlow.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.core.ports import BadInput, CroError
from jobs.core.tracking import ModelCard
from jobs.core.trust import PICKLES, SKOPS, is_foreign, may_load
from jobs.programs.serving import compiled, pickle_allowlist
from jobs.programs.serving.engines import Engine, KerasEngine, SklearnEngine
from jobs.programs.serving.rows import Rows
from jobs.registry.store import Registry

COMPILE_LIMIT_S = 300.0
_RUNTIMES = {".joblib": "ONNX Runtime", ".keras": "LiteRT"}
_SUFFIXES = (*PICKLES, SKOPS, ".keras")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A version that answers. `why_native` says why it is not compiled, where it could have been."""

    card: ModelCard
    engine: Engine
    why_native: str = ""


def load(registry: Registry, card: ModelCard, *, native_only: bool = False) -> LoadedModel:
    """The version, ready to answer. Raises BadInput where it cannot be served."""
    threads = max(1, int(float(os.environ.get("CRO_CPUS") or 1)))
    why = "it was asked for" if native_only else ""
    suffix = family(_agreed(card))
    if not native_only:
        tried = None
        if not (why := compiled.hopeless(card)):
            tried = compiled.outcome(registry, card, suffix) or _compiled_elsewhere(registry, card, suffix)
        if why:
            pass
        elif tried is None:
            why = "compiling it failed: see the log"
        elif tried.why:
            why = tried.why
        else:
            try:
                return LoadedModel(card, compiled.engine(registry, card, tried, threads))
            except Exception as error:  # the runtime raises anything for a file that it cannot use
                why = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    found = native(registry, card)
    if isinstance(card.sample, list) and card.signature and found.signature:
        try:
            rows = compiled.mixed(card.sample, found.signature)
        except ValueError:
            return LoadedModel(card, found, why)
        found.predict(Rows(1, {name: values[:1] for name, values in rows.columns.items()}))  # warm
    return LoadedModel(card, found, why)


def native(registry: Registry, card: ModelCard) -> Engine:
    """The model itself, in its own library. Raises BadInput."""
    path = _agreed(card)
    content = _checked(registry, card, path)
    what = f"{card.name}:{card.version}"
    try:
        if family(path) == ".joblib":
            model = _fitted(card, path, content)
            if not hasattr(model, "predict"):
                raise BadInput(f"{what} is a {type(model).__name__}: it cannot predict.")
            return SklearnEngine(model, card.signature)
        return _keras(registry, card, path, content)
    except CroError:
        raise
    except ImportError as error:
        raise BadInput(
            f"{what} needs {error.name or 'a package'}, which is not installed here.",
            "Install it, or serve another one.",
        ) from error
    except Exception as error:  # a file that its library cannot read makes it raise anything
        said = str(error).strip().splitlines()
        raise BadInput(
            f"{what} cannot be loaded: {(said or [type(error).__name__])[0][:300]}",
            "Register it again from its job.",
        ) from error


def family(path: str) -> str:
    """ ".keras", or ".joblib" for all that scikit-learn's objects are kept in."""
    return ".keras" if path.endswith(".keras") else ".joblib"


def _fitted(card: ModelCard, path: str, content: bytes) -> Any:
    if path.endswith(SKOPS):
        from skops.io import loads

        return loads(content, trusted=list(card.types))
    import joblib

    if not is_foreign(card):
        return joblib.load(io.BytesIO(content))
    with pickle_allowlist.allow_only(card.types):
        return joblib.load(io.BytesIO(content))


def _agreed(card: ModelCard) -> str:
    """The file to be loaded. Raises BadInput where nobody agreed to that."""
    path = main_file(card)
    file = next(file for file in card.files if file.path == path)
    if not may_load(card, file):
        raise BadInput(
            f"{card.name}:{card.version} is a pickle that no job here wrote, and nobody agreed to load it.",
            f"See what it would load, and agree: cro-tui model import FILE {card.name}",
        )
    return path


def main_file(card: ModelCard) -> str:
    """The file that is loaded. Raises BadInput where there is none."""
    for file in card.files:
        if file.path.endswith(_SUFFIXES):
            return file.path
    raise BadInput(
        f"{card.name}:{card.version} has no file that can be served, only {card.files[0].path}.",
        f"Served are {', '.join(_SUFFIXES)}.",
    )


def _checked(registry: Registry, card: ModelCard, path: str) -> bytes:
    """The file's bytes, which are those that were registered."""
    what = f"{path} of {card.name}:{card.version}"
    try:
        content = (registry.content(card) / path).read_bytes()
    except OSError as error:
        raise BadInput(
            f"{what} cannot be read: {error.strerror}.", "Register it again from its job."
        ) from error
    expected = next(file.sha256 for file in card.files if file.path == path)
    if hashlib.sha256(content).hexdigest() != expected:
        raise BadInput(
            f"{what} is damaged: it is not what was registered.", "Register it again from its job."
        )
    return content


def _keras(registry: Registry, card: ModelCard, path: str, content: bytes) -> KerasEngine:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow

    beside = str(Path(path).with_suffix(".json"))
    schema = None
    if any(file.path == beside for file in card.files):
        schema = json.loads(_checked(registry, card, beside))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "model.keras"
        copy.write_bytes(content)
        model = tensorflow.keras.models.load_model(copy, compile=False, safe_mode=True)
    return KerasEngine(model, schema, card.signature)


def _compiled_elsewhere(registry: Registry, card: ModelCard, suffix: str) -> compiled.Compiled | None:
    models = registry.content(card).parent.parent
    reference = f"{card.name}:{card.version}"
    words = [sys.executable, "-P", "-m", "jobs.programs.serving.compiling", str(models), reference]
    print(f"compiling {reference} for {_RUNTIMES[suffix]}", flush=True)
    environ = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    try:
        _quietly(words, environ)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"compiling {reference} failed: {error}", flush=True)
        return None
    return compiled.outcome(registry, card, suffix)


def _quietly(words: list[str], environ: dict[str, str]) -> None:
    """Run it; what it says is printed only when it fails. Raises OSError, SubprocessError."""
    null = subprocess.DEVNULL
    with tempfile.TemporaryFile() as said:
        try:
            subprocess.run(
                words,
                check=True,
                stdin=null,
                stdout=said,
                stderr=said,
                timeout=COMPILE_LIMIT_S,
                env=environ,
            )
        except (OSError, subprocess.SubprocessError):
            said.seek(max(0, said.seek(0, os.SEEK_END) - 4000))
            print(said.read().decode("utf-8", "replace"), flush=True)
            raise
