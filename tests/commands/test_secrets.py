"""Secrets by the real command line: a job has them, and nothing that is kept or shown does."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from jobs.core.ports import BadInput
from jobs.store.secrets import keep
from tests.commands.conftest import SMALL, CommandLine, Until

VALUE = "hunter2-hunter2-hunter2"
RECIPE = """\
# /// script
# [tool.cro]
# title = "Needs a token"
# resources = { cpus = 0.1, mem = "64M" }
# secrets = ["MY_TOKEN"]
# ///
import hashlib, os
print("digest", hashlib.sha256(os.environ["MY_TOKEN"].encode()).hexdigest(), flush=True)
"""


@pytest.fixture(autouse=True)
def recipe(cro: CommandLine) -> None:
    (cro.home / "recipes").mkdir()
    (cro.home / "recipes" / "needs.py").write_text(RECIPE)


def digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def kept(cro: CommandLine, value: str) -> None:
    asked = cro.process("secret", "set", "MY_TOKEN", stdin=subprocess.PIPE)
    out, err = asked.communicate(value + "\n", timeout=60)
    assert (asked.returncode, out) == (0, "MY_TOKEN is set.\n"), err


def holding(cro: CommandLine, value: str) -> list[Path]:
    files = [path for path in cro.home.rglob("*") if path.is_file()]
    return [path for path in files if value.encode() in path.read_bytes()]


def test_a_job_has_the_newest_value_and_nothing_else_does(cro: CommandLine, until: Until) -> None:
    refused = cro("submit", "needs")
    assert refused.code == 2 and "It needs the secret MY_TOKEN" in refused.err
    assert "cro-tui secret set MY_TOKEN" in refused.err
    kept(cro, "an older one, that is replaced")
    held = cro("submit", "needs", "--hold", "--json").json["id"]
    kept(cro, VALUE)
    cro("release", str(held))
    until(lambda: cro.state(held) == "succeeded", "its end")
    assert digest(VALUE) in cro("logs", str(held)).out
    file = cro.home / "secrets" / "MY_TOKEN"
    assert holding(cro, VALUE) == [file]
    assert file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700
    for words in (("secret", "list"), ("secret", "list", "--json"), ("show", str(held), "--json")):
        answer = cro(*words)
        assert answer.code == 0 and VALUE not in answer.out + answer.err
    assert "MY_TOKEN" in cro("secret", "list").out


def test_one_that_went_before_the_start_fails_the_job_and_says_so(cro: CommandLine, until: Until) -> None:
    kept(cro, VALUE)
    held = cro("submit", "needs", "--hold", "--json").json["id"]
    assert cro("secret", "remove", "MY_TOKEN").code == 0
    assert "no secret MY_TOKEN" in cro("secret", "remove", "MY_TOKEN").err
    cro("release", str(held))
    until(lambda: cro.state(held) == "failed", "its end")
    assert "its secret MY_TOKEN is gone" in cro("show", str(held)).out
    assert "It needs the secret" in cro("retry", str(held)).err


def test_a_variable_of_the_submitter_goes_first(
    cro: CommandLine, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(cro, VALUE)
    monkeypatch.setenv("MY_TOKEN", "mine")
    job_id = cro("submit", "needs", "--json").json["id"]
    until(lambda: cro.state(job_id) == "succeeded", "its end")
    assert digest("mine") in cro("logs", str(job_id)).out


@pytest.mark.parametrize(
    ("name", "value"),
    [("../up", "x"), ("PATH", "x"), ("LD_PRELOAD", "x"), ("CRO_EVENTS", "x"), ("a b", "x"), ("OK", "")],
)
def test_what_cannot_be_a_secret_is_refused(cro: CommandLine, name: str, value: str) -> None:
    asked = cro.process("secret", "set", "--", name, stdin=subprocess.PIPE)
    _, err = asked.communicate(value, timeout=60)
    assert asked.returncode == 2 and "Traceback" not in err
    assert not (cro.home / "secrets").exists()


def test_a_command_is_given_no_secret(cro: CommandLine, until: Until) -> None:
    kept(cro, VALUE)
    answer = cro("submit", *SMALL, "--quiet", "--wait", "--", "sh", "-c", 'test -z "$MY_TOKEN"')
    assert answer.code == 0, answer.err


def test_bytes_that_are_no_text_are_refused_as_such(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    with pytest.raises(BadInput, match="is no text") as refused:
        keep(folder, "MY_TOKEN", b"\xff\xfe".decode("utf-8", "surrogateescape"))
    assert "Pipe text" in str(refused.value) and not folder.exists()
