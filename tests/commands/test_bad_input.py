"""Bad input gets one sentence that says what to type instead, exit code 2, and changes nothing."""

from __future__ import annotations

import pytest

from tests.commands.conftest import CommandLine


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["submt"], "submit"),
        (["submit"], "cro-tui recipes"),
        (["submit", "--"], "recipe"),
        (["submit", "no_such_recipe"], "no recipe 'no_such_recipe'"),
        (["submit", "sklearn_forrest"], "sklearn_forest"),
        (["submit", "python", "train.py"], "cro-tui submit -- python train.py"),
        (["submit", "sklearn_forest", "--", "true"], "not both"),
        (["submit", "sklearn_forest", "-p", "n_estimators"], "-p n_estimators=200"),
        (["submit", "sklearn_forest", "-p", "n_estimators=many"], "n_estimators"),
        (["submit", "sklearn_forest", "-p", "seed=1", "-p", "seed=2"], "twice"),
        (["submit", "--mem", "3X", "--", "true"], "1.5G"),
        (["submit", "--cpus", "two", "--", "true"], "like 2"),
        (["submit", "--cpus", "nan", "--", "true"], "like 2"),
        (["submit", "--cpus", "-1", "--", "true"], "more than 0"),
        (["submit", "--cpus", "4096", "--", "true"], "4096"),
        (["submit", "--mem", "900T", "--", "true"], "GiB"),
        (["submit", "--time", "soon", "--", "true"], "1h30m"),
        (["submit", "--gpus", "1.5", "--", "true"], "whole number"),
        (["submit", "--vram", "1G", "--", "true"], "GPU"),
        (["submit", "--priority", "101", "--", "true"], "0 to 100"),
        (["submit", "--priority", "high", "--", "true"], "whole number"),
        (["submit", "--after", "x", "--", "true"], "12 or #12"),
        (["submit", "--after", "maybe:1", "--", "true"], "any:12"),
        (["submit", "--after", "99", "--", "true"], "no job 99"),
        (["submit", "--cwd", "/no/such/folder", "--", "true"], "/no/such/folder"),
        (["submit", "--", "no-such-program-at-all"], "no-such-program-at-all"),
        (["submit", "--hold", "--wait", "--", "true"], "--hold"),
        (["submit", "--colour", "--", "true"], "--colour"),
        (["ls", "--state", "asleep"], "asleep"),
        (["ls", "--limit", "0"], "1 or more"),
        (["ls", "--sort", "size"], "priority"),
        (["show"], "ID"),
        (["show", "x"], "12 or #12"),
        (["show", "99999999999999999999999"], "12 or #12"),
        (["show", "4"], "no job 4"),
        (["logs", "4"], "no job 4"),
        (["logs", "1", "--attempt", "5"], "from 1 to 1"),
        (["logs", "1", "-f", "--json"], "--json"),
        (["why", "4"], "no job 4"),
        (["cancel"], "cro-tui ls"),
        (["cancel", "1", "4"], "no job 4"),
        (["cancel", "1", "--all"], "not both"),
        (["release", "4"], "no job 4"),
        (["priority", "1"], "cro-tui priority 1 80"),
        (["priority", "1", "high"], "+5"),
        (["priority", "1", "+-5"], "+5"),
        (["priority", "1", "101"], "0 to 100"),
        (["priority", "--sweep", "1", "101"], "0 to 100"),
        (["priority", "--sweep", "1", "+1"], "no sweep"),
        (["priority", "--sweep", "1", "1", "80"], "only one of them"),
        (["retry", "1"], "only an ended job"),
        (["retry"], "cro-tui ls"),
        (["wait"], "cro-tui ls"),
        (["wait", "4"], "no job 4"),
        (["daemon", "--stop", "--start"], "one thing"),
        (["daemon", "--stop", "--json"], "--status"),
        (["recipes", "nope"], "nope"),
        ([], "terminal"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_one_sentence_and_nothing_changes(cro: CommandLine, words: list[str], part: str) -> None:
    assert cro.submit("--hold", "--priority", "40", "--", "true") == 1
    before = cro("ls", "--json").json
    answer = cro(*words)
    assert answer.code == 2
    assert answer.out == ""
    assert part in answer.err
    assert len(answer.err.splitlines()) == 1
    assert "Traceback" not in answer.err
    assert cro("ls", "--json").json == before


def test_hostile_words_come_back_clean(cro: CommandLine) -> None:
    answer = cro("show", "\x1b[2J\x1b]0;x\x07")
    assert answer.code == 2
    assert answer.err.removesuffix("\n").isprintable()


def test_settings_that_nobody_reads_are_refused(cro: CommandLine) -> None:
    cro.settings("[admission]\nforeign_cpu_tolerence = 1\n")
    answer = cro("ls")
    assert (answer.code, answer.out) == (2, "")
    assert "foreign_cpu_tolerance" in answer.err


def test_a_damaged_database_is_unreachable_not_a_crash(cro: CommandLine) -> None:
    (cro.home / "cro.db").write_bytes(b"this is no database" * 500)
    answer = cro("ls")
    assert (answer.code, answer.out) == (3, "")
    assert "Traceback" not in answer.err
    (cro.home / "cro.db").unlink()
