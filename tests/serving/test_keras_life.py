"""The whole life of a network by the real command line: from a CSV to the next version, and back."""

from __future__ import annotations

import shlex
import threading
from pathlib import Path

import pytest

from tests.commands.conftest import CommandLine, cro, empty_database
from tests.serving.conftest import Client

__all__ = ["cro", "empty_database"]
ROOM = ("--cpus", "1", "--mem", "3G")


def ran(cro: CommandLine, recipe: str, *params: str) -> int:
    flags = [word for param in params for word in ("-p", param)]
    answer = cro("submit", recipe, *flags, *ROOM, "--wait", "--json")
    assert answer.code == 0, answer.err
    return int(answer.json["id"])


@pytest.mark.slow
@pytest.mark.tensorflow
def test_from_a_csv_to_answers_to_the_next_version_and_back(cro: CommandLine, tmp_path: Path) -> None:
    lines = [f"{at % 7}.5,{'small' if at % 2 else 'big'},{'yes' if at % 2 else 'no'}" for at in range(200)]
    data = tmp_path / "rows.csv"
    data.write_text("\n".join(["length,size,answer", *lines]) + "\n")
    table = (f"data={data}", "target=answer")
    output = cro.home / "jobs" / "0"
    prepared = ran(cro, "tf_preprocess", *table)
    assert (output / str(prepared) / "1" / "output" / "train.parquet").exists()
    for seed in (1, 2):
        trained = ran(cro, "tf_linear", *table, "epochs=20", "learning_rate=0.1", f"seed={seed}")
        model = output / str(trained) / "1" / "output" / "model.keras"
        measured = ran(cro, "tf_evaluate", f"model={model}", *table)
        assert cro("show", str(measured), "--json").json["metrics"]["accuracy"] > 0.9
        assert cro("model", "register", str(trained), "net").code == 0
    card = cro("model", "show", "net:1", "--json").json
    assert [column["name"] for column in card["signature"]] == ["length", "size"] and card["spread"]
    assert cro("model", "promote", "net:1").code == 0
    answer = cro("serve", "net@champion", *ROOM)
    assert answer.code == 0 and "serves net:1 by LiteRT at http://127.0.0.1:" in answer.out, answer
    url = shlex.split(next(line for line in answer.out.splitlines() if line.startswith("curl ")))[2]
    url = url.removesuffix("/predict")

    seen: list[str] = []
    wrong: list[bytes] = []
    done = threading.Event()

    def ask() -> None:
        client = Client(url)
        while not done.is_set() or len(seen) < 1_000:
            got = client.post("/predict", [{"length": 3.5, "size": "small"}])
            if got.status != 200 or got.json["predictions"] != ["yes"]:
                wrong.append(got.body)
            seen.append(got.json["model"])
        client.close()

    def until(version: str) -> None:
        mark = len(seen)
        waits = threading.Event()
        for _ in range(6_000):
            if version in seen[mark:]:
                return
            waits.wait(0.01)
        raise AssertionError(f"{version} never answered")

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        until("net:1")
        assert cro("model", "promote", "net:2").code == 0
        until("net:2")
        assert cro("model", "rollback", "net").code == 0
        until("net:1")
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not wrong and len(seen) >= 1_000 and seen[-1] == "net:1"
    assert cro("serve", "--stop", "net@champion").code == 0
