"""The sessions of one run as what its clients are offered: relayed tools by server and role, proposals, HTTP endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mcp.server.streamable_http import EventStore
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings

from policies.profile import Profile
from tools.gateway.front import BODY_LIMIT, SESSION_LIMIT, App
from tools.gateway.proposing import Proposing
from tools.gateway.relay import FromThread, Relay, relay
from tools.session import open_session
from tools.tool import Role

ROLES = (Role.PLANNER, Role.DEVOPS, Role.SECURITY, Role.SRE, Role.PERSON)
"""Who may speak to a gate that has its notary beside it."""
RETRY = 100
"""Milliseconds after which a client comes back for a stream that we closed."""
Key = tuple[str, Role]
"""`gate` or `notary`, and who speaks to it."""


@dataclass(frozen=True)
class Connected:
    """Both servers of one run, spoken to by role."""

    relays: Mapping[Key, Relay]
    proposing: Proposing


async def connected(
    stack: AsyncExitStack, gate: Mapping[str, int], security: int, profile: Profile
) -> Connected:
    """Over sessions that `stack` keeps open. Raises SessionLostError, SessionTimeoutError."""
    sessions = {
        Role(role): await stack.enter_async_context(open_session(fd, name="gate"))
        for role, fd in gate.items()
    }
    notary = await stack.enter_async_context(open_session(security, name="notary"))
    relays = {("gate", role): await relay(session) for role, session in sessions.items()}
    relays["notary", Role.SECURITY] = await relay(notary)
    devops = FromThread(sessions[Role.DEVOPS])
    return Connected(relays, Proposing(devops, FromThread(notary), profile, lambda: datetime.now(UTC)))


async def endpoints(
    stack: AsyncExitStack,
    servers: Mapping[Key, Any],
    guard: TransportSecuritySettings,
    events: EventStore | None = None,
) -> dict[Key, App]:
    """MCP servers over streamable HTTP. A role's sessions are its own: another role's bearer finds none of them.

    Without `events` a stream that broke is not resumed: the caller reads the state and asks again.
    """
    apps: dict[Key, App] = {}
    for key, server in servers.items():
        manager = StreamableHTTPSessionManager(
            server,
            event_store=events,
            retry_interval=RETRY if events else None,
            security_settings=guard,
            max_request_body_size=BODY_LIMIT,
            max_sessions=SESSION_LIMIT,
        )
        await stack.enter_async_context(manager.run())
        apps[key] = manager.handle_request
    return apps
