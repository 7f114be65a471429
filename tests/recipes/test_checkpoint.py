"""A training recipe that is stopped saves, resumes, and ends with the metrics of a run without a stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recipes.discover import library_folder
from recipes.library.kit.checkpoints import Checkpoints
from recipes.resuming import SAVED, UNFINISHED, Attempt, Stop, Trial, check, random_stops

from .conftest import Ran, RunRecipe

EXACT = 0.0  # on the same machine with the same cores: the same bits
RUNS = {
    "sklearn_forest": ("--n-estimators", "400", "--min-samples-leaf", "2"),
    "sklearn_linear": ("--folds", "12", "--c", "10"),
    "sklearn_boosting": ("--data", "breast_cancer", "--n-estimators", "150", "--max-leaves", "7"),
    "sklearn_search": ("--data", "wine", "--size", "2", "--folds", "4"),
    "sklearn_clusters": ("--n-init", "40"),
    "sklearn_text": ("--folds", "6", "--ngrams", "2", "--min-rows", "5"),
    "tf_linear": ("--epochs", "12"),
    "tf_deep": ("--epochs", "30", "--patience", "3"),
    "tf_cnn": ("--epochs", "12", "--filters", "8"),
    "tf_text": ("--epochs", "15", "--patience", "15"),
    "tf_finetune": ("--epochs", "12", "--patience", "12"),
}
SHORT = {
    "sklearn_forest": ("--n-estimators", "40"),
    "sklearn_linear": ("--data", "wine", "--folds", "4", "--c", "10"),
    "sklearn_boosting": ("--data", "diabetes", "--n-estimators", "10", "--max-leaves", "3"),
    "sklearn_search": ("--data", "wine", "--size", "2", "--folds", "3", "--model", "linear"),
    "sklearn_clusters": ("--n-init", "5"),
    "sklearn_text": ("--folds", "3", "--min-rows", "5"),
}


def trial(folder: Path, name: str, *flags: str, save_every_s: float = 30) -> Trial:
    argv = [sys.executable, str(library_folder() / f"{name}.py"), *(flags or RUNS[name])]
    folder.mkdir(exist_ok=True)
    return Trial(argv, folder, {**os.environ, "CRO_CPUS": "2", "CRO_SAVE_EVERY_S": str(save_every_s)})


def flags(folder: Path, name: str) -> tuple[str, ...]:
    if name != "tf_finetune":
        return RUNS[name]
    base = trial(folder / "base", "tf_linear", "--epochs", "2").attempt(None)
    return ("--model", str(base.output / "model.keras"), *RUNS[name])


def stopped_at_work(made: Trial) -> Attempt:
    """Stopped as soon as there is something to go on from, and refusing nothing."""
    attempt = made.attempt(Stop(None, signal.SIGTERM))
    assert attempt.code == SAVED and made.finished()
    return attempt


@pytest.mark.parametrize("share", [0.3, 1.0])
@pytest.mark.parametrize("name", SHORT)
def test_stopped_and_resumed_it_ends_the_same(
    name: str,
    share: float,
    run_here: RunRecipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In this process: SIGTERM arrives at some step, and the next run resumes."""
    steps = [0]
    stop_at = None

    class Counted(Checkpoints):
        def due(self) -> bool:
            steps[0] += 1
            if steps[0] == stop_at:
                signal.raise_signal(signal.SIGTERM)
            return super().due()

    def run(folder: str) -> Ran:
        steps[0] = 0
        resumes = (tmp_path / "kept" / "state").exists()
        monkeypatch.setenv("CRO_RESUME", str(tmp_path / "kept") if resumes else "")
        return run_here(name, *SHORT[name], folder=folder, Checkpoints=Counted)

    monkeypatch.setenv("CRO_CHECKPOINT_DIR", str(tmp_path / "kept"))
    before = signal.getsignal(signal.SIGTERM)
    try:
        whole = run("whole")
        assert (whole.code, whole.err) == (0, "")
        stop_at = max(1, round(share * steps[0]))
        stopped = run("stopped")
        stop_at = None
        assert stopped.code == SAVED and "stopped as asked: saved in " in stopped.out
        assert not (stopped.folder / "metrics.json").exists()
        resumed = run("resumed")
        assert (resumed.code, resumed.err) == (0, "") and "resuming after " in resumed.out
        assert resumed.metrics == whole.metrics
        assert list((tmp_path / "kept").iterdir()) == [], "a finished run leaves no checkpoint behind"
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_real_process_keeps_the_promise(tmp_path: Path) -> None:
    made = trial(tmp_path, "sklearn_linear", save_every_s=0)
    report = check(made, (*random_stops(seed=1, count=1), Stop(None)), tolerance=EXACT)
    assert report.problems == []
    assert any(each.resumed for each in report.attempts), "it resumed from nothing"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", RUNS)
def test_stopped_often_and_killed(tmp_path: Path, name: str, seed: int) -> None:
    made = trial(tmp_path, name, *flags(tmp_path, name), save_every_s=0.1)
    stops = (*random_stops(seed, count=6), Stop(None))
    report = check(made, stops, tolerance=EXACT, say=print)
    assert report.problems == []
    assert any(each.resumed for each in report.attempts), "it resumed from nothing"


def test_killed_when_all_is_there_it_has_kept_its_promise(tmp_path: Path) -> None:
    script = tmp_path / "done.py"
    script.write_text(
        "import json, os, pathlib, signal, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: os._exit(75))\n"
        "accuracy = 0.5 if os.environ['CRO_ATTEMPT'] != os.environ.get('ODD') else 0.4\n"
        "output = pathlib.Path(os.environ['CRO_OUTPUT_DIR']) / 'metrics.json'\n"
        "output.write_text(json.dumps({'accuracy': accuracy}))\n"
        "time.sleep(0.6)\n"
    )
    for odd, problems in (("", 0), ("2", 1)):
        made = Trial([sys.executable, str(script)], tmp_path / f"odd{odd}", {**os.environ, "ODD": odd})
        made.folder.mkdir()
        stops = [Stop(0.8, signal.SIGKILL)] * 2
        assert len(check(made, stops).problems) == problems


def test_killed_while_it_saves_the_older_checkpoint_is_whole(tmp_path: Path) -> None:
    made = trial(tmp_path, "sklearn_forest", "--n-estimators", "3000", save_every_s=0)
    for _ in range(5):  # until one is hit before its last step, the renaming
        killed = made.attempt(Stop(None, signal.SIGKILL))
        assert killed.code == -signal.SIGKILL and killed.metrics is None
        if made.written(UNFINISHED):
            break
    assert made.written(UNFINISHED) and made.finished()
    resumed = stopped_at_work(made)
    assert "resuming after " in resumed.log and "note:" not in resumed.log


def test_asked_to_stop_when_all_is_done_it_ends_well(tmp_path: Path) -> None:
    made = trial(tmp_path, "sklearn_forest", "--n-estimators", "20")
    environ = {**made.environ, "CRO_CHECKPOINT_DIR": str(made.checkpoint), "CRO_OUTPUT_DIR": str(tmp_path)}
    with subprocess.Popen(made.argv, env=environ, stdout=subprocess.DEVNULL) as process:
        while not (tmp_path / "metrics.json").exists():
            assert process.poll() is None
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
    assert process.returncode == 0


def test_alone_it_ends_as_any_program_does(tmp_path: Path) -> None:
    made = trial(tmp_path, "sklearn_forest", "--n-estimators", "5000")
    environ = {**made.environ, "CRO_OUTPUT_DIR": str(tmp_path)}
    with subprocess.Popen(made.argv, env=environ, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while b"trees " not in process.stdout.readline():
            assert process.poll() is None
        process.terminate()
    assert process.returncode == -signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
