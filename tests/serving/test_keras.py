"""A network of a shipped recipe answers, with the columns that stand beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.tracking.registry import Registry
from tests.serving.conftest import Start, train


@pytest.mark.tensorflow
def test_a_network_takes_raw_rows(tmp_path: Path, registry: Registry, start: Start) -> None:
    sizes = ("small", "big")
    lines = [f"{at % 7},{sizes[at % 2]},{'yes' if at % 2 else 'no'}" for at in range(80)]
    data = tmp_path / "rows.csv"
    data.write_text("\n".join(["length,size,answer", *lines]) + "\n")
    flags = ("--data", str(data), "--target", "answer", "--epochs", "30", "--learning-rate", "0.1")
    train(tmp_path / "net", "tf_linear", *flags).register(registry, "net")
    running = start("net")
    assert running.service().engine == "keras"
    client = running.client()
    rows = [{"length": 3, "size": "small"}, {"length": None, "size": "big"}]
    answer = client.post("/predict", rows)
    assert answer.status == 200, (answer.body, running.log())
    assert answer.json["predictions"] == ["no", "yes"]
    assert [sum(chances) for chances in answer.json["probabilities"]] == pytest.approx([1, 1], abs=1e-5)
    assert 'Did you mean "length"' in client.post("/predict", [{"lenght": 3, "size": "big"}]).error
    assert client.post("/invocations", {"instances": rows}).json == {"predictions": ["no", "yes"]}
