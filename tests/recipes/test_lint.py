"""Header against code: what differs is found with its line, and what cannot be read is not judged."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jobs.client.recipe_check import check as check_file
from jobs.client.recipe_check import write_new
from jobs.core.ports import BadInput
from recipes import skeleton
from recipes.discover import library_folder
from recipes.lint import check, has_parser

HEADER = """\
# /// script
# [tool.cro]
# title = "t"
# [tool.cro.params]
# trees = { default = 100 }
# scale = { default = true }
# ///
import argparse
parser = argparse.ArgumentParser()
"""
BOTH = """\
parser.add_argument("--trees", type=int, default=100)
parser.add_argument("--scale", action=argparse.BooleanOptionalAction, default=True)
parser.parse_args()
"""


def found(code: str) -> list[tuple[int, str]]:
    return [(problem.line, problem.message) for problem in check(HEADER + code, Path("r.py"))]


def test_a_new_recipe_and_every_shipped_one_have_nothing_wrong() -> None:
    assert check(skeleton.script("mine"), Path("mine.py")) == ()
    shipped = sorted(library_folder().glob("*.py"))
    assert len(shipped) >= 8
    for path in shipped:
        assert check(path.read_text(), path) == (), path


def test_what_agrees_is_not_spoken_of() -> None:
    assert found(BOTH) == []
    assert found("p = {'trees': 100, 'scale': True} | json.loads(os.environ.get('CRO_PARAMS', '{}'))") == []
    assert found("print('no flags at all')") == []
    assert found("for name in names: parser.add_argument(name)") == []


def test_differences_have_their_line() -> None:
    ((line, said),) = found(BOTH.replace("default=100", "default=200"))
    assert line == 5 and "100 here, 200 in line 10" in said
    ((line, said),) = found(BOTH.replace('"--trees"', '"--forest"'))
    assert line == 5 and "no --trees" in said
    lines = found(BOTH.replace("argparse.BooleanOptionalAction, default=True", '"store_true"'))
    assert [line for line, _ in lines] == [6, 11]
    assert "BooleanOptionalAction" in lines[1][1]
    ((line, said),) = found(BOTH + 'parser.add_argument("--data", required=True)')
    assert line == 13 and "requires" in said and "data" in said
    ((_, said),) = found("p = {'trees': 1, 'scale': True} | json.loads(os.environ.get('CRO_PARAMS', '{}'))")
    assert "100 here, 1 " in said
    ((line, said),) = found("def (:")
    assert line == 10 and "Python cannot read it" in said


def test_a_file_without_a_header_says_how_to_get_one() -> None:
    ((problem),) = check("print(1)", Path("x.py"))
    assert "recipe new" in problem.message


def test_a_new_recipe_starts_and_is_never_overwritten(tmp_path: Path) -> None:
    path = write_new("mine", tmp_path / "recipes")
    assert check_file(path, lambda: sys.executable) == ()
    with pytest.raises(BadInput, match="already"):
        write_new("mine", tmp_path / "recipes")
    with pytest.raises(BadInput, match="cannot name"):
        write_new("../mine", tmp_path)
    with pytest.raises(BadInput, match="cannot be read"):
        check_file(tmp_path, lambda: sys.executable)


def test_a_start_that_fails_is_told_with_its_last_line(tmp_path: Path) -> None:
    path = tmp_path / "r.py"
    path.write_text(HEADER + "import there_is_no_such_module\n" + BOTH)
    (problem,) = check_file(path, lambda: sys.executable)
    assert "there_is_no_such_module" in problem.message
    assert check_file(path, None) == ()
    path.write_text(HEADER + BOTH.replace("parser.parse_args()", "") + "raise SystemExit(9)")
    assert not has_parser(path.read_text())
    assert check_file(path, lambda: sys.executable) == ()  # without a parser it would be run
