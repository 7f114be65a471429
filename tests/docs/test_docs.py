"""What the documents say is true: settings, commands, the recipe in the README, the links."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cro_tui.commands.group import MODULES
from jobs.installation.settings import Settings
from recipes.manifest import Recipe, parse

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
GUIDE = (ROOT / "docs" / "guide.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def block(text: str, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_settings_of_the_guide_are_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(block(GUIDE, "toml"))
    assert Settings.load(path) == Settings()


def test_the_commands_of_the_readme_are_the_commands() -> None:
    found = re.search(r"`(submit ls [a-z ]+)`", " ".join(README.split()))
    assert found is not None
    assert set(found[1].split()) == set(MODULES) - {"screen"}


def test_the_recipe_of_the_readme_is_one_and_runs(tmp_path: Path) -> None:
    path = tmp_path / "digits_forest.py"
    path.write_text(block(README, "python"))
    recipe = parse(path.read_text(), path)
    assert isinstance(recipe, Recipe)
    assert [param.name for param in recipe.params] == ["trees"]
    environ = {**os.environ, "CRO_OUTPUT_DIR": str(tmp_path)}
    subprocess.run([sys.executable, path, "--trees", "20"], env=environ, check=True, capture_output=True)
    assert json.loads((tmp_path / "metrics.json").read_text())["accuracy"] > 0.85


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} points at {target}"


def test_ci_calls_the_command_of_the_readme() -> None:
    command = "pip install uv && uv run pytest"
    assert command in README
    assert f"\n{command}\n" in (ROOT / ".ci" / "run").read_text()
