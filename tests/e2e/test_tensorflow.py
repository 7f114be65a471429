"""A TensorFlow recipe from the command line to its metrics, through the real daemon."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Machine


@pytest.mark.tensorflow
def test_train_a_network_and_evaluate_it_after(machine: Machine) -> None:
    train = machine.submit("tf_deep", "-p", "epochs=3", "-p", "data=digits", "-p", "seed=1")
    model = machine.home / "jobs" / "0" / str(train) / "1" / "output" / "model.keras"
    evaluate = machine.run(
        "submit", "--after", str(train), "--hold", "--json", "--", "test", "-s", str(model)
    )
    assert '"held"' in evaluate.stdout
    machine.run("release", str(train + 1))
    done = machine.run("wait", str(train), str(train + 1), timeout_s=280)
    assert done.returncode == 0
    trained = machine.jobs()[train]
    assert trained["state"] == "succeeded"
    assert trained["metrics"]["accuracy"] > 0.6
    assert trained["usage"]["peak_mem_bytes"] > 200 * 2**20
    log = machine.run("logs", str(train)).stdout
    assert "epoch" in log.lower()
