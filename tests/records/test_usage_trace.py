"""A job's use over its life, as it was written down; what is damaged is passed over."""

from __future__ import annotations

from pathlib import Path

from jobs.records.usage_trace import Moment, binned, line_at, read

LINES = b"""\
{"at": 10.0, "cpus": null, "mem_bytes": 100, "log_bytes": 0}
not json
{"at": 11.0, "cpus": 1.5, "mem_bytes": 300, "log_bytes": 12}
{"cpus": 1.0}
{"at": 12.0, "cpus": true, "mem_bytes": 1e999, "log_bytes": "x"}
{"at": 13.0, "cpus": 0.5, "mem_bytes": 200}
{"at": 14.0, "cpu"""


def test_what_makes_sense_is_read(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_bytes(LINES)
    assert read(path) == (
        Moment(10.0, None, 100, 0),
        Moment(11.0, 1.5, 300, 12),
        Moment(12.0),
        Moment(13.0, 0.5, 200),
    )
    assert read(tmp_path / "none") == ()


def test_many_moments_become_few_that_keep_the_peaks() -> None:
    moments = [Moment(float(at), 1.0 if at == 77 else 0.0, at, at) for at in range(100)]
    cells = binned(moments, 10)
    assert len(cells) == 10
    assert [each.cpus for each in cells if each] == [0, 0, 0, 0, 0, 0, 0, 1, 0, 0]
    assert cells[-1] is not None and cells[-1].mem_bytes == 99
    assert len(binned(moments[:3], 10)) == 3
    assert binned([], 10) == binned(moments, 0) == ()


def test_a_gap_is_a_gap() -> None:
    cells = binned([Moment(0.0, 1.0), Moment(1.0, 1.0), Moment(2.0, 1.0), Moment(100.0, 1.0)], 4)
    assert [each is None for each in cells] == [False, True, True, False]


def test_the_line_of_a_moment(tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    log.write_bytes(b"one\ntwo\nthree is not whole")
    assert line_at(log, 8) == "two"
    assert line_at(log, 7) == "one"
    assert line_at(log, 3) == ""
    assert line_at(log, None) == ""
    assert line_at(tmp_path / "none", 5) == ""


def test_gpu_memory_is_joined_by_time_and_holds_for_a_while(tmp_path: Path) -> None:
    path = tmp_path / "usage.jsonl"
    path.write_text("".join(f'{{"at": {at}, "mem_bytes": 1}}\n' for at in (5, 10, 50, 170, 171)))
    (tmp_path / "gpu.jsonl").write_text(
        '{"at": 10, "gpu_mem_bytes": 7}\n{"at": 11, "gpu_mem_bytes": true}\nnonsense\n'
        '{"at": 50, "gpu_mem_bytes": 9}\n{"at": 170.5, "gpu_mem_bytes": -1}\n'
    )
    assert [moment.gpu_mem_bytes for moment in read(path)] == [None, 7, 9, 9, None]
