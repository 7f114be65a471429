"""Settings refuse what nobody would read, and say which file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.core.amounts import parse_mem
from jobs.core.jobs import GIB
from jobs.core.ports import BadInput
from jobs.installation.home import Home
from jobs.installation.settings import Settings


def load(folder: Path, text: str) -> Settings:
    path = folder / "settings.toml"
    path.write_text(text)
    return Settings.load(path)


def test_no_file_means_the_defaults(tmp_path: Path) -> None:
    assert Settings.load(tmp_path / "settings.toml") == Settings()


def test_every_section_is_read(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        """
        [admission]
        mem_headroom_bytes = "2G"
        foreign_cpu_tolerance = 1
        window = 64
        [screen]
        graph = "ascii"
        refresh_s = 0.5
        [keys]
        "job.new" = "a"
        job.hold = "H,ctrl+h"
        [recipes]
        folders = ["~/recipes", "/data/r"]
        [daemon]
        idle_exit_s = 0
        [defaults]
        mem = "512M"
        grace = 3
        priority = 10
        [jobs]
        stand_back = false
        log_max = "10M"
        """,
    )
    assert settings.admission.mem_headroom_bytes == 2 * GIB
    assert settings.admission.foreign_cpu_tolerance == 1.0
    assert settings.admission.window == 64
    assert settings.screen.graph == "ascii"
    assert settings.keys == {"job.new": "a", "job.hold": "H,ctrl+h"}
    assert settings.recipes.folders == ("~/recipes", "/data/r")
    assert settings.daemon.idle_exit_s == 0
    assert (settings.defaults.mem_bytes, settings.defaults.grace_s) == (GIB // 2, 3.0)
    assert settings.defaults.priority == 10
    assert settings.jobs.low_priority is False
    assert settings.jobs.log_max_bytes == 10 * 2**20


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[admision]\n", "Did you mean admission"),
        ("[admission]\nmem_headroom_byte = 1\n", "Did you mean mem_headroom_bytes"),
        ("[admission]\nslice_s = 1800\n", "Did you mean overdue_times"),
        ("[admission]\nslice_ratio = 10\n", "Did you mean overdue_ratio"),
        ("[screen]\nrefresh_s = 'fast'\n", "must be a number"),
        ("[screen]\nrefresh_s = 0\n", "more than 0"),
        ("[screen]\ngraph = 'pixels'\n", "one of braille, ascii"),
        ("[admission]\nwindow = 2.5\n", "whole number"),
        ("[admission]\nwindow = true\n", "whole number"),
        ("[admission]\nmem_headroom_fraction = 5\n", "from 0 to 1"),
        ("[admission]\nmem_headroom_bytes = 'lots'\n", "an amount of memory"),
        ("[daemon]\nidle_exit_s = nan\n", "0 or more"),
        ("[jobs]\nstand_back = 1\n", "must be true or false"),
        ("[defaults]\npriority = 101\n", "from 0 to 100"),
        ("[admission]\nusage_half_life_s = 0\n", "more than 0"),
        ("[recipes]\nfolders = 'here'\n", "list of texts"),
        ("[keys]\nnew = 5\n", "new in \\[keys\\]"),
        ("screen = 1\n", "must be a section"),
        ("[screen\n", "cannot be read"),
    ],
)
def test_what_is_wrong_is_refused_with_the_file(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as refused:
        load(tmp_path, text)
    assert str(tmp_path / "settings.toml") in refused.value.title


@pytest.mark.parametrize(
    ("text", "size"),
    [("512M", 512 * 2**20), ("4g", 4 * GIB), ("1.5GiB", 3 * GIB // 2), (" 7 ", 7), ("1 TB", 2**40)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_mem(text) == size


@pytest.mark.parametrize("text", ["", "G", "-1", "1X", "1e9", "4 G G", "inf"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(BadInput, match="amount of memory"):
        parse_mem(text)


def test_one_folder_holds_everything(tmp_path: Path) -> None:
    home = Home.find({"CRO_HOME": str(tmp_path / "deep" / "home")})
    home.make()
    home.make()
    for folder in (home.data, home.captured_variables, home.run, home.subscriptions, home.jobs):
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o777 == 0o700
    assert home.settings_file == home.data / "settings.toml"
    assert home.attempt(12345, 2) == home.jobs / "12" / "12345" / "2"


def test_without_it_the_platform_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    home = Home.find({})
    assert home.data == tmp_path / "data" / "cro-tui"
    assert home.settings_file == tmp_path / "config" / "cro-tui" / "settings.toml"
