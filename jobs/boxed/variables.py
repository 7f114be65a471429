"""Which environment variables an interpreter or a framework reads only once, while it starts.

Pure, standard library only. A warm process has read them already, so it can stand for a job only if the job
would have had the same ones.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIXES = (
    *("PYTHON", "LD_", "DYLD_", "LC_", "MALLOC_", "GLIBC_", "TCMALLOC_"),
    *("TF_", "TF2_", "XLA_", "KERAS_", "ABSL_", "SKLEARN_", "SCIPY_", "NPY_", "NUMPY_"),
    *("OPENBLAS_", "OMP_", "GOMP_", "KMP_", "MKL_", "BLIS_"),
)
NAMES = frozenset({"HOME", "LANG", "LANGUAGE", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"})
# a warm process must have one thread only, or its children may hang
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "BLIS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # the allocator of pyarrow, which pandas loads
}
# what a job is granted: applied after the fork, or read late
GRANTED = frozenset(
    {*ONE_THREAD, "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "TF_FORCE_GPU_ALLOW_GROWTH"}
)


def read_at_start(environ: Mapping[str, str]) -> dict[str, str]:
    """Those variables that a warm process and its job must have in common."""
    return {
        name: value
        for name, value in environ.items()
        if (name in NAMES or name.startswith(PREFIXES)) and name not in GRANTED
    }


def differing(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """The names that are not the same in both, in order."""
    return sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
