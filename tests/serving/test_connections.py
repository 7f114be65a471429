"""Connections that say nothing, half of something, or too much: each ends, and others are answered."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from jobs.programs.serving import connections
from jobs.programs.serving.connections import Connection

WHOLE = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


async def answers(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.4)
    monkeypatch.setattr(connections, "IDLE_TIMEOUT_S", 0.8)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(
            answers, http=Connection, ws="none", lifespan="off", log_level="critical", timeout_keep_alive=5
        )
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
        thread.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


def opened(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def to_the_end(client: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(65536):
            found += part
    return found


def asked(client: socket.socket) -> None:
    """A whole request is answered."""
    client.sendall(WHOLE)
    found = b""
    while not found.endswith(b"ok"):
        part = client.recv(65536)
        assert part, found
        found += part
    assert found.startswith(b"HTTP/1.1 200")


def error(answer: bytes) -> str:
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["error"])


def test_nothing_and_half_a_head_and_a_trickle_end_in_time_while_others_are_answered(port: int) -> None:
    with opened(port) as silent, opened(port) as half, opened(port) as slow, opened(port) as whole:
        half.sendall(WHOLE[:-4])
        done = threading.Event()

        def trickle() -> None:
            with contextlib.suppress(OSError):
                while not done.wait(0.05):
                    slow.sendall(b"\r\n")

        thread = threading.Thread(target=trickle)
        thread.start()
        asked(whole)
        assert to_the_end(silent) == b""
        assert "did not come within" in error(to_the_end(half))
        assert b"408" in to_the_end(slow)
        done.set()
        thread.join()
        asked(whole)
        whole.sendall(WHOLE[:10])
        assert b"408" in to_the_end(whole)


def test_a_head_without_end_is_refused(port: int) -> None:
    with opened(port) as client:
        with contextlib.suppress(OSError):
            client.sendall(b"GET / HTTP/1.1\r\n" + b"x-much: " + b"a" * (1 << 20))
        answer = to_the_end(client)
        assert not answer or "at most 64 KiB" in error(answer)  # a reset may come before the answer
    with opened(port) as client:
        asked(client)
