"""Serve our tools over MCP: to one role by its pipe, over stdio, or over HTTP on loopback.

The role's belt is enforced on tools/call; tools/list only shows the same. A refusal is an MCP tool error
whose text is "name: message advice" and whose structured content is {"refused", "message", "advice"}.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
from mcp.server.stdio import stdio_server
from pydantic import ValidationError

from policies.change import Word
from tools import catalog, dialect, wire
from tools.tool import Effect, Role, Tool, ToolRefusedError
from tools.verbs import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    TargetError,
    UnauthorizedError,
    UnreachableError,
)
from traces import names, spans

VERSION = "0.1.0"
DEADLINE = 300.0
THREADS = 8
ARGUMENT_LIMIT = 48 * 1024 * 1024
_TEXT_LIMIT = 64 * 1024
_TARGET_NAMES: tuple[tuple[type[TargetError], str], ...] = (
    (UnauthorizedError, "target-unauthorized"),
    (ForbiddenError, "target-forbidden"),
    (NotFoundError, "target-not-found"),
    (ConflictError, "target-conflict"),
    (RateLimitedError, "target-rate-limited"),
    (UnreachableError, "target-unreachable"),
)


class ServerFaultError(Exception):
    """A tool broke its contract: a fault of ours, not a refusal."""


def refusal_of(fault: TargetError) -> ToolRefusedError:
    """A target's no as a named refusal."""
    name = next((name for kind, name in _TARGET_NAMES if isinstance(fault, kind)), "target-error")
    advice = ""
    if isinstance(fault, RateLimitedError):
        wait = "a minute" if fault.retry_after is None else f"{fault.retry_after:.0f} seconds"
        advice = f"Try again after {wait}."
    return ToolRefusedError(name, str(fault), advice)


OnRefusal = Callable[[str, Mapping[str, Any], ToolRefusedError], None]
"""Told each refused call: tool, arguments as they came, refusal."""


def _unheard(_: str, __: Mapping[str, Any], ___: ToolRefusedError) -> None:
    """For servers that keep no record."""


@dataclass(frozen=True)
class Mount:
    """The tools of one server as one role sees them."""

    server: str
    role: Role
    tools: Mapping[str, Tool]
    limiter: anyio.CapacityLimiter
    deadline: float
    on_refusal: OnRefusal = _unheard

    def listing(self) -> list[dict[str, Any]]:
        """What tools/list shows."""
        return [_listed(self.server, tool) for tool in self.tools.values() if tool.listed]

    async def calling(self, name: str, arguments: dict[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one tools/call; a CallToolResult in wire form."""
        context = {key: meta[key] for key in ("traceparent", "tracestate") if isinstance(meta.get(key), str)}
        if not context:
            return await self._recorded(name, arguments)
        with spans.remote(context):
            return await self._recorded(name, arguments)

    async def _recorded(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        about = {names.MCP_METHOD: names.MCP_CALL, names.TOOL_NAME: name[:100], names.ROLE: str(self.role)}
        with spans.span(f"{names.MCP_CALL} {self.server}", about) as span:
            try:
                return answered((await self._called(name, arguments)).model_dump(mode="json"))
            except ToolRefusedError as refusal:
                span.set_attribute(names.DENIAL, refusal.name)
                self.on_refusal(name, arguments, refusal)
                return refused(refusal)

    async def _called(self, name: str, arguments: dict[str, Any]) -> Word:
        tool = self.tools.get(name)
        if tool is None:
            known = ", ".join(self.tools) or "none"
            raise ToolRefusedError(
                "tool-not-granted",
                f"{self.role} has no tool {name[:100]!r} here.",
                f"Its tools are: {known}.",
            )
        parsed = _parsed(tool, arguments)
        try:
            with anyio.fail_after(self.deadline):
                result = await anyio.to_thread.run_sync(
                    tool.call, parsed, abandon_on_cancel=True, limiter=self.limiter
                )
        except TimeoutError:
            text = f"{name} did not end within {self.deadline:.0f} seconds; it may still end."
            raise ToolRefusedError("deadline-passed", text, "Read the state before you ask again.") from None
        except ToolRefusedError:
            raise
        except TargetError as fault:
            raise refusal_of(fault) from fault
        except Exception as fault:
            # logged by the SDK with its traceback; its text may hold what the peer must not read
            raise ServerFaultError(
                f"{name} failed with {type(fault).__name__}: the server's own output says more"
            ) from fault
        if not isinstance(result, tool.result):
            raise ServerFaultError(
                f"{name} answered {type(result).__name__}, its contract is {tool.result.__name__}"
            )
        return result


def _parsed(tool: Tool, arguments: dict[str, Any]) -> Word:
    """Strict: JSON types as the schema says, no unknown field, no NaN, no lone surrogate."""
    try:
        text = json.dumps(arguments, allow_nan=False, ensure_ascii=False).encode()
    except ValueError as fault:  # NaN, or a lone surrogate that UTF-8 cannot carry
        raise ToolRefusedError("arguments-refused", f"{tool.name}: {fault}.", "Send plain JSON.") from fault
    if len(text) > ARGUMENT_LIMIT:
        message = f"{tool.name} got {len(text)} bytes of arguments, the limit is {ARGUMENT_LIMIT}."
        raise ToolRefusedError("arguments-too-large", message, "Send less at once.")
    try:
        return tool.arguments.model_validate_json(text, strict=True)
    except ValidationError as fault:
        errors = fault.errors(include_url=False, include_input=False, include_context=False)
        where = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in errors[:5])
        advice = f"The schema of {tool.name} says what it takes."
        raise ToolRefusedError("arguments-refused", where, advice) from None


def answered(structured: dict[str, Any]) -> dict[str, Any]:
    """A CallToolResult in wire form; a long one is not said twice."""
    text = json.dumps(structured, ensure_ascii=False)
    if len(text) > _TEXT_LIMIT:
        text = f"{len(text)} characters: read the structured content"
    return {"content": [{"type": "text", "text": text}], "structuredContent": structured, "isError": False}


def refused(refusal: ToolRefusedError) -> dict[str, Any]:
    """A refusal as a CallToolResult in wire form."""
    structured = {"refused": refusal.name, "message": refusal.message, "advice": refusal.advice}
    return {
        "content": [{"type": "text", "text": str(refusal)}],
        "structuredContent": structured,
        "isError": True,
    }


def _listed(server: str, tool: Tool) -> dict[str, Any]:
    effect = tool.effect if tool.roles else catalog.effect(server, tool.name)
    return {
        "name": tool.name,
        "description": tool.description,
        "inputSchema": tool.schema or tool.arguments.model_json_schema(),
        "outputSchema": tool.result.model_json_schema(mode="serialization"),
        "annotations": {
            "readOnlyHint": effect is Effect.READ,
            "destructiveHint": effect is Effect.MUTATE,
            "openWorldHint": effect is Effect.MUTATE,
        },
    }


def mount(
    tools: Sequence[Tool],
    *,
    name: str,
    role: Role,
    deadline: float = DEADLINE,
    on_refusal: OnRefusal = _unheard,
) -> Any:  # noqa: ANN401 - either SDK's Server
    """A low-level MCP server for one role. Raises catalog.CatalogFaultError."""
    chosen = catalog.mounted(name, role, tools)
    mounted = Mount(name, role, chosen, anyio.CapacityLimiter(THREADS), deadline, on_refusal)
    return dialect.server(f"countersign-{name}", VERSION, mounted.listing, mounted.calling)


async def serve(
    tools: Sequence[Tool],
    fd: int,
    *,
    name: str,
    role: Role,
    deadline: float = DEADLINE,
    on_refusal: OnRefusal = _unheard,
) -> None:
    """Serve one role over its inherited socket until the peer is gone. Raises catalog.CatalogFaultError."""
    server = mount(tools, name=name, role=role, deadline=deadline, on_refusal=on_refusal)
    async with wire.streams(fd) as (read, write):
        await server.run(read, write, server.create_initialization_options())


async def serve_stdio(tools: Sequence[Tool], *, name: str, role: Role) -> None:
    """Serve one role over stdin and stdout until stdin ends."""
    server = mount(tools, name=name, role=role)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


@dataclass(frozen=True)
class _Endpoint:
    """An ASGI app; Starlette would take a bound method for a request handler."""

    app: Callable[..., Awaitable[None]]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        await self.app(scope, receive, send)


async def serve_http(tools: Sequence[Tool], *, name: str, role: Role, port: int) -> None:
    """Streamable HTTP at http://127.0.0.1:PORT/mcp; a Host or Origin that is not this one is turned away."""
    import uvicorn  # noqa: PLC0415 - only this way of serving needs an HTTP server
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager  # noqa: PLC0415
    from mcp.server.transport_security import TransportSecuritySettings  # noqa: PLC0415
    from starlette.applications import Starlette  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415

    hosts = [f"127.0.0.1:{port}", f"localhost:{port}"]
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=hosts,
        allowed_origins=[f"http://{h}" for h in hosts],
    )
    manager = StreamableHTTPSessionManager(
        mount(tools, name=name, role=role), json_response=True, security_settings=security
    )
    app = Starlette(routes=[Route("/mcp", endpoint=_Endpoint(manager.handle_request))])
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning", lifespan="off")
    async with manager.run():
        await uvicorn.Server(config).serve()
