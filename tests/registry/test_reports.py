"""What a run says of itself: read as it grows, bounded, and never fatal whatever stands in the file."""

from __future__ import annotations

import json
import math
import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.records.events import EventsFile, read
from jobs.runtime import job_folder


def lines(path: Path, *events: object) -> Path:
    with path.open("ab") as file:
        for event in events:
            file.write(event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n")
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / job_folder.EVENTS


def test_the_newest_value_of_each_counts(path: Path) -> None:
    lines(
        path,
        {"params": {"depth": 8, "kind": "gini"}, "phase": "load"},
        {"step": 1, "accuracy": 0.5, "progress": 0.1},
        {"step": 2, "accuracy": 0.75, "loss": 1, "progress": 0.2, "phase": "train"},
        {"artifact": "roc.png", "note": "half way"},
        {"model": "model.joblib", "flavor": "sklearn", "sample": [[1, 2.5]]},
    )
    said = read(path)
    assert (said.events, said.flagged_count) == (5, 0)
    assert dict(said.metrics) == {"accuracy": 0.75, "loss": 1.0}
    assert dict(said.params) == {"depth": "8", "kind": "gini"}
    assert (said.step, said.progress, said.phase, said.notes) == (2, 0.2, "train", ("half way",))
    assert said.artifacts == ("roc.png",)
    assert said.model is not None and (said.model.path, said.model.flavor) == ("model.joblib", "sklearn")
    assert said.model.sample == [[1, 2.5]]


def test_lines_that_cannot_be_used_are_flagged_with_their_number(path: Path) -> None:
    lines(
        path,
        {"accuracy": 0.9},
        b"rubbish\n",
        b"[1]\n",
        b'{"accuracy": NaN, "loss": 2}\n',
        b'{"note": "' + b"x" * job_folder.MAX_EVENT_BYTES + b'"}\n',
        {"progress": 7},
        {"phase": 3, "f1": 0.5},
        b"\n",
        b"[" * 60_000 + b"\n",
        {"accuracy": 0.95},
    )
    said = read(path)
    assert [(flagged.line, flagged.reason) for flagged in said.flagged] == [
        (2, "not JSON"),
        (3, "no JSON object"),
        (4, "'accuracy' is no finite number"),
        (5, "longer than 64 kB"),
        (6, "progress is no number from 0 to 1"),
        (7, "phase is no text"),
        (9, "not JSON"),
    ]
    assert dict(said.metrics) == {"accuracy": 0.95, "loss": 2.0, "f1": 0.5}


def test_it_is_read_as_it_grows_also_in_the_middle_of_a_line(path: Path) -> None:
    file = EventsFile(path)
    assert file.look().events == 0
    lines(path, b'{"loss": 3}\n{"lo')
    assert file.look().metrics == {"loss": 3.0}
    lines(path, b'ss": 2}\n{"loss": 1}')
    assert file.look().metrics == {"loss": 2.0}
    assert file.look(ended=True).metrics == {"loss": 1.0}
    assert file.look(ended=True).events == 3


def test_a_file_that_was_written_anew_is_read_anew(path: Path) -> None:
    file = EventsFile(lines(path, {"loss": 3}, {"loss": 2}))
    file.look()
    path.write_text('{"f1": 1}\n')
    assert file.look().metrics == {"f1": 1.0}


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert read(tmp_path / "pipe").events == 0
    assert read(tmp_path).events == 0
    assert read(tmp_path / "missing").events == 0


def test_memory_and_one_look_are_bounded(path: Path) -> None:
    lines(path, *({f"m{number}": 1} for number in range(300)), *({"note": str(n)} for n in range(99)))
    said = read(path)
    assert (len(said.metrics), len(said.notes), said.notes[-1]) == (job_folder.MAX_METRICS, 20, "98")
    path.write_bytes(b"x" * 3_000_000 + b'\n{"loss": 1}\n')
    file = EventsFile(path)
    assert file.look(1 << 20).events == 0
    assert len(file._rest) <= job_folder.MAX_EVENT_BYTES
    for _ in range(3):
        file.look(1 << 20)
    assert (file.reported.metrics, file.reported.flagged_count) == ({"loss": 1.0}, 1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.binary(max_size=300), st.integers(1, 50))
def test_rubbish_in_any_pieces_says_the_same_as_whole(tmp_path: Path, content: bytes, piece: int) -> None:
    path = tmp_path / "rubbish"
    path.write_bytes(content + b"\n")
    whole = read(path)
    file = EventsFile(path)
    for _ in range(0, len(content) + 2, piece):
        file.look(piece)
    assert file.look(ended=True) == whole
    assert all(math.isfinite(value) for value in whole.metrics.values())


def test_two_hundred_jobs_with_a_thousand_events_each_lose_none(tmp_path: Path) -> None:
    chosen = random.Random(4)
    files = [EventsFile(tmp_path / f"{number}.jsonl") for number in range(200)]
    written = [0] * 200
    for _ in range(20):
        for number, file in enumerate(files):
            count = min(1000 - written[number], chosen.randint(20, 90))
            path = tmp_path / f"{number}.jsonl"
            lines(path, *({"step": written[number] + i, "loss": i} for i in range(count)))
            written[number] += count
            file.look()
    for number, file in enumerate(files):
        lines(tmp_path / f"{number}.jsonl", *({"step": i, "loss": 1} for i in range(written[number], 1000)))
        assert file.look(ended=True).events == 1000
        assert (file.reported.step, file.reported.flagged_count) == (999, 0)


def test_the_job_folder_tells_last_words_where_metrics_json_does_not(tmp_path: Path) -> None:
    lines(tmp_path / job_folder.EVENTS, {"accuracy": 0.5, "loss": 3}, b"rubbish\n", {"loss": 2})
    assert job_folder.read_metrics(str(tmp_path)) == {"accuracy": 0.5, "loss": 2.0}
    (tmp_path / job_folder.OUTPUT).mkdir()
    (tmp_path / job_folder.OUTPUT / job_folder.METRICS).write_text('{"f1": 1, "loss": 1.5}')
    assert list(job_folder.read_metrics(str(tmp_path)).items()) == [
        ("f1", 1.0),
        ("loss", 1.5),
        ("accuracy", 0.5),
    ]
