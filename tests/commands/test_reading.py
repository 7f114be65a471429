"""ls, show, logs, status, recipes, doctor: what they print, and to where."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.client.doctor import file_system_of
from tests.commands.conftest import CommandLine, Until

EVIL = "\x1b]0;owned\x07[bold]na\nme\u202e"


def test_ls_is_an_array_with_every_key(cro: CommandLine) -> None:
    assert cro("ls", "--json").json == []
    held = cro.submit("--hold", "--name", "one", "--", "true")
    (job,) = cro("ls", "--json").json
    keys = (
        "id name state exit_code priority needs usage reasons submitted_at started_at finished_at metrics"
    )
    assert set(keys.split()) <= set(job)
    assert (job["id"], job["name"], job["state"], job["exit_code"]) == (held, "one", "held", None)


def test_ls_filters_sorts_and_says_when_it_cuts(cro: CommandLine) -> None:
    assert "cro-tui submit" in cro("ls").err
    for name in ("alpha", "beta", "gamma"):
        cro.submit("--hold", "--name", name, "--", "true")
    assert [job["name"] for job in cro("ls", "--sort", "name", "--json").json] == ["alpha", "beta", "gamma"]
    assert [job["name"] for job in cro("ls", "bet", "--json").json] == ["beta"]
    assert cro("ls", "--state", "RUN,ended", "--json").json == []
    assert len(cro("ls", "--state", "held", "--json").json) == 3
    cut = cro("ls", "--limit", "2", "--json")
    assert len(cut.json) == 2
    assert "--all" in cut.err
    assert len(cro("ls", "--all", "--json").json) == 3
    assert cro("ls", "nothing").out == ""


def test_the_table_is_aligned_and_hostile_names_stay_one_line(cro: CommandLine) -> None:
    cro.submit("--hold", "--name", EVIL, "--", "true")
    cro.submit("--hold", "--name", "plain", "--", "true")
    head, *rows = cro("ls").out.splitlines()
    assert len(rows) == 2
    assert all(row.isprintable() for row in rows)
    assert "]0;owned[bold]na me" in rows[0] + rows[1]
    at = head.index("WHY")
    assert all(row[at:].startswith("held by you") for row in rows)
    assert "\x1b" not in cro("show", "1").out + cro("why", "1").out
    assert cro("show", "1", "--json").json["name"] == EVIL


def test_ls_shows_how_far_a_running_job_is(cro: CommandLine, until: Until) -> None:
    job_id = cro.submit("--", "sh", "-c", "printf 'step 1/20\\rstep 9/20'; sleep 60")
    until(lambda: "45%" in cro("ls").out, "the progress")
    assert cro.state(job_id) == "running"


def test_show_tells_needs_story_and_next_step(cro: CommandLine) -> None:
    job_id = cro.submit("--time", "5m", "--", "sh", "-c", "exit 3")
    cro("wait", str(job_id))
    text = cro("show", f"#{job_id}").out
    for part in (
        "failed: exit code 3",
        "0.1 cores, 64M memory, at most 5m",
        "sh -c 'exit 3'",
        "cro-tui logs 1",
    ):
        assert part in text
    assert {"submitted", "running", "failed"} <= {
        entry["event"] for entry in cro("show", str(job_id), "--json").json["history"]
    }


def test_logs_are_the_bytes_in_a_pipe_and_lines_in_json(cro: CommandLine) -> None:
    script = r"printf 'one\ntwo\033[31m\nthree'; printf err >&2"
    job_id = cro.submit("--", "sh", "-c", script)
    cro("wait", str(job_id))
    assert cro("logs", str(job_id)).out == "one\ntwo\x1b[31m\nthreeerr"
    assert cro("logs", str(job_id), "-n", "2").out == "two\x1b[31m\nthreeerr"
    assert cro("logs", str(job_id), "-n", "0").out == ""
    assert cro("logs", str(job_id), "-n", "99").out == "one\ntwo\x1b[31m\nthreeerr"
    assert cro("logs", str(job_id), "--json").json["lines"] == ["one", "two", "threeerr"]


def test_the_end_of_a_long_log_is_found_across_blocks(cro: CommandLine) -> None:
    job_id = cro.submit("--", "sh", "-c", "seq 1 60000; printf '%200000s\\n' x; echo end")
    cro("wait", str(job_id))
    assert cro("logs", str(job_id), "-n", "1").out == "end\n"
    assert len(cro("logs", str(job_id), "-n", "2").out) == 200_001 + 4
    assert cro("logs", str(job_id), "-n", "3").out.startswith("60000\n")
    assert cro("logs", str(job_id), "-n", "60002").out.startswith("1\n2\n")
    assert cro("logs", str(job_id), "-n", "60001").out.startswith("2\n3\n")


def test_following_prints_everything_and_leaves_with_the_fate(cro: CommandLine) -> None:
    answer = cro(
        "submit", "--cpus", "0.1", "--mem", "64M", "--follow", "--",
        "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done; exit 5",
    )  # fmt: skip
    assert answer.code == 5
    assert answer.out.endswith("1\n2\n3\n")
    assert "failed: exit code 5" in answer.err


def test_logs_of_a_job_that_has_not_started(cro: CommandLine) -> None:
    job_id = cro.submit("--hold", "--", "true")
    answer = cro("logs", str(job_id))
    assert (answer.code, answer.out) == (0, "")
    assert f"cro-tui release {job_id}" in answer.err


def test_status(cro: CommandLine, until: Until) -> None:
    cro.submit("--hold", "--", "true")
    until(lambda: cro("status", "--json").json["counts"]["held"], "the scheduler to have read it")
    text = cro("status").out
    for part in ("CPU ", "MEM ", "GPU ", "held 1", "scheduler running"):
        assert part in text
    table = cro("status", "--json").json
    assert table["counts"]["held"] == 1
    assert table["capacity"]["cpus"] > 0
    assert table["sample"]["mem_total_bytes"] > 0
    assert table["daemon"]["running"] is True


def test_daemon_status_and_a_second_one_is_refused(cro: CommandLine) -> None:
    assert cro("daemon", "--status").out == "Scheduler not running.\n"
    assert cro("daemon", "--start").code == 0
    table = cro("daemon", "--status", "--json").json
    assert table["running"] is True
    answer = cro("daemon")
    assert answer.code == 2
    assert str(table["pid"]) in answer.err
    assert "cro-tui daemon --stop" in answer.err


def test_recipes(cro: CommandLine) -> None:
    names = {recipe["name"] for recipe in cro("recipes", "--json").json}
    assert {"sklearn_forest", "tf_deep"} <= names
    assert "Random forest" in cro("recipes").out
    one = cro("recipes", "sklearn_forest")
    assert "n_estimators" in one.out
    assert "cro-tui submit sklearn_forest" in one.out
    assert cro("recipes", "sklearn_forest", "--json").json["framework"] == "sklearn"
    wrong = cro("recipes", "sklearn_forrest")
    assert (wrong.code, wrong.out) == (2, "")
    assert "sklearn_forest" in wrong.err


def test_a_broken_recipe_is_named_with_its_line(cro: CommandLine) -> None:
    folder = cro.home / "recipes"
    folder.mkdir()
    (folder / "bad.py").write_text("# /// script\n# [tool.cro]\n# titel = 3\n# ///\n")
    assert "bad.py, line " in cro("recipes").err
    findings = cro("doctor", "--json").json
    assert any("bad.py" in each["text"] and each["level"] == "warn" for each in findings)
    refused = cro("submit", "bad")
    assert (refused.code, refused.out) == (2, "")


def test_doctor_is_content_with_a_sound_installation(cro: CommandLine) -> None:
    answer = cro("doctor", "--json")
    assert answer.code == 0
    levels = {each["check"]: each["level"] for each in answer.json}
    for check in ("python", "files", "sqlite", "settings", "database", "sockets", "scheduler", "recipes"):
        assert levels[check] == "ok", answer.out
    assert "write-ahead log works" in cro("doctor").out
    assert not list((cro.home / "run").glob("doctor*"))


def test_doctor_fails_on_settings_that_cannot_be_used(cro: CommandLine) -> None:
    cro.settings("[admission]\nmem_headroom = 3\n")
    answer = cro("doctor")
    assert answer.code == 1
    assert "fail  settings" in answer.out


def test_doctor_warns_of_a_folder_that_others_can_read(cro: CommandLine) -> None:
    cro.home.chmod(0o755)
    assert "chmod 700" in cro("doctor").out
    cro.home.chmod(0o700)


@pytest.mark.parametrize("command", ["submit", "ls", "show", "logs", "why", "cancel", "hold", "release"])
def test_help_teaches_by_example(cro: CommandLine, command: str) -> None:
    answer = cro(command, "--help")
    assert answer.code == 0
    assert f"cro-tui {command} " in answer.out.split("Options:")[0].split("\n", 1)[1] + "cro-tui ls "


def test_doctor_knows_what_file_system_holds_a_folder(tmp_path: Path) -> None:
    assert file_system_of(Path("/proc/self/fd")) == "proc"
    assert file_system_of(tmp_path / "not" / "there") == file_system_of(tmp_path) is not None
