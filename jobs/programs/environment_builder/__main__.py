"""A build job, for the environment of a recipe.

`python -P -m jobs.programs.environment_builder --data FOLDER --settings FILE --recipe NAME KEY`.

Reports its phases, and why it failed, to CRO_EVENTS. Afterwards it removes the longest unused environments
where all together are larger than the settings say.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from jobs.core.ports import CroError
from jobs.environments import folder
from jobs.environments.build import build
from jobs.environments.in_use import needed
from jobs.installation.home import Home
from jobs.installation.settings import Settings
from jobs.records.report import report

FAILED = 1


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="jobs.programs.environment_builder", description="Builds a recipe's environment."
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--recipe", default="")
    parser.add_argument("key")
    asked = parser.parse_args(words)
    home = Home(asked.data, asked.settings)
    try:
        digest = build(
            home.recipe_environments, asked.key, asked.recipe, say=lambda phase: report({"phase": phase})
        )
    except (CroError, OSError) as error:
        report({"error": str(error)})
        print(error, file=sys.stderr)
        return FAILED
    packages = len(folder.packages_of(home.recipe_environments, digest))
    report({"phase": "done", "note": f"environment {digest}, {packages} packages"})
    print(f"environment {digest}, {packages} packages")
    with suppress(CroError, OSError, sqlite3.Error):
        most = Settings.load(home.settings_file).environments.max_bytes
        for gone in folder.prune(home.recipe_environments, {*needed(home.database), asked.key}, most):
            print(f"environment {gone} was removed to make room")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
