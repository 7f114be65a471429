"""Real models in a real registry, trained by the recipes that are shipped, and real service processes."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jobs.core.tracking import ModelCard
from jobs.kinds.service import Service, service_of
from jobs.records.events import read
from jobs.registry.signature import signature_of
from jobs.registry.store import Registry

LIBRARY = Path(__file__).parents[2] / "recipes" / "library"
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Answered:
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"])


class Client:
    """A plain HTTP client on one connection that stays open."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        self._headers = JSON | (headers or {})

    def get(self, path: str) -> Answered:
        return self._answered("GET", path, None, self._headers)

    def post(self, path: str, body: object, headers: dict[str, str] | None = None) -> Answered:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._answered("POST", path, content, self._headers if headers is None else headers)

    def _answered(self, method: str, path: str, content: bytes | None, headers: dict[str, str]) -> Answered:
        self._connection.request(method, path, content, headers)
        response = self._connection.getresponse()
        return Answered(response.status, response.read())

    def close(self) -> None:
        self._connection.close()


class Running:
    """One service, started as its job would start it."""

    def __init__(self, models: Path, output: Path, *words: str) -> None:
        output.mkdir(exist_ok=True)
        self.output, self._log = output, output / "log"
        environ = {**os.environ, "CRO_OUTPUT_DIR": str(output), "CRO_EVENTS": str(output / "events.jsonl")}
        command = [sys.executable, "-P", "-m", "jobs.programs.serving", "--models", str(models), *words]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        self._clients: list[Client] = []

    def service(self) -> Service:
        """What it says of itself; waits until it does."""
        self.until((self.output / "service.json").exists, "the service to be ready")
        found = service_of((self.output / "service.json").read_bytes())
        assert found is not None
        return found

    def client(self, headers: dict[str, str] | None = None) -> Client:
        self._clients.append(Client(self.service().url, headers))
        return self._clients[-1]

    def log(self) -> str:
        return self._log.read_text()

    def until(self, holds: Callable[[], object], what: str, timeout_s: float = 120.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert self.process.poll() is None, f"it ended before {what}:\n{self.log()}"
            assert time.monotonic() < deadline, f"waited for {what}:\n{self.log()}"
            time.sleep(0.02)

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.stop()


@dataclass(frozen=True)
class Trained:
    """What a shipped recipe left: its folder, and the rows that it reported."""

    output: Path
    file: str
    flavor: str
    sample: list[dict[str, Any]]
    spread: object = None

    def register(self, registry: Registry, name: str) -> ModelCard:
        files = [self.file, *(["model.json"] if (self.output / "model.json").exists() else [])]
        card = {
            "name": name, "flavor": self.flavor, "registered_at": 1.0, "job_id": 1, "attempt": 1,
            "signature": signature_of(self.sample), "sample": self.sample or None,
            "spread": self.spread,
        }  # fmt: skip
        return registry.register(self.output, files, card)[0]


def train(folder: Path, recipe: str, *flags: str) -> Trained:
    folder.mkdir()
    events = folder / "events.jsonl"
    environ = {**os.environ, "CRO_OUTPUT_DIR": str(folder), "CRO_EVENTS": str(events)}
    command = [sys.executable, str(LIBRARY / f"{recipe}.py"), *flags]
    subprocess.run(command, env=environ, check=True, capture_output=True)
    return _trained(folder)


def _trained(folder: Path) -> Trained:
    model = read(folder / "events.jsonl").model
    assert model is not None
    sample = model.sample if isinstance(model.sample, list) else []
    return Trained(folder, model.path, model.flavor, sample, model.spread)


@pytest.fixture(scope="session")
def forests(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Trained]:
    """Two forests on the wine data that differ in their seed."""
    folder = tmp_path_factory.mktemp("forests")
    flags = ("--data", "wine", "--n-estimators", "20", "--seed")
    first = train(folder / "one", "sklearn_forest", *flags, "1")
    return first, train(folder / "two", "sklearn_forest", *flags, "2")


# One process that trains three networks and compiles two: TensorFlow alone takes seconds to import.
NETWORKS = """
import importlib.util, json, os, sys
from pathlib import Path
from jobs.programs.serving import compiling, loading
from jobs.programs.serving.rows import read
from jobs.registry.store import Registry
from jobs.records.events import read as reported
from tests.serving.conftest import Trained

base, library = Path(sys.argv[1]), sys.argv[2]
sys.path.insert(0, library)  # the recipes' kit
registry = Registry(base / "models")
table = ["--data", str(base / "rows.csv"), "--target", "answer", "--epochs", "30", "--learning-rate", "0.1"]
wanted = {
    "tf_linear": table, "tf_text": ["--epochs", "2"], "tf_cnn": ["--epochs", "2", "--filters", "4"]
}
for name, flags in wanted.items():
    output = base / name
    os.environ |= {"CRO_OUTPUT_DIR": str(output), "CRO_EVENTS": str(output / "events.jsonl")}
    output.mkdir()
    spec = importlib.util.spec_from_file_location(name, f"{library}/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.run(module.main, flags) == 0
    if name == "tf_linear":  # a service compiles it
        continue
    model = reported(output / "events.jsonl").model
    card = Trained(output, model.path, model.flavor, model.sample).register(registry, name)
    why = compiling.compile_version(registry, card).why
    native = loading.native(registry, card)
    rows = [*model.sample, {**model.sample[0], "text": "\\u2603"}, {**model.sample[0], "text": None}]
    rows = rows if name == "tf_text" else model.sample
    answer = native.predict(read(json.dumps(rows).encode(), native.signature, native.nullable))
    print("told", json.dumps([name, why, answer.predictions, answer.probabilities]))
"""


@dataclass(frozen=True)
class Networks:
    """A network for a table with numbers, gaps and words; those of texts and of pictures in a registry.

    `told` has of the latter two their names, why they are not compiled, and what they answer natively.
    """

    table: Trained
    registry: Registry
    told: list[Any]


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Networks:
    folder = tmp_path_factory.mktemp("networks")
    sizes = ("small", "big")
    lines = [f"{at % 7},{sizes[at % 2]},{'yes' if at % 2 else 'no'}" for at in range(80)]
    (folder / "rows.csv").write_text("\n".join(["length,size,answer", *lines]) + "\n")
    done = subprocess.run(
        [sys.executable, "-c", NETWORKS, str(folder), str(LIBRARY)],
        cwd=LIBRARY.parents[1],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = [json.loads(line[5:]) for line in done.stdout.splitlines() if line.startswith("told ")]
    return Networks(_trained(folder / "tf_linear"), Registry(folder / "models"), told)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path, registry: Registry) -> Iterator[Start]:
    """Start a service on the registry; every one is stopped afterwards."""
    running: list[Running] = []

    def begin(*words: str) -> Running:
        running.append(Running(tmp_path / "models", tmp_path / f"output{len(running)}", *words))
        return running[-1]

    yield begin
    for service in running:
        service.close()
