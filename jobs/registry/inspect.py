"""Says what a model's file would load, in a process of its own with limits of memory and time.

`python -P -m jobs.registry.inspect FILE` prints one JSON object. Nothing of the file is executed, and
nothing that a pickle names is imported here.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.core.ports import BadInput
from jobs.core.trust import SKOPS, is_pickle
from jobs.registry.store import sha256_of

LIMIT_S = 120
_MEM_BYTES = 2 << 30  # besides the file's own size; the reader of .skops itself maps 0.6 GiB of it
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # each more maps memory of its own
_PROGRAM = ("-P", "-m", "jobs.registry.inspect")


@dataclass(frozen=True, slots=True)
class ModelFileReport:
    """A file as it was looked at. `types` are the names that it would look up, where it is of a kind that
    can run code: None where it is not. Empty means that all are known to be harmless.
    """

    path: str
    sha256: str
    types: tuple[str, ...] | None

    @property
    def needs_trust(self) -> bool:
        return bool(self.types) or (self.types is not None and is_pickle(self.path))


def inspect_file(path: Path) -> ModelFileReport:
    """What the file would load. Raises BadInput where that cannot be told."""
    digest = _digest(path)
    if not is_pickle(path.name) and path.suffix != SKOPS:
        return ModelFileReport(str(path), digest, None)
    why = "it took too long to read"
    try:
        done = subprocess.run(
            [sys.executable, *_PROGRAM, str(path.absolute())],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
            env={**os.environ, **_ONE_THREAD},
        )
        told = json.loads(done.stdout or b"{}")
        if isinstance(told.get("types"), list) and _digest(path) == digest:
            return ModelFileReport(str(path), digest, tuple(map(str, told["types"])))
        why = str(told.get("error") or "it needs too much memory or time to read")
    except (OSError, ValueError, subprocess.TimeoutExpired):
        pass
    raise BadInput(
        f"What {path.name[:200]} would load cannot be told, so it is not taken: {why}.",
        "Ask for it in another form: .skops, .keras or .onnx.",
    )


def _digest(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise BadInput(
            f"{str(path)[:200]!r} cannot be read: {error.strerror}.", "Name another file."
        ) from error


def main(words: Sequence[str]) -> int:
    path = Path(words[0])
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S))
    try:
        most = _MEM_BYTES + path.stat().st_size
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        if path.suffix == SKOPS:
            from skops.io import get_untrusted_types

            types = list(get_untrusted_types(file=path))
        else:
            from jobs.registry.pickle_scan import names_in

            with path.open("rb") as content:
                types = names_in(content)
        print(json.dumps({"types": types}))
    except MemoryError:
        print(json.dumps({"error": "it needs too much memory to read"}))
    except Exception as error:  # a stranger's file makes its library raise anything
        said = (str(error).splitlines() or [""])[0] or type(error).__name__
        print(json.dumps({"error": said[:300].rstrip(".")}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
