"""Folders become a catalogue from headers alone, whatever lies in them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from recipes.discover import HEADER_BYTES, Broken, Finder, catalogue, library_folder
from recipes.manifest import Recipe


def write(path: Path, title: str = "A recipe", before: str = "", after: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{before}# /// script\n# [tool.cro]\n# title = "{title}"\n# ///\n{after}')
    return path


def test_recipes_and_broken_ones_sorted_by_name(tmp_path: Path) -> None:
    write(tmp_path / "zebra.py")
    write(tmp_path / "ant.py", title='x" y')
    (tmp_path / "script.py").write_text("print('no recipe')\n")
    (tmp_path / "notes.txt").write_text(write(tmp_path / "hidden" / "deep.py").read_text())
    found = catalogue([tmp_path])
    assert [entry.name for entry in found.entries] == ["ant", "zebra"]
    broken, recipe = found.entries
    assert isinstance(broken, Broken) and broken.problems[0].line == 3
    assert isinstance(recipe, Recipe) and recipe.path == tmp_path / "zebra.py"
    assert found.recipes == (recipe,) and found.notes == ()
    assert found.find("zebra") is recipe and found.find("bee") is None
    assert found.hint("zebre") == ' Did you mean "zebra"?'


def test_nothing_is_ever_run(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    write(tmp_path / "evil.py", after=f"open({str(touched)!r}, 'w')\nraise SystemExit(3)\n")
    assert [entry.name for entry in catalogue([tmp_path]).entries] == ["evil"]
    assert not touched.exists()


def test_the_first_folder_wins_and_the_hidden_one_is_told(tmp_path: Path) -> None:
    first = write(tmp_path / "a" / "same.py", title="First")
    second = write(tmp_path / "b" / "same.py", title="Second")
    found = catalogue([tmp_path / "a", tmp_path / "b", tmp_path / "a", tmp_path / "missing"])
    assert [entry.path for entry in found.entries] == [first]
    assert [(note.path, note.message) for note in found.notes] == [
        (second, f"same is hidden by the one in {tmp_path / 'a'}.")
    ]


def test_the_same_file_by_two_ways_is_no_clash(tmp_path: Path) -> None:
    write(tmp_path / "a" / "same.py")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    found = catalogue([tmp_path / "a", tmp_path / "b"])
    assert len(found.entries) == 1 and found.notes == ()


def test_hostile_files_neither_fail_nor_hang(tmp_path: Path) -> None:
    write(tmp_path / "good.py")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "loop.py").symlink_to(tmp_path / "loop.py")
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    (tmp_path / "device.py").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "junk.py").write_bytes(bytes(range(256)) * 1000)
    (tmp_path / "empty.py").touch()
    (tmp_path / "not_text.py").write_bytes(b'# /// script\n# [tool.cro]\n# title = "\xff\xfe"\n# ///\n')
    with (tmp_path / "huge.py").open("wb") as file:
        file.truncate(8 * 1024**3)
    write(tmp_path / "late.py", before="x = 1\n" * HEADER_BYTES)
    write(tmp_path / "[red]x\x1b[2J.py")
    (tmp_path / os.fsdecode(b"b\xffd.py")).write_text((tmp_path / "good.py").read_text())
    found = catalogue([tmp_path, tmp_path / "good.py", Path("/proc/self/nothing")])
    assert [entry.name for entry in found.recipes] == ["good", "not_text"]
    broken = {entry.name: entry.problems for entry in found.entries if isinstance(entry, Broken)}
    assert set(broken) == {"[red]x\x1b[2J", "b\ufffdd"}
    assert all("Rename the file" in problems[0].message for problems in broken.values())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_problem(tmp_path: Path) -> None:
    write(tmp_path / "secret.py").chmod(0)
    (entry,) = catalogue([tmp_path]).entries
    assert isinstance(entry, Broken) and "Permission denied" in entry.problems[0].message


def test_a_folder_of_too_many_files_is_told(tmp_path: Path) -> None:
    for number in range(1_001):
        (tmp_path / f"f{number:04}.py").touch()
    (note,) = catalogue([tmp_path]).notes
    assert note.message == "Only the first 1000 of its 1001 files were looked at."


def test_an_unchanged_file_is_not_read_again_and_a_changed_one_is(tmp_path: Path) -> None:
    path = write(tmp_path / "one.py", title="Old")
    finder = Finder()
    (old,) = finder.catalogue([tmp_path]).entries
    (again,) = finder.catalogue([tmp_path]).entries
    assert again is old
    write(path, title="Brand new")
    (new,) = finder.catalogue([tmp_path]).entries
    assert isinstance(new, Recipe) and new.title == "Brand new"
    path.unlink()
    assert finder.catalogue([tmp_path]).entries == ()


def test_the_library_is_whole() -> None:
    found = catalogue([library_folder()])
    assert found.notes == () and len(found.recipes) == len(found.entries)
    assert {entry.name for entry in found.recipes} >= {
        *("sklearn_preprocess", "sklearn_linear", "sklearn_forest", "sklearn_evaluate"),
        *("tf_preprocess", "tf_linear", "tf_deep", "tf_evaluate"),
    }


def test_the_package_beside_the_library_holds_no_recipes() -> None:
    assert catalogue([library_folder().parent]).entries == ()


def test_finding_recipes_loads_nothing_heavy() -> None:
    code = (
        "import sys; from recipes.discover import catalogue, library_folder; import recipes.params;"
        "assert catalogue([library_folder()]).recipes;"
        "print([name for name in ('numpy', 'pandas', 'sklearn', 'tensorflow', 'jobs', 'cro_tui')"
        " if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
