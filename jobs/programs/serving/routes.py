"""The routes of a service, and what stands before them: token, body limit, time-outs, counting.

Every refusal is one JSON sentence; nothing that a request holds can end the service.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import sys
import time
import traceback
from collections.abc import MutableMapping
from dataclasses import asdict
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from jobs.kinds.service import BODY_LIMIT_BYTES
from jobs.programs.serving import rows as reading
from jobs.programs.serving.batching import Batcher
from jobs.programs.serving.drift import drift_sentence
from jobs.programs.serving.model_server import ModelServer
from jobs.programs.serving.rows import RefusedRows
from jobs.programs.serving.schema import openapi

PREDICTING = ("/predict", "/invocations")  # the first with probabilities
OPEN = ("/ping", "/health", "/ready")  # asked by whoever watches it; they tell nothing that was sent
BODY_TIMEOUT_S = 15.0
_DRIFTS_SHOWN = 10
QUICK_ROWS = 200  # more of them are handed to a thread, so that others are not kept waiting
_DISCARDED_BYTES = 128 << 20  # of a body that is too large, so that its sender lives to read why


def application(stand: ModelServer, token_sha256: str = "") -> ASGIApp:
    """Everything that the service answers."""

    async def ping(_: Request) -> Response:
        return Response(b"\n")

    async def ready(_: Request) -> Response:
        return _json({"ready": True})

    async def health(_: Request) -> Response:
        assert stand.service is not None
        counts = stand.counts
        told = asdict(stand.service) | {"requests": counts.answered, "failed": counts.failed}
        drifts, rows = stand.recent.drifts(), stand.recent.rows
        told.pop("drift")
        shown = [asdict(each) for each in drifts[:_DRIFTS_SHOWN]]
        compared = {"rows": rows, "columns": shown, "said": drift_sentence(drifts, rows)}
        told |= {"refused": counts.refused, "input_drift": compared}
        return _json(told | counts.latencies_ms())

    async def metrics(_: Request) -> Response:
        stand.counts.measured(stand.recent.drifts(), stand.recent.rows, stand.log)
        return Response(stand.counts.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def described(_: Request) -> Response:
        assert stand.loaded is not None
        card, engine = stand.loaded.card, stand.loaded.engine
        sample = card.sample if isinstance(card.sample, list) else []
        return _json(openapi(card, engine.signature, engine.nullable, sample, token=bool(token_sha256)))

    routes = [
        *(Route(path, _only_posted, methods=["POST"]) for path in PREDICTING),
        Route("/ping", ping),
        Route("/health", health),
        Route("/ready", ready),
        Route("/metrics", metrics),
        Route("/openapi.json", described),
    ]
    return _Front(Starlette(routes=routes, exception_handlers=_HANDLERS), stand, token_sha256)


class _Front:
    """Counts what is answered, lets nobody past without the token, and answers what is asked of the model
    itself: what stands between costs more than most models.
    """

    def __init__(self, app: ASGIApp, stand: ModelServer, token_sha256: str) -> None:
        self._app, self._stand, self._token_sha256 = app, stand, token_sha256
        self._batcher = Batcher()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, path = time.perf_counter(), 500, scope["path"]
        counts = self._stand.counts

        async def told(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        counts.began()
        try:
            if self._token_sha256 and path not in OPEN and not self._has_token(scope):
                answer = _error("A token is needed: send the header Authorization: Bearer TOKEN.", 401)
                answer.headers["www-authenticate"] = "Bearer"
                await answer(scope, receive, told)
            elif path in PREDICTING and scope["method"] == "POST":
                status, content = await self._answered(scope, receive, full=path == PREDICTING[0])
                head = [
                    (b"content-type", b"application/json"),
                    (b"content-length", str(len(content)).encode()),
                ]
                await send({"type": "http.response.start", "status": status, "headers": head})
                await send({"type": "http.response.body", "body": content})
            else:
                await self._app(scope, receive, told)
        finally:
            counts.ended(path, status, time.perf_counter() - began)

    async def _answered(self, scope: Scope, receive: Receive, *, full: bool) -> tuple[int, bytes]:
        """Status and body for rows that were sent."""
        try:
            return 200, _content(await self._predicted(scope, receive, full=full))
        except RefusedRows as refused:
            return refused.status, _content({"error": refused.sentence})
        except ClientDisconnect:
            return 400, _content({"error": "The sender left before its request was whole."})
        except Exception as error:
            traceback.print_exception(error, file=sys.stderr)
            return 500, _content({"error": "The model failed on these values; the service's log says how."})

    async def _predicted(self, scope: Scope, receive: Receive, *, full: bool) -> dict[str, Any]:
        headers = dict(scope["headers"])
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            raise RefusedRows("Send the rows as JSON, with the header Content-Type: application/json.", 415)
        body = await _body(headers.get(b"content-length", b"0"), receive)
        loaded = self._stand.loaded
        assert loaded is not None
        engine = loaded.engine
        rows = reading.read(body, engine.signature, engine.nullable)
        if engine.quick and rows.count <= QUICK_ROWS:
            answer = engine.predict(rows, probabilities=full)
        else:
            answer = await self._batcher.predict(engine, rows, full=full)
        self._stand.predicted(loaded, rows, answer)
        table: dict[str, Any] = {"predictions": answer.predictions}
        if full:
            table["model"] = f"{loaded.card.name}:{loaded.card.version}"
            if answer.probabilities is not None:
                table |= {"probabilities": answer.probabilities, "classes": engine.classes}
        return table

    def _has_token(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, token = given.partition(b" ")
        digest = hashlib.sha256(token.strip()).hexdigest()
        return bool(hmac.compare_digest(digest, self._token_sha256)) and scheme.lower() == b"bearer"


async def _only_posted(_: Request) -> Response:
    raise AssertionError("what is posted here is answered before it comes so far")


async def _body(announced: bytes, receive: Receive) -> bytes:
    """The whole body. Raises Refused when it is too large, or does not come; ClientDisconnect."""
    parts: list[bytes] = []
    size, more = 0, True
    if announced.isdigit() and int(announced) > _DISCARDED_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while more and size <= _DISCARDED_BYTES:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                part = message.get("body", b"")
                more = message.get("more_body", False)
                size += len(part)
                if size <= BODY_LIMIT_BYTES:
                    parts.append(part)
    except TimeoutError:
        raise RefusedRows(f"The body did not come within {BODY_TIMEOUT_S:.0f} s.", 408) from None
    if size > BODY_LIMIT_BYTES:
        raise _too_large()
    return b"".join(parts)


def _too_large() -> RefusedRows:
    return RefusedRows(
        f"The body is larger than {BODY_LIMIT_BYTES >> 20} MiB: send the rows in parts.", 413
    )


def _content(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _json(value: object, status: int = 200) -> Response:
    return Response(_content(value), status, media_type="application/json")


def _error(sentence: str, status: int) -> Response:
    return _json({"error": sentence}, status)


async def _broken(_: Request, error: Exception) -> Response:
    traceback.print_exception(error, file=sys.stderr)
    return _error("The service failed; its log says how.", 500)


async def _unknown(request: Request, _: Exception) -> Response:
    return _error(f"There is nothing at {request.url.path[:100]}: /openapi.json says what there is.", 404)


async def _method(request: Request, _: Exception) -> Response:
    return _error(f"{request.url.path} cannot be asked by {request.method[:10]}: see /openapi.json.", 405)


_HANDLERS: Any = {404: _unknown, 405: _method, Exception: _broken}
