"""simulate: replays of a trace and of a real past, side by side with changes; what is wrong is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.conftest import CommandLine

HEAD = "submit_s,runtime_s,cpus,mem_gb,gpus,user\n"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A long job, and every minute a short one that needs the whole machine."""
    path = tmp_path / "trace.csv"
    rows = ["0,7200,4,4,0,bo"] + [f"{60 * number},10,4,4,0,ann" for number in range(1, 40)]
    path.write_text(HEAD + "\n".join(rows) + "\n")
    return path


def test_a_trace_with_and_without_eviction(cro: CommandLine, trace: Path) -> None:
    told = cro("simulate", str(trace), "--on", "4,8G", "--set", "admission.evict=false", "--json").json
    assert told["jobs"] == 40
    before, after = told["before"]["figures"], told["after"]["figures"]
    assert before["evictions"] > 0
    assert after["evictions"] == 0
    assert before["slowdown_mean"] < after["slowdown_mean"]
    assert len(told["before"]["busy"]) == len(told["before"]["waiting"]) == 120
    assert max(told["before"]["busy"]) <= 1.0


def test_the_table_and_the_drawing(cro: CommandLine, trace: Path) -> None:
    out = cro("simulate", str(trace), "--on", "4,8G", "--cpus", "+4", "--mem", "+8G").out
    assert "40 jobs of trace.csv, on 4 cores, 8.0G of memory, 0 GPUs" in out
    assert "changed: 8 cores, 16.0G of memory, 0 GPUs" in out
    assert "as it is: machine in use" in out
    assert all(len(line) <= 80 for line in out.splitlines())
    alone = cro("simulate", str(trace), "--on", "4,8G").out
    assert "changed" not in alone


def test_it_draws_in_ascii_where_that_is_set(cro: CommandLine, trace: Path) -> None:
    cro.settings('[screen]\ngraph = "ascii"\n')
    assert cro("simulate", str(trace), "--on", "4,8G").out.isascii()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "admission.evikt=false"], "no key in [admission] 'evikt'"),
        (["--set", "evict"], "is no setting"),
        (["--set", "admission.evict=maybe"], "is no value"),
        (["--cpus", "-99"], "leaves nothing"),
        (["--on", "4"], "is no machine"),
        (["--load", "0"], "more than 0"),
        (["--last", "2"], "Only 2 jobs fit"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    cro: CommandLine, trace: Path, words: list[str], said: str
) -> None:
    done = cro("simulate", str(trace), "--on", "4,8G", *words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_a_trace_that_cannot_be_read_names_its_line(cro: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(HEAD + "0,10,1,1,0,a\n0,ten,1,1,0,a\n")
    assert "Line 3 of the trace" in cro("simulate", str(path)).err
    assert "cannot be read" in cro("simulate", str(tmp_path / "none.csv")).err


def test_a_young_machine_is_told_to_run_more_jobs_first(cro: CommandLine) -> None:
    assert "Let more jobs run first" in cro("simulate").err


def test_its_own_past_is_replayed(cro: CommandLine) -> None:
    ids = [cro.submit("--", "sleep", "0.2") for _ in range(5)]
    assert cro("wait", *map(str, ids)).code == 0
    told = cro("simulate", "--cpus", "+1", "--json").json
    assert told["jobs"] == 5
    assert told["before"]["figures"]["makespan_s"] >= 0.2
    assert told["after"] is not None
