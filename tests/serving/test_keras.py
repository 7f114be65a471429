"""Networks of a shipped recipe answer raw rows by LiteRT, or by Keras."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from jobs.programs.serving import compiled
from jobs.registry.store import Registry
from tests.serving.conftest import Client, Networks, Running, Start

pytestmark = pytest.mark.tensorflow
ROWS = [{"length": 3, "size": "small"}, {"length": None, "size": "big"}]
STRANGE = [{"length": 2.5, "size": "huge"}]


def loaded_modules(running: Running) -> str:
    """What the answering process has of native libraries."""
    return Path(f"/proc/{running.service().pid}/maps").read_text()


def test_a_network_takes_raw_rows(
    networks: Networks, tmp_path: Path, registry: Registry, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = networks.table.register(registry, "net")
    assert [(each.name, each.kind) for each in card.signature] == [("length", "number"), ("size", "text")]
    running = start("net")
    service = running.service()
    assert (service.engine, service.why_native) == ("litert", ""), running.log()
    assert "tensorflow" not in loaded_modules(running)
    client = running.client()
    answer = client.post("/predict", ROWS)
    assert answer.status == 200, (answer.body, running.log())
    assert answer.json["predictions"] == ["no", "yes"]
    assert [sum(chances) for chances in answer.json["probabilities"]] == pytest.approx([1, 1], abs=1e-5)
    split = {"columns": ["size", "length"], "data": [["small", 3], ["big", None]]}
    for way in ({"instances": ROWS}, {"dataframe_split": split}, {"dataframe_records": ROWS}):
        assert client.post("/invocations", way).json == {"predictions": ["no", "yes"]}
    for body, status, said in (
        ([{"lenght": 3, "size": "big"}], 422, 'Did you mean "length"'),
        ([{"length": "3", "size": "big"}], 422, '"3" is not a number'),
        ([{"length": 3, "size": 3}], 422, "3 is not a text"),
        (b'[{"length": NaN, "size": "big"}]', 400, "NaN"),
        (b"[{", 400, "not JSON"),
        (b" " * (50 << 20), 413, "larger than 8 MiB"),
    ):
        refused = client.post("/predict", body)
        assert refused.status == status and said in refused.error
    described = client.get("/openapi.json").json
    assert described["components"]["schemas"]["Row"]["required"] == ["length", "size"]
    example = described["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"][
        "example"
    ]
    assert client.post("/predict", example).status == 200
    many = client.post("/predict", ROWS * 500).json["predictions"]
    assert many == ["no", "yes"] * 500 and client.get("/ping").status == 200
    expected = client.post("/predict", [*ROWS, *STRANGE]).json["probabilities"]

    place = compiled.folder(registry, card) / "model.tflite"
    content = place.read_bytes()
    place.write_bytes(content[: len(content) // 2])  # corrupted: the network itself answers, in turns
    native = start("net")
    missing = tmp_path / "missing" / "tensorflow"
    missing.mkdir(parents=True)
    (missing / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'tensorflow'\", name='tensorflow')\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{missing.parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    without = start("net")  # neither file can answer
    service = native.service()
    assert service.engine == "keras" and "damaged" in service.why_native
    found = native.client().post("/predict", [*ROWS, *STRANGE]).json["probabilities"]
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
    answers = ask_at_once(native, 8, 10)
    assert answers == ["no"] * 80

    assert without.process.wait(60) == 1
    assert "net:1 needs tensorflow, which is not installed here." in without.log()
    assert "Traceback" not in without.log()
    place.write_bytes(content)
    assert start("net").service().engine == "litert"  # what is compiled needs no TensorFlow


def ask_at_once(running: Running, clients: int, times: int) -> list[str]:
    """The first prediction of each answer."""
    found: list[str] = []

    def ask(client: Client) -> None:
        found.extend(client.post("/predict", ROWS[:1]).json["predictions"][0] for _ in range(times))

    threads = [threading.Thread(target=ask, args=(running.client(),)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
