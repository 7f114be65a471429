"""Which files of a model can run code when they are loaded, and whether this one may be loaded. Pure.

Shown are the names that a file would look up, never a verdict: no list of bad names is ever complete.
"""

from __future__ import annotations

from collections.abc import Iterable

from jobs.core.tracking import ModelCard, ModelFile

PICKLES = (".joblib", ".pkl", ".pickle")
SKOPS = ".skops"
_ROOTS = ("sklearn", "numpy", "scipy")
_PLAIN = frozenset(
    {
        "_codecs.encode",
        "builtins.bytearray",
        "builtins.frozenset",
        "builtins.set",
        "builtins.slice",
        "collections.OrderedDict",
        "joblib.numpy_pickle.NumpyArrayWrapper",
        "numpy.dtype",
        "numpy.ndarray",
        "numpy.random._pickle.__bit_generator_ctor",
        "numpy.random._pickle.__generator_ctor",
        "numpy.random._pickle.__randomstate_ctor",
        *(
            f"numpy.{core}.{name}"
            for core in ("core", "_core")
            for name in ("multiarray._reconstruct", "multiarray.scalar", "numeric._frombuffer")
        ),
    }
)


def is_pickle(path: str) -> bool:
    return path.endswith(PICKLES)


def unusual(types: Iterable[str]) -> tuple[str, ...]:
    """Those that are neither classes of scikit-learn, NumPy and SciPy nor what every such model loads."""
    return tuple(name for name in types if not _is_usual(name))


def _is_usual(name: str) -> bool:
    last = name.rpartition(".")[2].lstrip("_")
    return name in _PLAIN or (name.partition(".")[0] in _ROOTS and last[:1].isupper())


def is_foreign(card: ModelCard) -> bool:
    """Whether it is not what a job of this installation left."""
    return card.job_id <= 0 or bool(card.source)


def may_load(card: ModelCard, file: ModelFile) -> bool:
    """A pickle is loaded when a job of this installation wrote it, or a person agreed to this very file."""
    return not is_pickle(file.path) or not is_foreign(card) or card.trusted == file.sha256
