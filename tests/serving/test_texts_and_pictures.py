"""Models of texts and of pictures are registered and answer raw rows, each by the best engine for it."""

from __future__ import annotations

import json
from pathlib import Path

import joblib
import pandas
import pytest

from jobs.programs.serving import compiled, loading
from jobs.programs.serving.rows import RefusedRows, read
from jobs.registry.store import Registry
from tests.serving.conftest import Networks, train


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
    with pytest.raises(RefusedRows, match=r"null|one is missing"):
        answers.engine.predict(read(asked([{"text": None}]), signature, nullable))


@pytest.mark.tensorflow
def test_networks_of_texts_and_of_pictures(networks: Networks) -> None:
    (_, why, predictions, _), (_, no_why, expected, _) = networks.told
    assert why.endswith("its texts go through TextVectorization, which LiteRT does not have")
    assert len(predictions) == 22 and set(predictions) <= {"cluster", "datasets", "linear_model", "metrics"}
    assert no_why == ""
    registry = networks.registry
    card = registry.card("tf_cnn")
    outcome = compiled.outcome(registry, card, ".keras")
    assert outcome is not None and isinstance(card.sample, list)
    quick = compiled.engine(registry, card, outcome, 1)
    rows = read(asked(card.sample), quick.signature, quick.nullable)
    assert quick.kind == "litert" and quick.predict(rows).predictions == expected
