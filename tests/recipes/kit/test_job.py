"""What a recipe is granted and reports back, also from workers and forks, and when something is wrong."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from recipes.discover import library_folder
from recipes.library.kit import job

WORKERS = """
import os, sys
sys.path.insert(0, sys.argv[1])
from joblib import Parallel, delayed
from kit.job import report

def work(number):
    report(worker=number)
    return os.getpid(), len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0

report(note="before")
others = Parallel(2, batch_size=1)(delayed(work)(number) for number in range(200))
assert os.getpid() not in {pid for pid, _ in others}
assert max(opened for _, opened in others) < 100
if os.fork() == 0:
    report(note="fork")
    os._exit(0)
os.wait()
os.environ["CRO_EVENTS"] += ".other"
report(note="elsewhere")
"""


def test_reports_of_workers_and_forks_are_whole_lines_of_the_right_file(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    argv = [sys.executable, "-c", WORKERS, str(library_folder())]
    subprocess.run(argv, env={**os.environ, "CRO_EVENTS": str(events)}, check=True)
    first, *workers, last = (json.loads(line) for line in events.read_text().splitlines())
    assert (first, last) == ({"note": "before"}, {"note": "fork"})
    assert sorted(each["worker"] for each in workers) == list(range(200))
    assert (tmp_path / "events.jsonl.other").read_text() == '{"note": "elsewhere"}\n'


def test_a_report_that_cannot_be_written_does_not_stop_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CRO_EVENTS", str(tmp_path))  # a folder
    job.report(step=1)
    assert capsys.readouterr().err.startswith("note: nothing could be reported, ")
    monkeypatch.delenv("CRO_EVENTS")
    job.report(step=1)
    assert capsys.readouterr().err == ""


def test_only_finite_metrics_are_saved_and_they_are_the_last_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job.save_metrics({"accuracy": 0.9375, "loss": math.nan, "rows": 3}, tmp_path)
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"accuracy": 0.9375, "rows": 3.0}
    assert capsys.readouterr().out == "metrics  accuracy 0.9375  rows 3\n"
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


@pytest.mark.parametrize(
    ("granted", "cores"), [("3", 3), ("2.9", 2), ("0.1", 1), ("inf", 1), ("x", 1), ("", os.cpu_count())]
)
def test_cores_are_whole_and_at_least_one(
    monkeypatch: pytest.MonkeyPatch, granted: str, cores: int
) -> None:
    monkeypatch.setenv("CRO_CPUS", granted)
    assert job.cpus() == cores


def test_bad_data_is_one_printable_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")

    def main(argv: Sequence[str] | None) -> None:
        raise job.BadData(f"of\x1b[31m{argv}\n" + "x" * 1000)

    assert job.run(main, ["--data"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: of [31m['--data'] xxx")
    assert said.count("\n") == 1 and said[:-1].isprintable() and len(said) < 420
    assert job.run(lambda argv: None) == 0


def test_outputs_go_where_the_queue_says_or_beside_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRO_OUTPUT_DIR", str(tmp_path / "a" / "b"))
    assert job.output_folder() == tmp_path / "a" / "b" and (tmp_path / "a" / "b").is_dir()
    monkeypatch.delenv("CRO_OUTPUT_DIR")
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "/somewhere/forest.py", raising=False)
    assert job.output_folder() == Path("forest-output") and Path("forest-output").is_dir()
