"""Starts the job's first process: its environment, folder, streams and session, with all signals restored.

Standard library only. What cannot be started says so in one sentence and with the exit code that a shell
would give.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from jobs.runtime import job_folder
else:
    import job_folder

# what this process or the launcher ignores; handlers are reset by exec anyway
IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ)


class CannotStart(Exception):
    """The job never ran. `code` is 127 for a missing command, else 126."""

    def __init__(self, text: str, code: int = 126) -> None:
        super().__init__(text)
        self.code = code


def start(spec: dict[str, Any], log: int) -> int:
    """Run the argv of the spec in a session of its own and return its pid; leaves us in the job's cwd.

    Raises CannotStart.
    """
    environ = prepare(spec)
    argv: list[str] = spec["argv"]
    try:
        os.environ["PATH"] = environ.get("PATH", os.defpath)  # where posix_spawnp looks
        return os.posix_spawnp(
            argv[0],
            argv,
            environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=IGNORED,
        )
    except (OSError, ValueError, TypeError) as error:
        missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
        raise CannotStart(f"{argv[0]} cannot be run: {_why(error)}", 127 if missing else 126) from None


def prepare(spec: dict[str, Any]) -> dict[str, str]:
    """Enter the job's cwd and return its environment. Raises CannotStart."""
    captured = job_folder.read_json(spec["environment_path"])
    if captured is None:
        raise CannotStart("its captured environment is gone; submit it again")
    try:
        os.chdir(spec["cwd"])
    except (OSError, ValueError) as error:
        raise CannotStart(f"its folder {spec['cwd']} cannot be entered: {_why(error)}") from None
    return {**captured, **_secrets(spec), **spec["extra_env"]}


def _secrets(spec: dict[str, Any]) -> dict[str, str]:
    """The values of the secrets that it names, as they are now. Raises CannotStart, with no value in it."""
    found: dict[str, str] = {}
    for name in spec.get("secrets") or ():
        try:
            with open(
                os.path.join(spec["secrets_folder"], name), "rb", opener=job_folder.open_file
            ) as file:
                found[name] = os.fsdecode(file.read())
        except OSError:
            raise CannotStart(f"its secret {name} is gone: cro-tui secret set {name}") from None
    return found


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
