"""How soon and how quickly a forest and a small network answer: our service, compiled and not, and peers.

`uv run python -m benchmarks.serving [--without-mlflow] [--only forest|net]`. The same 100 trees on 20
features, or the same network of 64, 64 and 1 neurons, one row a request, the same client for all: a process
of its own that keeps its connections open. Peers run in throw-away environments that uv makes. Client and
server share the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psutil

from benchmarks.measure import machine, scratch
from jobs.registry.signature import signature_of
from jobs.registry.store import Registry

FEATURES = 20
READY_LIMIT_S, ASK_S, WARM_UP_S = 120.0, 4.0, 1.0
FLASK = """
import sys, joblib, numpy
from flask import Flask, jsonify, request
from waitress import serve
model, app = joblib.load(sys.argv[1]), Flask(__name__)
@app.get("/ping")
def ping():
    return ""
@app.post("/invocations")
def invocations():
    rows = numpy.array([list(row.values()) for row in request.get_json()["dataframe_records"]])
    return jsonify(predictions=model.predict(rows).tolist())
serve(app, host="127.0.0.1", port=int(sys.argv[2]), threads=4)
"""
CLIENT = """
import sys
from benchmarks.serving import ask
ask(int(sys.argv[1]), sys.stdin.buffer.read(), int(sys.argv[2]))
"""
NET = """
import sys, keras
layers = [keras.layers.Dense(64, "relu"), keras.layers.Dense(64, "relu"), keras.layers.Dense(1, "sigmoid")]
keras.Sequential([keras.Input((20,)), *layers]).save(sys.argv[1])
"""
FLASK_NET = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy, tensorflow
from flask import Flask, jsonify, request
from waitress import serve
net, app = tensorflow.keras.models.load_model(sys.argv[1], compile=False), Flask(__name__)
@app.get("/ping")
def ping():
    return ""
@app.post("/invocations")
def invocations():
    rows = [list(row.values()) for row in request.get_json()["dataframe_records"]]
    return jsonify(predictions=net(numpy.array(rows, dtype="float32")).numpy().tolist())
serve(app, host="127.0.0.1", port=int(sys.argv[2]), threads=4)
"""
MLFLOW = """
import sys, joblib, mlflow.sklearn
mlflow.sklearn.save_model(joblib.load(sys.argv[1]), sys.argv[2], serialization_format="cloudpickle",
                          pip_requirements=["scikit-learn"])
"""
MLFLOW_NET = """
import sys, tensorflow, mlflow.tensorflow, numpy
from mlflow.models import infer_signature
rows = numpy.zeros((1, 20), "float32")
net = tensorflow.keras.models.load_model(sys.argv[1])
mlflow.tensorflow.save_model(net, sys.argv[2], signature=infer_signature(rows, net(rows).numpy()),
                             pip_requirements=["tensorflow"])
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A model, the rows to ask it with, and what its peers are made of."""

    name: str
    file: str
    packages: tuple[str, ...]
    flask: str
    save: str
    body: str


@dataclass(frozen=True, slots=True)
class Measured:
    name: str
    ready_s: float
    requests_s: tuple[float, float]  # on 1 and on 16 connections
    p50_ms: tuple[float, float]
    p99_ms: tuple[float, float]
    pss_bytes: int


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--without-mlflow", action="store_true")
    parser.add_argument("--only", choices=["forest", "net"])
    options = parser.parse_args()
    print(machine())
    rows: list[Measured | None] = []
    with scratch() as folder:
        for case in _cases(folder):
            if options.only in (None, case.name):
                rows += _compared(folder, case, with_mlflow=not options.without_mlflow)
    print("| | ready s | requests/s, 1 | p50 ms | p99 ms | requests/s, 16 | p99 ms | memory (PSS) MB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in filter(None, rows):
        cells = [f"{row.ready_s:.2f}", f"{row.requests_s[0]:,.0f}", f"{row.p50_ms[0]:.2f}"]
        cells += [f"{row.p99_ms[0]:.2f}", f"{row.requests_s[1]:,.0f}", f"{row.p99_ms[1]:.1f}"]
        print("|", " | ".join([row.name, *cells, f"{row.pss_bytes / 1e6:.0f}"]), "|")


def _compared(folder: Path, case: Case, *, with_mlflow: bool) -> Iterator[Measured | None]:
    """Our service in its three ways, and its peers."""
    body = json.dumps({"dataframe_records": json.loads(case.body)}).encode()
    ours = [sys.executable, "-P", "-m", "jobs.programs.serving", "--models", str(folder / "models")]
    for name, words in (("compiles it first", ()), ("compiled", ()), ("native", ("--native",))):
        yield _measured(f"{case.name}: cro-tui, {name}", _ours(ours, words, case.name), body)
    model = str(folder / case.file)
    flask = _uv("flask", "waitress", *case.packages)
    peer = folder / f"{case.name}_peer.py"
    peer.write_text(case.flask)
    command = [*flask, "python", str(peer), model]
    yield _tried(f"{case.name}: Flask + waitress", flask, lambda port: [*command, port], body)
    if not with_mlflow:
        return
    mlflow = _uv("mlflow", *case.packages)
    save, saved = folder / f"{case.name}_save.py", str(folder / f"{case.name}_saved")
    save.write_text(case.save)
    with contextlib.suppress(subprocess.SubprocessError):
        saving = [*mlflow, "python", str(save), model, saved]
        subprocess.run(saving, check=True, capture_output=True, timeout=300)
    serve = [*mlflow, "mlflow", "models", "serve", "-m", saved, "--env-manager", "local", "-w", "1", "-p"]
    if case.name == "net":
        rows = [list(row.values()) for row in json.loads(case.body)]
        body = json.dumps({"inputs": rows}).encode()  # a network has no columns for it
    yield _tried(f"{case.name}: mlflow models serve", mlflow, lambda port: [*serve, port], body)


def _cases(folder: Path) -> tuple[Case, ...]:
    """The forest and the network in their files and in a registry, and rows that they take."""
    import joblib
    import pandas
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier

    values, answers = make_classification(2_000, FEATURES, n_informative=10, random_state=0)
    names = [f"x{at}" for at in range(FEATURES)]
    table = pandas.DataFrame(values.round(4), columns=names)
    model = RandomForestClassifier(100, random_state=0).fit(table.to_numpy(), answers)
    joblib.dump(model, folder / "model.joblib")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    subprocess.run(
        [sys.executable, "-c", NET, str(folder / "model.keras")], check=True, capture_output=True
    )
    sample: list[dict[str, float]] = table.head(20).to_dict("records")
    for name, file, flavor in (("forest", "model.joblib", "sklearn"), ("net", "model.keras", "keras")):
        card = {
            "name": name,
            "flavor": flavor,
            "registered_at": time.time(),
            "job_id": 1,
            "attempt": 1,
            "signature": signature_of(sample),
            "sample": sample,
        }
        Registry(folder / "models").register(folder, [file], card)
    one = json.dumps(sample[:1])
    scikit_learn = tuple(f"{each}=={metadata.version(each)}" for each in ("joblib", "scikit-learn"))
    tensorflow = (f"tensorflow=={metadata.version('tensorflow')}",)
    return (
        Case("forest", "model.joblib", scikit_learn, FLASK, MLFLOW, one),
        Case("net", "model.keras", tensorflow, FLASK_NET, MLFLOW_NET, one),
    )


def _ours(command: Sequence[str], words: Sequence[str], name: str) -> Callable[[str], Sequence[str]]:
    return lambda port: [*command, "--port", port, *words, name]


def _uv(*packages: str) -> list[str]:
    wanted = [*packages, f"numpy=={metadata.version('numpy')}"]
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    words = ["uv", "run", "--no-project", "--quiet", "--python", python]
    return [*words, *(word for package in wanted for word in ("--with", package))]


def _tried(
    name: str, environment: Sequence[str], command: Callable[[str], Sequence[str]], body: bytes
) -> Measured | None:
    """The same of a peer; its environment is made before the clock starts."""
    try:
        made = [*environment, "python", "-c", ""]
        subprocess.run(made, check=True, capture_output=True, timeout=400)
        return _measured(name, command, body)
    except (OSError, AssertionError, asyncio.IncompleteReadError, subprocess.SubprocessError) as error:
        print(f"{name}: not measured, {error}")
        return None


def _measured(name: str, command: Callable[[str], Sequence[str]], body: bytes) -> Measured:
    with _serving(command) as (port, ready_s, process):
        asyncio.run(_asked(port, body, 1, WARM_UP_S))
        one, many = (_in_a_process(port, body, connections) for connections in (1, 16))
        return Measured(
            name,
            ready_s,
            (len(one) / ASK_S, len(many) / ASK_S),
            (statistics.median(one) * 1e3, statistics.median(many) * 1e3),
            (_high(one), _high(many)),
            sum(each.memory_full_info().pss for each in (process, *process.children(recursive=True))),
        )


@contextmanager
def _serving(command: Callable[[str], Sequence[str]]) -> Iterator[tuple[int, float, psutil.Process]]:
    """A server on a free port, once it answers, and how long that took."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "CRO_CPUS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    began = time.perf_counter()
    null = subprocess.DEVNULL
    started = subprocess.Popen(list(command(str(port))), env=environ, stdout=null, stderr=null)
    process = psutil.Process(started.pid)
    try:
        while True:
            assert started.poll() is None, f"it ended with {started.returncode}"
            assert time.perf_counter() - began < READY_LIMIT_S, "it was never ready"
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=READY_LIMIT_S).close()
                break
            time.sleep(0.005)
        yield port, time.perf_counter() - began, process
    finally:
        for each in (*process.children(recursive=True), process):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.terminate()
        started.wait(30)


def _in_a_process(port: int, body: bytes, connections: int) -> list[float]:
    words = [sys.executable, "-c", CLIENT, str(port), str(connections)]
    done = subprocess.run(words, input=body, capture_output=True, check=True)
    found: list[float] = json.loads(done.stdout)
    return found


def ask(port: int, body: bytes, connections: int) -> None:
    """What the client's process does: print the seconds of each request."""
    alone = connections == 1
    print(json.dumps(_alone(port, body) if alone else asyncio.run(_asked(port, body, connections, ASK_S))))


def _alone(port: int, body: bytes) -> list[float]:
    """The same on one connection, by a client that costs as little as one in Python can."""
    fields = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    request = f"POST /invocations HTTP/1.1\r\n{fields}\r\n\r\n".encode() + body
    took: list[float] = []
    peer = socket.create_connection(("127.0.0.1", port))
    until = time.perf_counter() + ASK_S
    while (began := time.perf_counter()) < until:
        peer.sendall(request)
        answer = peer.recv(65536)
        while b"\r\n\r\n" not in answer:
            answer += peer.recv(65536)
        head, _, content = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        fields_of = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        while len(content) < int(fields_of[b"content-length"]):
            content += peer.recv(65536)
        took.append(time.perf_counter() - began)
        if fields_of.get(b"connection") == b"close":
            peer.close()
            peer = socket.create_connection(("127.0.0.1", port))
    peer.close()
    return took


async def _asked(port: int, body: bytes, connections: int, for_s: float) -> list[float]:
    until = time.perf_counter() + for_s
    fields = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    head = f"POST /invocations HTTP/1.1\r\n{fields}\r\n\r\n"
    parts = await asyncio.gather(
        *(_connection(port, head.encode() + body, until) for _ in range(connections))
    )
    return [took for part in parts for took in part]


async def _connection(port: int, request: bytes, until: float) -> list[float]:
    """Ask again and again on one connection; one that the server closes is opened again."""
    took: list[float] = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (began := time.perf_counter()) < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
        await reader.readexactly(int(fields[b"content-length"]))
        took.append(time.perf_counter() - began)
        if fields.get(b"connection") == b"close":
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    return took


def _high(seconds: Sequence[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)] * 1e3


if __name__ == "__main__":
    main()
