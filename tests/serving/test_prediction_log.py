"""What is asked and answered is kept where that was wished for, in files that stay small and private."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.programs.serving.engines import Predictions
from jobs.programs.serving.prediction_log import FILE, OLDER_FILES, PredictionLog
from jobs.programs.serving.rows import Rows

ROWS = Rows(2, {"a": [1.0, None], "b": ["x", "\x1b[31m"]})
ANSWER = Predictions(["yes", "no"], [[0.2, 0.8], [0.7, 0.3]])


def test_a_line_a_row_in_private_files_of_which_the_oldest_go(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, file_bytes=1_000)
    for _ in range(100):
        log.put("wine:1", ROWS, ANSWER)
    log.close()
    files = sorted(tmp_path.iterdir())
    assert len(files) <= OLDER_FILES + 1 and log.dropped == 0
    assert all(file.stat().st_mode & 0o777 == 0o600 and file.stat().st_size < 2_000 for file in files)
    newest = (tmp_path / f"{FILE}.1").read_text()
    first, second = [json.loads(line) for line in newest.splitlines()[:2]]
    assert first["row"] == {"a": 1.0, "b": "x"} and first["prediction"] == "yes"
    assert second["row"] == {"a": None, "b": "\x1b[31m"} and second["probabilities"] == [0.7, 0.3]
    assert first["model"] == "wine:1" and first["at"] > 0


def test_a_place_that_takes_nothing_is_said_once_and_answering_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    log = PredictionLog(tmp_path)
    for _ in range(3):
        log.put("wine:1", ROWS, ANSWER)
    log.close()
    assert log.dropped == 6 and not (tmp_path / "elsewhere").exists()
    assert capfd.readouterr().err.count("cannot be written") == 1
