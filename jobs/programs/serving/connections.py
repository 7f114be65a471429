"""A connection of a service: who opens one has to say what is wanted within time, and with few bytes.

uvicorn has a time limit for connections that wait between two requests, and no other: one that sends half
of a head, a byte now and then or nothing at all would be kept for ever.
"""

from __future__ import annotations

import json
from asyncio import Transport
from asyncio.events import TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

IDLE_TIMEOUT_S = 75  # nothing was sent, or nothing since the last answer
HEAD_TIMEOUT_S = 15.0  # from the first byte of a request to the end of its head
HEAD_LIMIT_BYTES = 64 << 10


class Connection(HttpToolsProtocol):
    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._in_head, self._begun, self._head_bytes = True, False, 0
        self._deadline: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(IDLE_TIMEOUT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._enough()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_LIMIT_BYTES:
            self._refuse(431, f"The head of a request has at most {HEAD_LIMIT_BYTES >> 10} KiB.")
        elif not self._begun:
            self._begun = True
            self._wait(HEAD_TIMEOUT_S)

    def on_headers_complete(self) -> None:
        self._in_head, self._begun, self._head_bytes = False, False, 0
        self._enough()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        self._in_head = True
        super().on_response_complete()

    def _wait(self, seconds: float) -> None:
        self._enough()
        self._deadline = self.loop.call_later(seconds, self._late)

    def _enough(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        if self._begun:
            self._refuse(408, f"The request did not come within {HEAD_TIMEOUT_S:g} s.")
        else:
            self.transport.close()

    def _refuse(self, status: int, sentence: str) -> None:
        content = json.dumps({"error": sentence}).encode()
        head = f"HTTP/1.1 {status} Refused\r\ncontent-type: application/json\r\nconnection: close\r\n"
        self.transport.write(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
        self.transport.close()
