"""Replacing a file in one step: readers see the old content or the new one, never a part.

Standard library only, and little of it: the supervisor uses it, too. Two promises and no others: `replace`
survives a crash of this process, `replace_durably` also a power cut once it has returned.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


def replace(path: str | Path, content: bytes | str, mode: int = 0o600) -> None:
    """Put the content (text as UTF-8) in the place of the file, with these permissions. Raises OSError."""
    _replace(os.fspath(path), content, mode, durably=False)


def replace_durably(path: str | Path, content: bytes | str, mode: int = 0o600) -> None:
    """As `replace`; it returns once the content and the file's name are on the disk. Raises OSError."""
    _replace(os.fspath(path), content, mode, durably=True)
    sync(os.path.dirname(path) or ".")


def sync(path: str | Path) -> None:
    """Return once the file, or a folder's names, are on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(path: str, content: bytes | str, mode: int, *, durably: bool) -> None:
    folder, name = os.path.split(path)
    # hidden, and unique among threads and processes: two writers never share a temporary file
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.{os.urandom(4).hex()}.part")
    rest = content.encode() if isinstance(content, str) else content
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if durably:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except BaseException:
        try:
            os.unlink(temporary)
        except OSError:
            pass  # it was renamed, or the disk is gone
        raise
