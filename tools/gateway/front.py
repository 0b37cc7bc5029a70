"""The HTTP door, as one ASGI application, and what it checks, in this order, each with its own status.

421/403  Host and Origin are this loopback address (a web page's request is neither)
404      the path is PLACE/mcp
401      one Authorization header with a known bearer
403      its role is served here, and its process belongs to another user where that is demanded
413      the body is within the limit (the SDK, before it parses)
404      the session was opened by this very bearer
The bearer ends here: it is taken out of the request before anything else sees it, and goes to no other server.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tools.gateway.bearers import Bearer, BearerFaultError, Bearers
from tools.tool import Role, ToolRefusedError

BODY_LIMIT = 64 * 1024 * 1024
SESSION_LIMIT = 64
NO_RUN = "no-such-run"
"""The refusal of a run that nobody asked for."""
_PATH = re.compile(r"(?:/runs/(?P<run>[a-z0-9][a-z0-9-]{0,39}))?(?P<notary>/notary)?/mcp")

App = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(frozen=True)
class Place:
    """What a path names: the gate or the notary of a run; None is the gateway's own run."""

    run: str | None
    server: str


Serving = Callable[[Place, Role], Awaitable[App | None]]
"""The MCP endpoint of a place for a role; None when that role has nothing there. Raises ToolRefusedError."""


def security(port: int) -> TransportSecuritySettings:
    """Only requests that were addressed to this loopback port."""
    hosts = [f"127.0.0.1:{port}", f"localhost:{port}"]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=hosts,
        allowed_origins=[f"http://{host}" for host in hosts],
    )


@dataclass(frozen=True)
class Front:
    """The application. `bearers` is read at each request, so that a revocation counts at once."""

    guard: TransportSecurityMiddleware
    bearers: Callable[[], Bearers]
    serving: Serving
    stranger: Callable[[Any], bool]
    """Whether the peer of this ASGI scope may not speak here at all, whatever it shows."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        """Answer one request."""
        if scope["type"] == "http":
            answer = await self._answer(scope)
            await answer(scope, receive, send)

    async def _answer(self, scope: Any) -> App:  # noqa: ANN401 - ASGI
        request = Request(scope)
        refused = await self.guard.validate_request(request)
        if refused is not None:
            return refused
        path = _PATH.fullmatch(scope["path"])
        if path is None:
            return _said(404, "no-such-path", "MCP is at /mcp, /notary/mcp and /runs/RUN/mcp.")
        try:
            bearer = self._bearer(request)
        except BearerFaultError as fault:
            return _said(503, "bearers-unusable", f"{fault}.")
        if isinstance(bearer, Response):
            return bearer
        if self.stranger(scope):
            return _said(
                403,
                "same-user",
                "This gate serves other users' processes only: its own user's could read its keys.",
            )
        place = Place(path["run"], "notary" if path["notary"] else "gate")
        try:
            app = await self.serving(place, bearer.role)
        except ToolRefusedError as no:
            status = 404 if no.name == NO_RUN else 503
            return _said(status, no.name, f"{no.message} {no.advice}".strip())
        if app is None:
            return _said(403, "role-not-served", f"A bearer of role {bearer.role} has nothing to do here.")
        _hand_over(scope, bearer)
        return app

    def _bearer(self, request: Request) -> Bearer | Response:
        shown = request.headers.getlist("authorization")
        scheme, _, token = shown[0].partition(" ") if len(shown) == 1 else ("", "", "")
        if scheme.lower() != "bearer" or not token:
            return _said(
                401, "bearer-missing", "Send one header `Authorization: Bearer TOKEN`; `countersign bearer make ROLE` makes one."
            )  # fmt: skip
        return self.bearers().of(token.strip()) or _said(
            401, "bearer-unknown", "This token is not known here, or was revoked.", error="invalid_token"
        )


def _hand_over(scope: Any, bearer: Bearer) -> None:  # noqa: ANN401 - ASGI
    """Leave in the request who it is and not what it showed; the SDK ties a session to who opened it."""
    scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
    scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=bearer.digest, scopes=[]))


def _said(status: int, name: str, message: str, *, error: str = "") -> Response:
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="countersign"' + (f', error="{error}"' if error else "")
    return JSONResponse({"refused": name, "message": message}, status_code=status, headers=headers)
