"""git over HTTP (the smart protocol): anyone on this machine may clone, only a token may push."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Callable
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from tools.sandbox.github.bare import MISSING, environment
from tools.sandbox.github.hub import Hub

_SERVICES = {"git-upload-pack": "upload-pack", "git-receive-pack": "receive-pack"}
_MOST = 512 * 2**20
Login = Callable[[Request], str | None]
"""Who asks; None for nobody known."""


def routes(hub: Hub, login: Login) -> list[BaseRoute]:
    """Where git clones from and pushes to."""
    root = f"/{hub.settings.full_name}.git"
    return [
        Route(f"{root}/info/refs", partial(_advertise, hub, login), methods=["GET"]),
        *(
            Route(f"{root}/{name}", partial(_exchange, hub, login, name), methods=["POST"])
            for name in _SERVICES
        ),
    ]


async def _advertise(hub: Hub, login: Login, request: Request) -> Response:
    name = request.query_params.get("service", "")
    if name not in _SERVICES:
        return PlainTextResponse("the dumb protocol is not served: use a git client", 403)
    if name == "git-receive-pack" and login(request) is None:
        return _ask_for_token()
    refs = await _git(hub, request, name, "--http-backend-info-refs", b"")
    banner = f"# service={name}\n".encode()
    body = f"{len(banner) + 4:04x}".encode() + banner + b"0000" + refs
    return Response(
        body, headers={"Cache-Control": "no-cache"}, media_type=f"application/x-{name}-advertisement"
    )


async def _exchange(hub: Hub, login: Login, name: str, request: Request) -> Response:
    actor = login(request)
    if name == "git-receive-pack" and actor is None:
        return _ask_for_token()
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MOST:
            return PlainTextResponse("that is more than the sandbox takes", 413)
    data = bytes(body)
    if request.headers.get("content-encoding") == "gzip":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            return PlainTextResponse("the body is not gzip", 400)
    if name == "git-upload-pack":
        answer = await _git(hub, request, name, "", data)
    else:
        before = await run_in_threadpool(hub.git.refs)
        answer = await _git(hub, request, name, "", data)
        await run_in_threadpool(_announce, hub, before, actor or "")
    return Response(answer, headers={"Cache-Control": "no-cache"}, media_type=f"application/x-{name}-result")


def _announce(hub: Hub, before: dict[str, str], actor: str) -> None:
    with hub.lock:
        after = hub.git.refs()
        for ref in sorted(before.keys() | after.keys()):
            old, new = before.get(ref, MISSING), after.get(ref, MISSING)
            if old != new:
                hub.moved(ref, old, new, actor)


async def _git(hub: Hub, request: Request, name: str, flag: str, data: bytes) -> bytes:
    command = [
        *hub.git.command()[:3],
        _SERVICES[name],
        "--stateless-rpc",
        *([flag] if flag else []),
        str(hub.git.path),
    ]
    env = environment(hub.git.search_path)
    if protocol := request.headers.get("git-protocol"):
        env["GIT_PROTOCOL"] = protocol
    child = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=env
    )
    out, _ = await child.communicate(data)
    return out


def _ask_for_token() -> Response:
    return PlainTextResponse(
        "push with the sandbox's token", 401, {"WWW-Authenticate": 'Basic realm="sandbox"'}
    )
