"""A service by real HTTP: it answers as its model would, outlives bad input, and follows its alias."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import joblib
import pandas
import pytest

from jobs.core.ports import BadInput
from jobs.programs.serving import compiled, compiling
from jobs.programs.serving.loading import native
from jobs.registry.store import Registry
from tests.serving.conftest import JSON, Client, Start, Trained, train

CHAMPION = "wine@champion"


@pytest.fixture
def served(registry: Registry, forests: tuple[Trained, Trained]) -> Trained:
    """The first forest, as the champion; the second one is the challenger."""
    for number, forest in enumerate(forests, 1):
        forest.register(registry, "wine")
        registry.promote(f"wine:{number}", ("champion", "challenger")[number - 1])
    return forests[0]


def expected(trained: Trained) -> tuple[list[int], list[list[float]]]:
    model = joblib.load(trained.output / trained.file)
    table = pandas.DataFrame(trained.sample)
    return model.predict(table).tolist(), model.predict_proba(table).tolist()


@pytest.mark.parametrize(("words", "engine"), [((), "onnx"), (("--native",), "sklearn")])
def test_it_answers_as_the_model_would(
    served: Trained, start: Start, words: tuple[str, ...], engine: str
) -> None:
    running = start(*words, CHAMPION)
    client, service = running.client(), running.service()
    assert (service.version, service.engine) == (1, engine)
    labels, chances = expected(served)
    answer = client.post("/predict", served.sample)
    assert answer.status == 200, answer.body
    assert answer.json["predictions"] == labels and answer.json["model"] == "wine:1"
    for found, wanted in zip(answer.json["probabilities"], chances, strict=True):
        assert found == pytest.approx(wanted, abs=1e-5)
    split = {"columns": list(served.sample[0]), "data": [list(row.values()) for row in served.sample]}
    for body in ({"dataframe_split": split}, {"dataframe_records": served.sample}):
        assert client.post("/invocations", body).json == {"predictions": labels}
    assert client.get("/ping").status == client.get("/ready").status == 200
    health = client.get("/health").json
    assert (health["requests"], health["failed"], health["refused"]) == (3, 0, 0)
    text = client.get("/metrics").body.decode()
    assert 'cro_requests_total{route="/predict",status="200"} 1.0' in text
    assert f'cro_model_info{{engine="{engine}",name="wine",version="1"}} 1.0' in text
    row = client.get("/openapi.json").json["components"]["schemas"]["Row"]
    assert row["required"] == list(served.sample[0])
    assert running.stop() == 0
    assert "stopped" in running.log()


MLFLOW_CLIENT = """
import json, sys
import pandas
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
host, port = sys.argv[1].removeprefix("http://").split(":")
client = ScoringServerClient(host, int(port))
client.wait_server_ready(timeout=30)
answer = client.invoke(pandas.DataFrame(json.load(sys.stdin)))
print(json.dumps(answer.get_predictions().iloc[:, 0].tolist()))
"""


def test_the_client_of_mlflow_is_answered(served: Trained, start: Start) -> None:
    url = start("--native", CHAMPION).service().url
    asked = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MLFLOW_CLIENT, url],
        input=json.dumps(served.sample),
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(asked.stdout) == expected(served)[0], asked.stderr


@pytest.mark.parametrize("name", ["model.joblib", "model.pkl", "model.skops"])
def test_a_file_that_is_no_model_gets_one_sentence(tmp_path: Path, registry: Registry, name: str) -> None:
    (tmp_path / name).write_bytes(b"not a model")
    card = {"name": "x", "flavor": "", "registered_at": 1.0, "job_id": 1, "attempt": 1}
    with pytest.raises(BadInput, match=r"x:1 cannot be loaded: .+") as met:
        native(registry, registry.register(tmp_path, [name], card)[0])
    assert "\n" not in met.value.title


def test_a_missing_framework_is_named(
    served: Trained, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(BadInput, match="needs joblib, which is not installed here"):
        native(registry, registry.card(CHAMPION))


def test_bad_input_gets_one_sentence_and_the_service_stays(served: Trained, start: Start) -> None:
    client = start(CHAMPION).client()
    row = served.sample[0]
    for body, status, said in (
        ([{**row, "ash!": 1}], 422, "ash!"),
        ([{**row, "ash": "much"}], 422, '"much" is not a number'),
        (json.dumps([{**row, "ash": float("nan")}]).encode(), 400, "NaN"),
        (b'{"records": [', 400, "not JSON"),
        (b" " * (50 << 20), 413, "larger than 8 MiB"),
    ):
        answer = client.post("/predict", body)
        assert answer.status == status and said in answer.error
    assert client.post("/predict", [row], {"Content-Type": "text/plain"}).status == 415
    assert client.get("/predict").status == 405
    assert "openapi" in client.get("/nowhere").error
    assert client.post("/predict", [row]).status == 200


def test_inputs_that_drift_are_told_and_predictions_kept_on_request(served: Trained, start: Start) -> None:
    running = start("--log-predictions", CHAMPION)
    client = running.client()
    assert client.get("/health").json["input_drift"] == {"rows": 0, "columns": [], "said": ""}
    odd = [{**row, "ash": 50.0} for row in served.sample]
    for _ in range(20):
        assert client.post("/predict", odd).status == 200
        client.get("/health")
    told = client.get("/health").json["input_drift"]
    assert told["rows"] == 20 * len(odd) >= 300
    worst = next(each for each in told["columns"] if each["column"] == "ash")
    assert worst["psi"] > 1 and worst["ks"] > 0.9 and "inputs drift" in told["said"]
    text = client.get("/metrics").body.decode()
    assert 'cro_input_drift_psi{column="ash"}' in text and 'cro_input_drift_ks{column="ash"}' in text
    assert running.stop() == 0
    kept = running.output / "predictions.jsonl"
    lines = [json.loads(line) for line in kept.read_text().splitlines()]
    assert len(lines) == 20 * len(odd) and lines[0]["row"] == odd[0] and lines[0]["model"] == "wine:1"
    assert kept.stat().st_mode & 0o777 == 0o600


def test_without_the_token_nothing_is_told(served: Trained, start: Start) -> None:
    digest = hashlib.sha256(b"open sesame").hexdigest()
    running = start("--token-sha256", digest, CHAMPION)
    client = running.client()
    for headers in (
        JSON,
        JSON | {"Authorization": "Bearer wrong"},
        JSON | {"Authorization": "open sesame"},
    ):
        assert client.post("/predict", served.sample, headers).status == 401
    assert client.get("/openapi.json").status == client.get("/metrics").status == 401
    assert client.get("/ready").status == 200
    known = running.client({"Authorization": "Bearer open sesame"})
    assert known.post("/predict", served.sample).status == 200


def test_another_address_needs_a_token(served: Trained, start: Start) -> None:
    running = start("--host", "0.0.0.0", CHAMPION)
    assert running.process.wait(30) == 2
    assert "a token is needed" in running.log()


def test_no_request_fails_while_the_alias_moves_and_comes_back(
    served: Trained, forests: tuple[Trained, Trained], start: Start, registry: Registry
) -> None:
    running = start(CHAMPION)
    url = running.service().url
    answers = {
        f"wine:{number}": expected(Trained(forest.output, forest.file, "", served.sample))[0]
        for number, forest in enumerate(forests, 1)
    }
    failures: list[str] = []
    seen: list[list[str]] = [[] for _ in range(4)]
    done = threading.Event()

    def ask(versions: list[str]) -> None:
        with contextlib.closing(Client(url)) as client:
            while not done.is_set() or len(versions) < 400:
                answer = client.post("/predict", served.sample)
                if answer.status != 200 or answer.json["predictions"] != answers[answer.json["model"]]:
                    failures.append(repr(answer))
                versions.append(answer.json.get("model", ""))

    threads = [threading.Thread(target=ask, args=(versions,)) for versions in seen]
    for thread in threads:
        thread.start()
    try:
        registry.promote("wine:2", "champion")
        running.until(lambda: running.service().version == 2, "the swap")
        registry.roll_back("wine", "champion")
        running.until(lambda: running.service().version == 1, "the way back")
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert sum(map(len, seen)) >= 1_000
    assert all("wine:2" in versions and versions[-1] == "wine:1" for versions in seen)
    health = running.client().get("/health").json
    assert (health["failed"], health["refused"]) == (0, 0)
    assert "cro_swaps_total 2.0" in running.client().get("/metrics").body.decode()


def test_a_version_that_cannot_be_served_leaves_the_one_before(
    served: Trained, start: Start, registry: Registry
) -> None:
    running = start(CHAMPION)
    client = running.client()
    damaged = registry.content(registry.card("wine:2")) / "model.joblib"
    damaged.chmod(0o600)
    damaged.write_bytes(b"not what was registered")
    registry.promote("wine:2", "champion")
    running.until(lambda: running.service().problem, "its trouble")
    assert "damaged" in running.service().problem and running.service().version == 1
    assert client.post("/predict", served.sample).json["model"] == "wine:1"
    registry.roll_back("wine", "champion")
    running.until(lambda: not running.service().problem, "the trouble to pass")


def test_a_damaged_model_is_never_loaded(served: Trained, start: Start, registry: Registry) -> None:
    damaged = registry.content(registry.card(CHAMPION)) / "model.joblib"
    damaged.chmod(0o600)
    damaged.write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    running = start("--native", CHAMPION)
    assert running.process.wait(60) == 1
    assert "damaged: it is not what was registered" in running.log()
    assert not Path("pwned").exists()


def test_what_has_no_rows_to_be_checked_with_is_not_compiled(
    served: Trained, start: Start, registry: Registry
) -> None:
    Trained(served.output, served.file, served.flavor, []).register(registry, "bare")
    running = start("bare")
    assert running.service().engine == "sklearn"
    assert "reported no rows" in running.service().why_native
    assert running.client().post("/predict", served.sample).json["predictions"] == expected(served)[0]


def test_a_corrupted_compiled_file_is_not_used(served: Trained, start: Start, registry: Registry) -> None:
    card = registry.card(CHAMPION)
    assert compiling.compile_version(registry, card).why == ""
    place = compiled.folder(registry, card) / "model.onnx"
    content = place.read_bytes()
    place.write_bytes(content[: len(content) // 2])
    running = start(CHAMPION)
    assert running.service().engine == "sklearn"
    assert "damaged" in running.service().why_native
    assert running.client().post("/predict", served.sample).json["predictions"] == expected(served)[0]


def test_the_parity_gate_stops_another_model_in_its_place(
    served: Trained, start: Start, registry: Registry
) -> None:
    card, other = registry.card(CHAMPION), registry.card("wine@challenger")
    compiling.compile_version(registry, card)
    compiling.compile_version(registry, other)
    wrong = (compiled.folder(registry, other) / "model.onnx").read_bytes()
    place = compiled.folder(registry, card)
    (place / "model.onnx").write_bytes(wrong)
    told = json.loads((place / "compiled.json").read_bytes())
    (place / "compiled.json").write_text(json.dumps(told | {"sha256": hashlib.sha256(wrong).hexdigest()}))
    running = start(CHAMPION)
    assert running.service().engine == "sklearn"
    assert "a probability differs by" in running.service().why_native


def test_it_comes_back_when_its_process_dies(served: Trained, start: Start) -> None:
    running = start(CHAMPION)
    first = running.service()
    os.kill(first.pid, signal.SIGKILL)
    running.until(lambda: running.service().pid != first.pid, "another process")
    assert running.service().url == first.url
    assert running.client().post("/predict", served.sample).status == 200
    assert "signal 9" in running.log()


def test_what_was_begun_is_finished_when_it_is_told_to_stop(served: Trained, start: Start) -> None:
    running = start("--native", CHAMPION)
    clients = [running.client() for _ in range(3)]
    statuses: list[int] = []
    begun = threading.Barrier(len(clients) + 1)

    def ask(client: Client) -> None:
        client.get("/ready")
        begun.wait()
        with contextlib.suppress(OSError):  # what comes after the stop is not answered
            while True:
                statuses.append(client.post("/predict", served.sample).status)

    threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    begun.wait()
    running.until(lambda: len(statuses) > 10, "some answers")
    address = running.service().url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as half:
        half.sendall(b"POST /predict HTTP/1.1\r\n")  # nobody waits for the rest of it
        assert running.stop() == 0
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}


def test_a_word_that_was_never_seen_is_answered_as_scikit_learn_answers(
    tmp_path: Path, registry: Registry, start: Start
) -> None:
    sizes = ("small", "big")
    lines = [f"{at % 7},{sizes[at % 2]},{'yes' if at % 2 else 'no'}" for at in range(80)]
    data = tmp_path / "rows.csv"
    data.write_text("\n".join(["length,size,answer", *lines]) + "\n")
    flags = ("--data", str(data), "--target", "answer", "--n-estimators", "10")
    trained = train(tmp_path / "forest", "sklearn_forest", *flags)
    trained.register(registry, "words")
    rows = [{"length": 3, "size": "huge"}, {"length": 3, "size": "big"}]
    model = joblib.load(trained.output / trained.file)
    running = start("words")
    answer = running.client().post("/predict", rows)
    assert answer.status == 200, answer.body
    assert answer.json["predictions"] == model.predict(pandas.DataFrame(rows)).tolist()
    service = running.service()
    assert service.engine == "onnx" or "never seen" in service.why_native
