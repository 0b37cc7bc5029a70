"""The one place that knows where mcp 1.x (crew) and mcp 2.x (trusted base) differ.

Both speak the same wire, so values cross this file in their wire form: dicts with the protocol's own
names (`inputSchema`, `isError`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import mcp.server.lowlevel as _lowlevel
import mcp.shared.exceptions as _exceptions
import mcp.types as _types
from mcp.shared.message import SessionMessage

types: Any = _types
lowlevel: Any = _lowlevel
SECOND = hasattr(_types, "jsonrpc_message_adapter")
RemoteError: type[Exception] = getattr(_exceptions, "MCPError" if SECOND else "McpError")

Wire = dict[str, Any]
Listing = Callable[[], list[Wire]]
Calling = Callable[[str, Wire, Mapping[str, Any]], Awaitable[Wire]]
"""Tool name, arguments and `_meta` -> a CallToolResult in its wire form."""


def parse(line: bytes) -> SessionMessage:
    """One JSON-RPC message. Raises pydantic.ValidationError."""
    if SECOND:
        return SessionMessage(types.jsonrpc_message_adapter.validate_json(line, by_name=False))
    return SessionMessage(types.JSONRPCMessage.model_validate_json(line))


def dump(message: SessionMessage) -> bytes:
    """The message as one line of JSON, without its newline."""
    body: Any = message.message
    left_out = {"exclude_unset": True} if SECOND else {"exclude_none": True}
    text: str = body.model_dump_json(by_alias=True, **left_out)
    return text.encode()


def bare(message: SessionMessage) -> Any:  # noqa: ANN401 - the vendor's request, response or error
    """The JSON-RPC value itself; 1.x wraps it in a root model."""
    body: Any = message.message
    return body if SECOND else body.root


def server(name: str, version: str, listing: Listing, calling: Calling) -> Any:  # noqa: ANN401 - either Server
    """A low-level server that only lists and calls tools."""
    if SECOND:
        return _second(name, version, listing, calling)
    made = lowlevel.Server(name, version=version)

    async def on_list(_: object) -> object:
        return types.ServerResult(types.ListToolsResult.model_validate({"tools": listing()}))

    async def on_call(request: Any) -> object:  # noqa: ANN401 - the vendor's request
        params = request.params
        meta = params.meta.model_dump() if params.meta else {}
        answer = await calling(params.name, params.arguments or {}, meta)
        return types.ServerResult(types.CallToolResult.model_validate(answer))

    made.request_handlers[types.ListToolsRequest] = on_list
    made.request_handlers[types.CallToolRequest] = on_call
    return made


def _second(name: str, version: str, listing: Listing, calling: Calling) -> Any:  # noqa: ANN401 - the vendor's Server
    async def on_list(_: object, __: object) -> object:
        return types.ListToolsResult.model_validate({"tools": listing()})

    async def on_call(context: Any, params: Any) -> object:  # noqa: ANN401 - the vendor's request
        answer = await calling(params.name, params.arguments or {}, context.meta or {})
        return types.CallToolResult.model_validate(answer)

    made = lowlevel.Server(name, version=version, on_list_tools=on_list, on_call_tool=on_call)
    made.middleware.clear()  # our own span per call says more than its one per message
    return made


async def call_tool(session: Any, name: str, arguments: Wire, meta: Mapping[str, str]) -> Wire:  # noqa: ANN401 - either ClientSession
    """One tools/call; the CallToolResult in its wire form. Raises RemoteError and anyio's stream errors.

    Goes below ClientSession.call_tool, which lists all tools first to validate the output with jsonschema:
    our callers parse the answer with a model of their own.
    """
    params = types.CallToolRequestParams.model_validate(
        {"name": name, "arguments": arguments, "_meta": dict(meta) or None}
    )
    request = types.CallToolRequest(method="tools/call", params=params)
    if not SECOND:
        request = types.ClientRequest(request)
    answer = await session.send_request(request, types.CallToolResult)
    wire: Wire = answer.model_dump(by_alias=True, mode="json")
    return wire


async def list_tools(session: Any) -> list[Wire]:  # noqa: ANN401 - either ClientSession
    """Every tool of the server, in wire form."""
    answer = await session.list_tools()
    return [tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in answer.tools]


def failure(request_id: object, code: int, text: str) -> SessionMessage:
    """A JSON-RPC error that answers `request_id`."""
    error = types.JSONRPCError(jsonrpc="2.0", id=request_id, error=types.ErrorData(code=code, message=text))
    return SessionMessage(error if SECOND else types.JSONRPCMessage(error))
