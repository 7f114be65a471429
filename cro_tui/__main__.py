"""The entry point: no argument opens the screen, a word runs a plain command.

Imports next to nothing itself, so that `cro-tui --version` and the plain commands start at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run and return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words in (["--version"], ["-V"]):
        from jobs import __version__

        print(f"cro-tui {__version__}")
        return 0
    from cro_tui.commands.group import run

    return run(words or ["screen"])


if __name__ == "__main__":
    sys.exit(main())
