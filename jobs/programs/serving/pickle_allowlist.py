"""A pickle from elsewhere is loaded by the names alone that a person was shown when it was registered.

Python tells of each name before it is looked up (`pickle.find_class`), whoever reads the pickle and however
it is nested; another name ends the load before anything comes of it. Only who loads models uses it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

_here = threading.local()
_hooked = threading.Lock()


class NotAllowed(Exception):
    """The file looks up a name that nobody was shown."""


@contextmanager
def allow_only(names: Iterable[str]) -> Iterator[None]:
    """Within this block, in this thread, a pickle may look up these names and no others."""
    if _hooked.acquire(blocking=False):  # once: a hook cannot be taken away again
        sys.addaudithook(_heard)
    _here.names = frozenset(names)
    try:
        yield
    finally:
        _here.names = None


def _heard(event: str, args: tuple[object, ...]) -> None:
    if event == "pickle.find_class" and (names := getattr(_here, "names", None)) is not None:
        name = f"{args[0]}.{args[1]}"
        if name not in names:
            raise NotAllowed(f"it looks up {name[:200]}, which is not among the names that were shown")
