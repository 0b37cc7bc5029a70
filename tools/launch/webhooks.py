"""`countersign serve webhooks`: takes GitHub's deliveries on loopback; a proxy with TLS stands before it.

It holds the webhook's secret and nothing else: no token, no key. A genuine delivery wakes a run that waits, and that run's
gate asks GitHub itself.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.to_thread
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tools.gate.deliveries import BODY_LIMIT, Deliveries, DeliveryRefusedError, SecretFaultError, secret_of
from tools.launch import folders
from tools.launch.commands import read_config
from tools.launch.config import ConfigFaultError

PATH = "/webhooks"
_PATIENCE = 10.0
"""Seconds that a body may take to arrive."""
_AT_ONCE = 32


def serve(port: int, state_dir: Path | None, say: Callable[[str], None]) -> int:
    """Serve until asked to stop. Raises ConfigFaultError."""
    config = read_config(state_dir)
    if config.file.gate.url is not None:
        raise ConfigFaultError(
            f"the gate stands at {config.file.gate.url}: run `countersign serve webhooks` there"
        )
    folders.private(config.state_dir)
    path = folders.private(config.state_dir / "credentials") / "webhook.secret"
    try:
        secret = secret_of(path)
    except SecretFaultError as fault:
        raise ConfigFaultError(str(fault)) from fault
    deliveries = Deliveries(
        config.state_dir, secret, config.file.github.repository, lambda: datetime.now(UTC)
    )
    say(f"deliveries for {config.file.github.repository} at http://127.0.0.1:{port}{PATH}; secret in {path}")
    try:
        uvicorn.run(
            app_of(deliveries, say),
            host="127.0.0.1",
            port=port,
            log_level="warning",
            access_log=False,
            limit_concurrency=_AT_ONCE,
            ws="none",
            lifespan="off",
        )
    finally:
        deliveries.close()
    return 0


def app_of(deliveries: Deliveries, say: Callable[[str], None]) -> Starlette:
    """POST /webhooks: 202 for a hint, 204 for what is nothing to us, and a named refusal for the rest."""

    async def receive(request: Request) -> Response:
        try:
            body = await _body(request)
            hint = await anyio.to_thread.run_sync(deliveries.receive, dict(request.headers), body)
        except DeliveryRefusedError as no:
            return JSONResponse({"refused": no.name, "message": no.message}, no.status)
        if not hint:
            return Response(status_code=204)
        say(
            f"{request.headers['x-github-event']} {request.headers['x-github-delivery']}: whoever waits asks GitHub"
        )
        return JSONResponse({"hint": True}, 202)

    return Starlette(routes=[Route(PATH, receive, methods=["POST"])])


async def _body(request: Request) -> bytes:
    """The raw body, read no further than its limit. Raises DeliveryRefusedError."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise DeliveryRefusedError(415, "not-json", "set the webhook's content type to application/json")
    data = bytearray()
    try:
        with anyio.fail_after(_PATIENCE):
            async for part in request.stream():
                data += part
                if len(data) > BODY_LIMIT:
                    raise DeliveryRefusedError(413, "body-too-large", f"more than {BODY_LIMIT} bytes")
    except TimeoutError:
        raise DeliveryRefusedError(408, "body-too-slow", f"not there within {_PATIENCE:g} seconds") from None
    except ClientDisconnect:
        raise DeliveryRefusedError(400, "body-cut-off", "the sender went away") from None
    return bytes(data)
