"""Which environment variables an interpreter or a framework reads only once, while it starts.

Pure, standard library only. A warm process has read them already, so it can stand for a job only if the job
would have had the same ones, those included that its script sets before it imports the framework.
"""

from __future__ import annotations

import ast

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


def settings(source: bytes) -> list[tuple[str, str | None, bool]]:
    """What a script sets: the name, the text (None: who knows), whether it replaces what is there.

    Only `os.environ[NAME] = TEXT` and `os.environ.setdefault(NAME, TEXT)` are seen.
    """
    found: list[tuple[str, str | None, bool]] = []
    if b"environ" not in source:
        return found
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return found  # it will say so itself
    for node in ast.walk(tree):
        name, value, always = _setting(node)
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            text = value.value if isinstance(value, ast.Constant) else None
            found.append((name.value, text if isinstance(text, str) else None, always))
    return found


def with_settings(
    environ: Mapping[str, str], settings: list[tuple[str, str | None, bool]]
) -> tuple[dict[str, str], str | None]:
    """The variables once a script has set its own, and the first that matters and cannot be foreseen."""
    found = dict(environ)
    for name, text, always in settings:
        if name in found and not always:
            continue
        if text is not None:
            found[name] = text
        elif read_at_start({name: ""}):
            return found, name
    return found, None


def _setting(node: ast.AST) -> tuple[ast.AST | None, ast.AST | None, bool]:
    """Name, value, and whether it replaces what is there, of a statement that sets a variable."""
    if isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Subscript):
        return (target.slice, node.value, True) if _is_environ(target.value) else (None, None, False)
    if not isinstance(node, ast.Call) or not isinstance(called := node.func, ast.Attribute):
        return None, None, False
    if called.attr != "setdefault" or len(node.args) != 2 or not _is_environ(called.value):
        return None, None, False
    return node.args[0], node.args[1], False


def _is_environ(node: ast.AST) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == "environ") or (
        isinstance(node, ast.Name) and node.id == "environ"
    )


def differing(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """The names that are not the same in both, in order."""
    return sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
