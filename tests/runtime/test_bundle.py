"""The records of a job folder: whatever is found in them, an answer or None, never an exception."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.records.exits import exit_of, usage_of
from jobs.runtime import job_folder

in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@in_one_folder
@given(st.binary(max_size=200))
def test_rubbish_is_no_record(tmp_path: Path, content: bytes) -> None:
    for name in (job_folder.EXIT, job_folder.USAGE):
        (tmp_path / name).write_bytes(content)
    (tmp_path / job_folder.OUTPUT).mkdir(exist_ok=True)
    (tmp_path / job_folder.OUTPUT / job_folder.METRICS).write_bytes(content)
    found = job_folder.read_json(str(tmp_path / job_folder.EXIT))
    assert found is None or isinstance(found, dict)
    assert job_folder.last_usage(str(tmp_path)) is None or b"{" in content
    assert all(math.isfinite(number) for number in job_folder.read_metrics(str(tmp_path)).values())


@given(
    st.fixed_dictionaries(
        {"cause": st.just("exited"), "finished_at": st.floats(0, 1e9)},
        optional=dict.fromkeys(
            ("exit_code", "signal", "started_at", "usage", "detail", "mem_limit_bytes", "metrics"), values
        ),
    )
)
def test_odd_values_in_an_exit_record_are_left_out(record: dict[str, object]) -> None:
    ended = exit_of(json.loads(json.dumps(record)))
    assert ended is not None
    for number in (ended.started_at, ended.usage.cpu_s, *dict(ended.metrics).values()):
        assert number is None or math.isfinite(number)
    ended.detail.encode()
    "".join(dict(ended.metrics)).encode()


@in_one_folder
@given(st.dictionaries(st.text(max_size=5), values, max_size=5))
def test_what_is_written_is_read_back(tmp_path: Path, record: dict[str, object]) -> None:
    path = tmp_path / "record.json"
    text = json.loads(json.dumps(record), parse_constant=lambda _: None)
    job_folder.write_json(str(path), text)
    assert job_folder.read_json(str(path)) == text
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["record.json"]


def test_the_newest_whole_line_of_usage_counts(tmp_path: Path) -> None:
    assert job_folder.last_usage(str(tmp_path)) is None
    path = tmp_path / job_folder.USAGE
    path.write_text('{"cpu_s": 1}\n{"cpu_s": 2, "processes": 3}\n{"cpu_')
    found = job_folder.last_usage(str(tmp_path))
    assert found is not None
    assert (usage_of(found).cpu_s, usage_of(found).processes, usage_of(found).mem_bytes) == (2.0, 3, None)


def test_thinning_keeps_the_newest_and_halves_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for n in range(100):
        job_folder.append_usage({"cpu_s": n})
    assert job_folder.thin_usage() == 50
    job_folder.append_usage({"cpu_s": 100})
    kept = [json.loads(line)["cpu_s"] for line in (tmp_path / job_folder.USAGE).read_text().splitlines()]
    assert kept == [*range(1, 100, 2), 100]
    assert (tmp_path / job_folder.USAGE).stat().st_mode & 0o777 == 0o600


def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / job_folder.EXIT)
    assert job_folder.read_json(str(tmp_path / job_folder.EXIT)) is None
    os.mkfifo(tmp_path / job_folder.USAGE)
    assert job_folder.last_usage(str(tmp_path)) is None
