"""The ways in over HTTP that stay shut, and that nothing of what a client showed goes further."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.server.transport_security import TransportSecurityMiddleware

from tests.fakes.asgi import HELLO, PORT, Answer, ask
from tests.fakes.mcp_server import TOOLS
from tools.gateway import bearers, endpoints
from tools.gateway.bearers import FILE, make
from tools.gateway.front import BODY_LIMIT, App, Front, Place, security
from tools.serve import mount
from tools.tool import Role, ToolRefusedError

NOW = datetime(2026, 11, 2, tzinfo=UTC)
READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}
CALL = {
    "jsonrpc": "2.0",
    "id": 2,
    "method": "tools/call",
    "params": {"name": "submit", "arguments": {"act": "echo", "text": "heard"}},
}
LIST = {"jsonrpc": "2.0", "id": 3, "method": "tools/list"}


@dataclass
class House:
    """A front before the tools of tests/fakes/mcp_server.py, with a bearer for each of three roles."""

    front: Front
    tokens: dict[str, str]
    folder: Path
    seen: list[Any] = field(default_factory=list)

    async def ask(self, body: Any = HELLO, role: str = "devops", **more: Any) -> Answer:
        shown = {"Authorization": f"Bearer {self.tokens[role]}"} if role else {}
        return await ask(self.front, body, **{**more, "headers": {**shown, **more.get("headers", {})}})

    async def opened(self, role: str = "devops") -> dict[str, str]:
        answer = await self.ask(role=role)
        assert answer.status == 200
        session = {"Mcp-Session-Id": answer.headers["mcp-session-id"]}
        assert (await self.ask(READY, role, headers=session)).status == 202
        return session


@asynccontextmanager
async def house(folder: Path, stranger: Callable[[Any], bool] = lambda _: False) -> AsyncIterator[House]:
    tokens = {
        name: make(folder, Role(name.partition("-")[0]), name, NOW)
        for name in ("devops", "devops-2", "notary", "sre")
    }
    made = {("gate", role): mount(TOOLS, name="gate", role=role) for role in (Role.DEVOPS, Role.NOTARY)}
    seen: list[Any] = []
    async with AsyncExitStack() as stack:
        apps = await endpoints.endpoints(stack, made, security(PORT))

        async def serving(place: Place, role: Role) -> App | None:
            if place.run == "full":
                raise ToolRefusedError("too-many-runs", "8 runs are open.", "Wait.")
            app = apps.get((place.server, role))
            return None if app is None else partial(_watched, seen, app)

        guard = TransportSecurityMiddleware(security(PORT))
        yield House(Front(guard, partial(bearers.load, folder), serving, stranger), tokens, folder, seen)


async def _watched(seen: list[Any], app: App, scope: Any, receive: Any, send: Any) -> None:
    seen.append(scope)
    await app(scope, receive, send)


def run(folder: Path, test: Callable[[House], Any], **more: Any) -> Any:
    async def body() -> Any:
        async with house(folder, **more) as built:
            return await test(built)

    return anyio.run(body)


def test_a_role_is_the_bearer_it_comes_with(tmp_path: Path) -> None:
    async def body(built: House) -> None:
        session = await built.opened()
        listed = (await built.ask(LIST, headers=session)).json["result"]["tools"]
        assert [tool["name"] for tool in listed] == ["submit"]
        said = (await built.ask(CALL, headers=session)).json["result"]
        assert said["structuredContent"]["text"] == "heard"
        notary = await built.opened("notary")
        denied = (await built.ask(CALL, "notary", headers=notary)).json["result"]
        assert (denied["isError"], denied["structuredContent"]["refused"]) == (True, "tool-not-granted")

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("more", "status", "name"),
    [
        (dict(role=""), 401, "bearer-missing"),
        (dict(role="", headers={"Authorization": "Bearer "}), 401, "bearer-missing"),
        (dict(role="", headers={"Authorization": "Basic dTpw"}), 401, "bearer-missing"),
        (dict(role="", headers={"Authorization": "Bearer cs_wrong"}), 401, "bearer-unknown"),
        (dict(role="", headers={"Authorization": "Bearer \xff"}), 401, "bearer-unknown"),
        (dict(role="", headers={"Authorization": "TWICE"}), 401, "bearer-missing"),
        (dict(role="", query=b"access_token=TOKEN"), 401, "bearer-missing"),
        (dict(role="", headers={"Authorization": "DIGEST"}), 401, "bearer-unknown"),
        (dict(role="sre"), 403, "role-not-served"),
        (dict(path="/notary/mcp"), 403, "role-not-served"),
        (dict(path="/"), 404, "no-such-path"),
        (dict(path="/mcp/"), 404, "no-such-path"),
        (dict(path="/runs/../mcp"), 404, "no-such-path"),
        (dict(path="/runs/A/mcp"), 404, "no-such-path"),
        (dict(path="/runs/full/mcp"), 503, "too-many-runs"),
    ],
    ids=str,
)  # fmt: skip
def test_the_ways_in_that_stay_shut(tmp_path: Path, more: dict[str, Any], status: int, name: str) -> None:
    async def body(built: House) -> None:
        token = built.tokens["devops"]
        asked = {**more, "query": more.get("query", b"").replace(b"TOKEN", token.encode())}
        if (shown := more.get("headers", {}).get("Authorization")) == "TWICE":
            asked["headers"] = {"Authorization": [f"Bearer {token}", f"Bearer {token}"]}
        elif shown == "DIGEST":
            asked["headers"] = {"Authorization": f"Bearer {bearers.load(built.folder).bearers[0].digest}"}
        answer = await built.ask(**asked)
        assert (answer.status, answer.json["refused"]) == (status, name)
        assert built.seen == []
        if status == 401:
            assert answer.headers["www-authenticate"].startswith("Bearer")

    run(tmp_path, body)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": f"evil.example:{PORT}"}, 421),
        ({"Host": "127.0.0.1"}, 421),
        ({"Host": None}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": f"https://127.0.0.1:{PORT}"}, 403),
        ({"Origin": f"http://127.0.0.1:{PORT}.evil.example"}, 403),
    ],
    ids=str,
)
def test_a_web_page_gets_nowhere_even_with_a_bearer(
    tmp_path: Path, headers: dict[str, Any], status: int
) -> None:
    async def body(built: House) -> None:
        assert (await built.ask(headers=headers)).status == status
        assert built.seen == []

    run(tmp_path, body)


def test_a_session_is_its_bearers_alone(tmp_path: Path) -> None:
    async def body(built: House) -> None:
        session = await built.opened()
        for other in ("devops-2", "notary"):
            assert (await built.ask(CALL, other, headers=session)).status == 404
            assert (await built.ask(b"", other, method="DELETE", headers=session)).status == 404
        assert (await built.ask(CALL, headers=session)).status == 200

    run(tmp_path, body)


def test_a_revoked_bearer_is_out_in_the_middle_of_its_session(tmp_path: Path) -> None:
    async def body(built: House) -> None:
        session = await built.opened()
        bearers.revoke(built.folder, "devops")
        assert (await built.ask(CALL, headers=session)).status == 401

    run(tmp_path, body)


def test_what_a_client_showed_goes_no_further(tmp_path: Path) -> None:
    async def body(built: House) -> None:
        await built.opened()
        for scope in built.seen:
            held = repr(scope["headers"]) + repr(vars(scope["user"])) + repr(scope["user"].access_token)
            assert built.tokens["devops"] not in held
            assert b"authorization" not in dict(scope["headers"])

    run(tmp_path, body)


def test_a_body_over_the_limit_is_not_read(tmp_path: Path) -> None:
    async def body(built: House) -> None:
        session = await built.opened()
        told = {**session, "Content-Length": str(BODY_LIMIT + 1)}
        assert (await built.ask(b"{}", headers=told)).status == 413
        unsaid = {**session, "Content-Length": None}
        assert (await built.ask(b" " * (BODY_LIMIT + 1), headers=unsaid)).status == 413

    run(tmp_path, body)


def test_a_process_that_could_read_our_keys_is_turned_away_where_that_is_demanded(tmp_path: Path) -> None:
    async def body(built: House) -> None:
        answer = await built.ask()
        assert (answer.status, answer.json["refused"]) == (403, "same-user")

    run(tmp_path, body, stranger=lambda _: True)


def test_a_broken_list_of_bearers_lets_nobody_in(tmp_path: Path) -> None:
    async def body(built: House) -> None:
        (built.folder / FILE).write_text("{")
        answer = await built.ask()
        assert (answer.status, answer.json["refused"]) == (503, "bearers-unusable")

    run(tmp_path, body)
