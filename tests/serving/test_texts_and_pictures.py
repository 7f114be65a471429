"""Models of texts and of pictures are registered and answer raw rows, each by the best engine for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import joblib
import pandas
import pytest

from jobs.serving import compiled, loading
from jobs.serving.rows import Refused, read
from jobs.tracking.registry import Registry
from tests.serving.conftest import LIBRARY, train

# One process that trains and compiles two networks: TensorFlow alone takes seconds to import.
NETWORKS = """
import importlib.util, json, os, sys
from pathlib import Path
from jobs.serving import compiling, loading
from jobs.serving.rows import read
from jobs.tracking.registry import Registry
from jobs.tracking.reports import read as reported
from tests.serving.conftest import Trained

base, library = Path(sys.argv[1]), sys.argv[2]
registry = Registry(base / "models")
for name, flags in (("tf_text", ["--epochs", "2"]), ("tf_cnn", ["--epochs", "2", "--filters", "4"])):
    output = base / name
    os.environ |= {"CRO_OUTPUT_DIR": str(output), "CRO_EVENTS": str(base / f"{name}.jsonl")}
    spec = importlib.util.spec_from_file_location(name, f"{library}/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.run(module.main, flags) == 0
    model = reported(base / f"{name}.jsonl").model
    card = Trained(output, model.path, model.flavor, model.sample).register(registry, name)
    why = compiling.compile_version(registry, card).why
    native = loading.native(registry, card)
    rows = [*model.sample, {**model.sample[0], "text": "\\u2603"}, {**model.sample[0], "text": None}]
    rows = rows if name == "tf_text" else model.sample
    answer = native.predict(read(json.dumps(rows).encode(), native.signature, native.nullable))
    print("told", json.dumps([name, why, answer.predictions, answer.probabilities]))
"""


def asked(rows: object) -> bytes:
    return json.dumps(rows).encode()


def test_a_pipeline_takes_raw_texts(registry: Registry, tmp_path: Path) -> None:
    trained = train(tmp_path / "text", "sklearn_text", "--folds", "2")
    card = trained.register(registry, "text")
    assert [(column.name, column.kind) for column in card.signature] == [("text", "text")]
    answers = loading.load(registry, card)
    texts = [*(row["text"] for row in trained.sample), "", "CLUSTERING, of datas\u00e9ts\nand x-1's"]
    model = joblib.load(trained.output / trained.file)
    expected = model.predict_proba(pandas.DataFrame({"text": texts}))
    signature, nullable = answers.engine.signature, answers.engine.nullable
    rows = read(asked([{"text": text} for text in texts]), signature, nullable)
    found = answers.engine.predict(rows).probabilities
    assert found is not None and abs(pandas.DataFrame(found).to_numpy() - expected).max() < 1e-5
    assert answers.engine.kind == "onnx" or answers.why_native
    assert "ONNXRuntimeError" not in answers.why_native
    with pytest.raises(Refused, match=r"null|one is missing"):
        answers.engine.predict(read(asked([{"text": None}]), signature, nullable))


@pytest.mark.tensorflow
def test_networks_of_texts_and_of_pictures(registry: Registry, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NETWORKS, str(tmp_path), str(LIBRARY)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    told = [json.loads(line[5:]) for line in done.stdout.splitlines() if line.startswith("told ")]
    assert done.returncode == 0 and len(told) == 2, done.stderr
    (_, why, predictions, _), (_, no_why, expected, _) = told
    assert why.endswith("its texts go through TextVectorization, which LiteRT does not have")
    assert len(predictions) == 22 and set(predictions) <= {"cluster", "datasets", "linear_model", "metrics"}
    assert no_why == ""
    card = registry.card("tf_cnn")
    outcome = compiled.outcome(registry, card, ".keras")
    assert outcome is not None and isinstance(card.sample, list)
    quick = compiled.engine(registry, card, outcome, 1)
    rows = read(asked(card.sample), quick.signature, quick.nullable)
    assert quick.kind == "litert" and quick.predict(rows).predictions == expected
