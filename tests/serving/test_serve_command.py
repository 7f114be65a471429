"""serve by the real command line: a trained model answers as a job of the queue, until it is stopped."""

from __future__ import annotations

import shlex

from tests.commands.conftest import CommandLine, cro, empty_database, until
from tests.serving.conftest import Client

__all__ = ["cro", "empty_database", "until"]


def _trained(cro: CommandLine, seed: int) -> None:
    flags = ("-p", "data=wine", "-p", "n_estimators=10", "-p", f"seed={seed}", "--cpus", "1", "--mem", "2G")
    answer = cro("submit", "sklearn_forest", *flags, "--wait", "--json")
    assert answer.code == 0, answer.err
    registered = cro("model", "register", str(answer.json["id"]), "wine", "--as", "champion")
    assert registered.code == 0, registered.err


def test_from_a_recipe_to_answers_and_to_the_end(cro: CommandLine) -> None:
    _trained(cro, 1)
    answer = cro("serve", "wine@champion", "--cpus", "1", "--mem", "2G")
    assert answer.code == 0, answer.err
    assert "serves wine:1 by ONNX Runtime at http://127.0.0.1:" in answer.out
    example = next(line for line in answer.out.splitlines() if line.startswith("curl "))
    url = shlex.split(example)[2].removesuffix("/predict")
    listed = cro("serve", "--list", "--json").json
    assert [(each["reference"], each["version"], each["url"]) for each in listed] == [
        ("wine@champion", 1, url)
    ]
    client = Client(url)
    body = shlex.split(example)[-1].encode()
    assert client.post("/predict", body).json["model"] == "wine:1"

    assert (
        cro("daemon", "--stop").code == 0
    )  # it answers without a scheduler, and is found again by the next
    assert client.post("/predict", body).status == 200
    stopped = cro("serve", "--stop", "wine@champion")
    assert stopped.out == f"#{listed[0]['id']} wine@champion is stopped.\n", stopped.err
    assert cro.state(listed[0]["id"]) == "cancelled"
    assert cro("serve", "--list", "--json").json == []
    client.close()


def test_wrong_wishes_are_answered_in_one_sentence(cro: CommandLine) -> None:
    for words, said in (
        (("serve",), "Name a model"),
        (("serve", "nothing"), "There is no model 'nothing'"),
        (("serve", "nothing@champion"), "There is no model"),
        (("serve", "--stop"), "Nothing is served"),
        (("serve", "x", "--port", "much"), "no port"),
    ):
        answer = cro(*words)
        assert answer.code == 2 and said in answer.err, answer
        assert "Traceback" not in answer.err


def test_a_token_is_made_and_shown_once_and_the_example_carries_it(cro: CommandLine) -> None:
    _trained(cro, 1)
    refused = cro("serve", "wine", "--host", "0.0.0.0")
    assert refused.code == 2 and "Add --token" in refused.err
    answer = cro("serve", "wine", "--token", "--cpus", "1", "--mem", "2G")
    token = next(line.rpartition(" ")[2] for line in answer.out.splitlines() if line.startswith("Token"))
    example = shlex.split(next(line for line in answer.out.splitlines() if line.startswith("curl ")))
    told = cro("serve", "--list", "--json").json[0]
    assert token not in str(cro("show", str(told["id"]), "--json").json)
    bare = Client(told["url"])
    assert bare.post("/predict", example[-1].encode()).status == 401
    bare.close()
    known = Client(told["url"], {"Authorization": f"Bearer {token}"})
    assert known.post("/predict", example[-1].encode()).status == 200
    known.close()


def test_a_model_that_cannot_be_served_ends_the_job_with_the_reason(cro: CommandLine) -> None:
    leaves = "import os; open(os.path.join(os.environ['CRO_OUTPUT_DIR'], 'model.tflite'), 'w').write('x')"
    job_id = cro.submit("--", "python3", "-c", leaves)
    assert cro("wait", str(job_id)).code == 0
    assert cro("model", "register", str(job_id), "odd").code == 0
    answer = cro("serve", "odd", "--cpus", "0.1", "--mem", "1G")
    assert answer.code == 2
    assert "is not serving: failed: exit code 1." in answer.err
    assert "has no file that can be served, only model.tflite" in answer.err
