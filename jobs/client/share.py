"""Asks the process that writes a model for others (`sharing.py`): who asks loads nothing of a model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from jobs.core.ports import BadInput, StateUnavailable

LIMIT_S = 600.0
_PROGRAM = ("-P", "-m", "jobs.programs.serving.export")


def shared(models: Path, reference: str, folder: Path) -> None:
    """Have it written into the folder. Raises BadInput, StateUnavailable."""
    environ = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    try:
        done = subprocess.run(
            [sys.executable, *_PROGRAM, str(models), reference, str(folder)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
            env=environ,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StateUnavailable(f"{reference} could not be written: {error}.", "Try it again.") from error
    if done.returncode:
        raise BadInput(*_reason(done.stdout, done.stderr))


def _reason(said: bytes, besides: bytes) -> tuple[str, str]:
    """What went wrong, and what to do."""
    try:
        title, detail = json.loads((said.splitlines() or [b""])[-1])
        return str(title), str(detail)
    except (ValueError, TypeError):
        last = (besides.decode("utf-8", "replace").strip().splitlines() or ["it was ended"])[-1]
        return f"It could not be written: {last[:300]}.", "cro-tui model export NAME copies it as it is."
