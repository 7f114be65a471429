"""The process that answers: uvicorn on a socket that it was given, around what `stand` serves.

It begins to answer when its model is ready; until then, callers wait in the socket's queue. SIGTERM lets it
finish what it has begun. It says of itself in `CRO_EVENTS` what it answers and how quickly.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn

from jobs.core.ports import CroError
from jobs.kinds.service import ServiceRequest
from jobs.programs.serving.connections import IDLE_TIMEOUT_S, Connection
from jobs.programs.serving.model_server import ModelServer
from jobs.programs.serving.routes import application
from jobs.records.report import report

CANNOT_SERVE = 3
REPORT_EVERY_S = 10.0
FOLD_EVERY_S = 0.5
_LAST_REQUESTS_S = 5


def work(asked: ServiceRequest, listening: socket.socket, url: str, output: Path | None) -> int:
    """Answer until told to stop; CANNOT_SERVE when the model cannot be served at all."""
    stand = ModelServer(asked, url, output)
    try:
        stand.open()
    except CroError as error:
        print(error, file=sys.stderr, flush=True)
        return CANNOT_SERVE
    with asyncio.Runner(loop_factory=_loop) as runner:
        runner.run(_serve(stand, asked, listening))
    return 0


async def _serve(stand: ModelServer, asked: ServiceRequest, listening: socket.socket) -> None:
    config = uvicorn.Config(
        application(stand, asked.token_sha256),
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        lifespan="off",
        server_header=False,
        http=Connection,
        ws="none",
        timeout_keep_alive=IDLE_TIMEOUT_S,
        timeout_graceful_shutdown=_LAST_REQUESTS_S,
    )
    server = uvicorn.Server(config)
    asides = (stand.follow(), _report(stand), _fold(stand))
    besides = [asyncio.create_task(aside) for aside in asides]
    try:
        await server.serve(sockets=[listening])
    finally:
        for task in besides:
            task.cancel()
        if stand.log is not None:
            await asyncio.to_thread(stand.log.close)
        await asyncio.gather(*besides, return_exceptions=True)


async def _report(stand: ModelServer) -> None:
    """A line for the job's row whenever there was something to say."""
    told, phase = 0, ""
    while True:
        service, counts = stand.service, stand.counts
        assert service is not None
        now = f"serving {service.name}:{service.version} by {service.engine}"
        stand.report()
        if now != phase or counts.answered != told:
            event: dict[str, Any] = {"phase": now, "requests": counts.answered, "failed": counts.failed}
            event |= {name: round(value, 3) for name, value in counts.latencies_ms().items()}
            drifts = stand.recent.drifts()
            event |= {"drift_psi": round(drifts[0].psi, 3)} if drifts else {}
            phase, told = now, counts.answered
            report(event)
        await asyncio.sleep(REPORT_EVERY_S)


async def _fold(stand: ModelServer) -> None:
    while True:
        await asyncio.sleep(FOLD_EVERY_S)
        stand.recent.fold()


def _loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
