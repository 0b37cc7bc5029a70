"""`countersign serve gate`: gate and notary without a crew, for any MCP client, over HTTP or as one role over stdio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import uvicorn
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecurityMiddleware

from tools import environments
from tools.gateway import bearers, peers
from tools.gateway.endpoints import ROLES, Connected, Key, connected, endpoints
from tools.gateway.front import Front, security
from tools.gateway.reception import Reception, at_reception, in_a_run
from tools.gateway.runs import Runs, Served, sweeping
from tools.launch import folders
from tools.launch.config import Config, ConfigFaultError
from tools.launch.goals import SignedGoals, new_run
from tools.launch.processes import House
from tools.launch.rehearsal import Rehearsal, rehearsal_of
from tools.launch.wiring import Guard, RunSettings, start_guard
from tools.notary.keys import ensure_keys
from tools.session import SessionFaultError, alone
from tools.tool import Role, ToolRefusedError

Say = Callable[[str], None]


@dataclass(frozen=True)
class Gateway:
    """What every run behind one gateway has in common."""

    config: Config
    sandbox: Rehearsal | None
    goals: SignedGoals
    isolation: str
    environ: Mapping[str, str]
    port: int | None = None

    @asynccontextmanager
    async def house(self, run_id: str, request: str | None) -> AsyncIterator[tuple[House, Guard]]:
        """Gate and notary of one run; they end with the block."""
        run_dir = folders.private(self.config.state_dir / "gateway" / run_id)
        house = House(run_dir, self.environ)
        told = RunSettings(
            run_id=run_id,
            run_dir=run_dir,
            goal="",
            language=None,
            dry_run=False,
            ask_person=not (self.config.profile.unattended and self.config.rehearsal),
            isolation=self.isolation,
            traceparent=None,
            request=request,
        )
        try:
            # Popen here and not in a worker thread: children die with the thread that started them
            guard = start_guard(house, self.config, told, ROLES)
            guard.tell(self.sandbox)
            yield house, guard
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(house.__exit__)

    @asynccontextmanager
    async def served(self, run_id: str, runs: Runs) -> AsyncIterator[Served]:
        """The run with its endpoints. Raises ToolRefusedError when nobody asked for it or its processes do not answer."""
        own = run_id == runs.own
        request = None if own else self.goals.request_of(run_id)
        async with self.house(run_id, request) as (house, guard), AsyncExitStack() as stack:
            try:
                there = await connected(stack, guard.roles, guard.security, self.config.profile)
            except SessionFaultError as fault:
                last = "; ".join(child.tail(1) for child in house.children if child.tail(1))
                raise ToolRefusedError("gate-unreachable", f"{fault}: {last}.") from fault
            servers = _servers(there, Reception(runs, self.goals) if own else None)
            apps = await endpoints(stack, servers, security(self.port)) if self.port is not None else {}
            proposing = None if own else there.proposing
            yield Served(apps, partial(_alive, house), there.relays, servers, proposing)


def _servers(there: Connected, reception: Reception | None) -> dict[Key, Any]:
    """Each role's MCP server of the gate, and Security's of the notary, which only a run with a goal has."""
    made: dict[Key, Any] = {}
    for (server, role), relay in there.relays.items():
        if server == "notary":
            if reception is None:
                made[server, role] = relay.server(server)
        elif reception is None:
            made[server, role] = in_a_run(role, relay, there.proposing).server()
        else:
            made[server, role] = at_reception(role, relay, reception).server()
    return made


def _alive(house: House) -> bool:
    return all(child.process.poll() is None for child in house.children)


def serve_http(
    config: Config, port: int, environ: Mapping[str, str], say: Say, *, separate_user: bool
) -> int:
    """Serve until a signal. Raises ConfigFaultError, BearerFaultError."""
    _prepared(config, say)
    if not bearers.load(config.state_dir).bearers:
        raise ConfigFaultError(
            "no bearer is known, so nobody could speak to this gate: `countersign bearer make devops` makes one"
        )
    own = new_run(datetime.now(UTC))
    with House(folders.private(config.state_dir / "gateway" / own), environ) as house:
        isolation = "separate-user" if separate_user else "none"
        sandbox = rehearsal_of(house, config, own)
        gateway = Gateway(config, sandbox, SignedGoals(config), isolation, environ, port)
        _run(partial(_http, gateway, own, port, say, separate_user=separate_user))
    return 0


async def _http(gateway: Gateway, own: str, port: int, say: Say, *, separate_user: bool) -> None:
    async with sweeping(own, gateway.served) as runs:
        front = Front(
            guard=TransportSecurityMiddleware(security(port)),
            bearers=partial(bearers.load, gateway.config.state_dir),
            serving=runs.serving,
            stranger=peers.same_user if separate_user else _nobody,
        )
        await _listen(front, runs, port, say)


async def _listen(front: Front, runs: Runs, port: int, say: Say) -> None:
    settings = uvicorn.Config(
        front,
        host="127.0.0.1",
        port=port,
        log_level="warning",
        access_log=False,
        lifespan="off",
        limit_concurrency=128,
        timeout_graceful_shutdown=2,
        server_header=False,
    )
    say(f"gate at http://127.0.0.1:{port}/mcp, run {runs.own}")
    await uvicorn.Server(settings).serve()


def _nobody(_: object) -> bool:
    return False


def serve_stdio(config: Config, role: Role, environ: Mapping[str, str], say: Say) -> int:
    """Serve one role over stdin and stdout: whoever wrote the command line chose it. Raises ConfigFaultError."""
    if role not in ROLES:
        raise ConfigFaultError(f"{role} cannot be served; roles are: {', '.join(ROLES)}")
    _prepared(config, say)
    own = new_run(datetime.now(UTC))
    with House(folders.private(config.state_dir / "gateway" / own), environ) as house:
        gateway = Gateway(config, rehearsal_of(house, config, own), SignedGoals(config), "none", environ)
        _run(partial(_stdio, gateway, own, role))
    return 0


async def _stdio(gateway: Gateway, own: str, role: Role) -> None:
    async with sweeping(own, gateway.served) as runs:
        server = (await runs.hold(own)).servers["gate", role]
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())


def _run(serving: Callable[[], Coroutine[object, object, None]]) -> None:
    try:
        anyio.run(serving)
    except BaseExceptionGroup as group:  # task groups wrap what is raised in them
        raise alone(group) from None


def _prepared(config: Config, say: Say) -> None:
    ensure_keys(folders.private(config.state_dir), config.rehearsal)
    environments.ensure("scanner", say)
