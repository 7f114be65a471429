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

from jobs.serving.model import Service, service_of
from jobs.tracking.model import ModelCard
from jobs.tracking.registry import Registry
from jobs.tracking.reports import read
from jobs.tracking.signature import signature_of

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
        command = [sys.executable, "-P", "-m", "jobs.serving", "--models", str(models), *words]
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
    model = read(events).model
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
