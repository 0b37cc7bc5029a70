"""The other side: a run's pipes, one per role, onto a gate that is spoken to over HTTP. The bearers stay here.

What a role may call is enforced over there. Here only what its pipe would grant goes through, so that the crew
meets the same gate as always, and in a dry run nothing is submitted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client

from tools import catalog, dialect, wire
from tools.gateway.bearers import read_token
from tools.gateway.relay import Relay, relay
from tools.gateway.words import OpenRun, RunOpened
from tools.serve import VERSION, refused
from tools.session import DEADLINE, Session, SessionLostError, alone, opened
from tools.settings import RemoteSettings
from tools.tool import Role, ToolRefusedError

_CONNECTING = 10.0


@asynccontextmanager
async def open_remote(url: str, token: str, *, name: str) -> AsyncIterator[Session]:
    """A session over streamable HTTP; enter and leave in one task. Raises SessionLostError, SessionTimeoutError."""
    timeout = httpx2.Timeout(_CONNECTING, read=DEADLINE)
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with (
            httpx2.AsyncClient(headers=headers, timeout=timeout, trust_env=False) as http,
            streamable_http_client(url, http_client=http) as (read, write),
            ClientSession(read, write) as client,
        ):
            await opened(client, name)
            yield Session(client, name)
    except BaseExceptionGroup as group:  # the SDK's task groups wrap whatever the caller's block raises
        fault = alone(group)
        if isinstance(fault, httpx2.HTTPError):
            raise SessionLostError(f"{name} at {url} cannot be reached: {fault}") from fault
        raise fault from None


@dataclass(frozen=True)
class Narrowed:
    """A relay of what one role's pipe to one server grants, and no more."""

    relay: Relay
    server_name: str
    role: Role
    dry_run: bool

    def listing(self) -> list[dict[str, Any]]:
        """What tools/list shows."""
        granted = catalog.granted(self.role, self.server_name)
        return [tool for tool in self.relay.listing() if tool["name"] in granted]

    async def calling(self, name: str, arguments: dict[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one tools/call."""
        if name not in catalog.granted(self.role, self.server_name):
            return refused(
                ToolRefusedError("tool-not-granted", f"{self.role} has no tool {name[:100]!r} here.")
            )
        if self.dry_run and name == "submit":
            return refused(
                ToolRefusedError("dry-run", "nothing is submitted in a dry run.", "Run without --dry-run.")
            )
        return await self.relay.calling(name, arguments, meta)

    def server(self) -> Any:  # noqa: ANN401 - either SDK's Server
        """The MCP server for the pipe."""
        return dialect.server(f"countersign-{self.server_name}", VERSION, self.listing, self.calling)


async def serve_pipes(told: RemoteSettings) -> None:
    """Open the run over there and serve every pipe until all are closed.

    Raises SessionFaultError, ToolRefusedError, BearerFaultError.
    """
    place = f"{told.url}/runs/{told.run_id}"
    pipes = [("gate", Role(role), fd, f"{place}/mcp") for role, fd in told.gate.items()]
    pipes += [("notary", Role(role), fd, f"{place}/notary/mcp") for role, fd in told.notary.items()]
    tokens = {
        role: token_of(told.bearers, role) for role in {Role.PERSON, *(role for _, role, _, _ in pipes)}
    }
    async with open_remote(f"{told.url}/mcp", tokens[Role.PERSON], name="gate") as person:
        await person.call("open_run", OpenRun(run_id=told.run_id, request=told.request), RunOpened)
    async with AsyncExitStack() as stack:
        made = []
        for server, role, fd, url in pipes:
            session = await stack.enter_async_context(open_remote(url, tokens[role], name=server))
            made.append((Narrowed(await relay(session), server, role, told.dry_run), fd))
        async with anyio.create_task_group() as group:
            for narrowed, fd in made:
                group.start_soon(_serve, narrowed.server(), fd)


async def _serve(server: Any, fd: int) -> None:  # noqa: ANN401 - either SDK's Server
    async with wire.streams(fd) as (read, write):
        await server.run(read, write, server.create_initialization_options())


def token_of(folder: Path, role: Role) -> str:
    """The bearer of a role. Raises BearerFaultError."""
    return read_token(folder / f"{role}.token")
