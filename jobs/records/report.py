"""What a program of ours reports about its own run: one JSON line in the file that `CRO_EVENTS` names.

`events.py` reads these lines back. Nothing happens without that variable, or where it cannot be written.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping


def report(event: Mapping[str, object]) -> None:
    """Append one event, in one write, so that lines of several writers never mix."""
    if path := os.environ.get("CRO_EVENTS"):
        line = (json.dumps(dict(event)) + "\n").encode()
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, line)
            finally:
                os.close(descriptor)
