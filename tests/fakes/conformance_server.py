"""What MCP's conformance suite expects to find, mounted behind our own front: `conformance_server.py PORT FOLDER`.

The suite shows no bearer, so one is put into each request before the front sees it. Everything else is the
front's as `countersign serve gate --http` has it; the tools, resources and prompts below are the suite's own names.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.server.transport_security import TransportSecurityMiddleware

from tools.gateway import bearers
from tools.gateway.endpoints import endpoints
from tools.gateway.front import Front, security
from tools.tool import Role

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = base64.b64encode(
    b"RIFF&\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0@\x1f\0\0\x80>\0\0\x02\0\x10\0data\x02\0\0\0\0\0"
).decode()
IMAGE = {"type": "image", "data": PNG, "mimeType": "image/png"}
NOTHING = {"type": "object", "properties": {}}
Answer = list[dict[str, Any]]
Acting = Callable[[Any, dict[str, Any]], Awaitable[Answer]]


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def embedded(uri: str, words: str, kind: str = "text/plain") -> dict[str, Any]:
    return {"type": "resource", "resource": {"uri": uri, "mimeType": kind, "text": words}}


FIXED: dict[str, Answer] = {
    "test_simple_text": [text("This is a simple text response for testing.")],
    "test_image_content": [IMAGE],
    "test_audio_content": [{"type": "audio", "data": WAV, "mimeType": "audio/wav"}],
    "test_embedded_resource": [embedded("test://embedded-resource", "This is an embedded resource content.")],
    "test_multiple_content_types": [
        text("Multiple content types test:"),
        IMAGE,
        embedded("test://mixed-content-resource", '{"test": "data", "value": 123}', "application/json"),
    ],
    "json_schema_2020_12_tool": [text("valid")],
}


async def logging(context: Any, _: dict[str, Any]) -> Answer:
    for words in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await context.session.send_log_message("info", words, related_request_id=context.request_id)
        await anyio.sleep(0.05)
    return [text("Tool with logging executed successfully")]


async def progress(context: Any, _: dict[str, Any]) -> Answer:
    for done in (0, 50, 100):
        await context.session.report_progress(done, 100, f"Completed step {done} of 100")
        await anyio.sleep(0.05)
    return [text("done")]


async def sampling(context: Any, asked: dict[str, Any]) -> Answer:
    message = types.SamplingMessage.model_validate({"role": "user", "content": text(asked["prompt"])})
    answer = await context.session.create_message(
        [message], max_tokens=100, related_request_id=context.request_id
    )
    return [text(f"LLM response: {getattr(answer.content, 'text', 'none')}")]


async def elicit(
    properties: dict[str, Any], required: list[str], context: Any, asked: dict[str, Any]
) -> Answer:
    schema = {"type": "object", "properties": properties, "required": required}
    words = asked.get("message", "Please answer")
    answer = await context.session.elicit_form(words, schema, related_request_id=context.request_id)
    return [text(f"User response: action={answer.action}, content={json.dumps(answer.content or {})}")]


async def reconnection(context: Any, _: dict[str, Any]) -> Answer:
    if context.close_sse_stream is not None:  # only where the client's protocol knows of it
        await context.close_sse_stream()
    await anyio.sleep(0.2)
    return [text("Reconnection test completed")]


async def failing(_: Any, __: dict[str, Any]) -> Answer:
    raise RuntimeError("This tool intentionally returns an error for testing")


ONE = {"response": {"type": "string", "description": "User's response"}}
DEFAULTS = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}
ENUMS = {
    "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
    "titledSingle": {"type": "string", "oneOf": [{"const": "value1", "title": "First"}, {"const": "value2", "title": "Second"}]},
    "legacyEnum": {"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["Option One", "Option Two"]},
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2"]}},
    "titledMulti": {"type": "array", "items": {"anyOf": [{"const": "value1", "title": "First"}, {"const": "value2", "title": "Second"}]}},
}  # fmt: skip
ACTING: dict[str, Acting] = {
    "test_tool_with_logging": logging,
    "test_tool_with_progress": progress,
    "test_sampling": sampling,
    "test_elicitation": partial(elicit, ONE, ["response"]),
    "test_elicitation_sep1034_defaults": partial(elicit, DEFAULTS, []),
    "test_elicitation_sep1330_enums": partial(elicit, ENUMS, []),
    "test_reconnection": reconnection,
    "test_error_handling": failing,
}
SCHEMAS = {
    "test_sampling": {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]},
    "test_elicitation": {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]},
    "json_schema_2020_12_tool": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": {"type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}},
        "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
        "additionalProperties": False,
    },
}  # fmt: skip
RESOURCES = {
    "test://static-text": {
        "mimeType": "text/plain",
        "text": "This is the content of the static text resource.",
    },
    "test://static-binary": {"mimeType": "image/png", "blob": PNG},
    "test://watched-resource": {"mimeType": "text/plain", "text": "Watched resource content"},
}
PROMPTS: dict[str, tuple[tuple[str, ...], Callable[[dict[str, str]], Answer]]] = {
    "test_simple_prompt": ((), lambda _: [text("This is a simple prompt for testing.")]),
    "test_prompt_with_arguments": (
        ("arg1", "arg2"),
        lambda a: [text(f"Prompt with arguments: arg1='{a['arg1']}', arg2='{a['arg2']}'")],
    ),
    "test_prompt_with_embedded_resource": (
        ("resourceUri",),
        lambda a: [embedded(a["resourceUri"], "Embedded resource content for testing."), text("Please process the embedded resource above.")],
    ),
    "test_prompt_with_image": ((), lambda _: [IMAGE, text("Please analyze the image above.")]),
}  # fmt: skip


async def list_tools(_: Any, __: Any) -> types.ListToolsResult:
    tools = [
        {"name": name, "description": name.replace("_", " "), "inputSchema": SCHEMAS.get(name, NOTHING)}
        for name in (*FIXED, *ACTING)
    ]
    return types.ListToolsResult.model_validate({"tools": tools})


async def call_tool(context: Any, asked: Any) -> types.CallToolResult:
    try:
        content = FIXED.get(asked.name) or await ACTING[asked.name](context, asked.arguments or {})
    except RuntimeError as fault:
        return types.CallToolResult.model_validate({"content": [text(str(fault))], "isError": True})
    return types.CallToolResult.model_validate({"content": content})


async def list_resources(_: Any, __: Any) -> types.ListResourcesResult:
    found = [{"uri": uri, "name": uri[7:], "mimeType": told["mimeType"]} for uri, told in RESOURCES.items()]
    return types.ListResourcesResult.model_validate({"resources": found})


async def list_templates(_: Any, __: Any) -> types.ListResourceTemplatesResult:
    found = {"uriTemplate": "test://template/{id}/data", "name": "template", "mimeType": "application/json"}
    return types.ListResourceTemplatesResult.model_validate({"resourceTemplates": [found]})


async def read_resource(_: Any, asked: Any) -> types.ReadResourceResult:
    uri = str(asked.uri)
    told = RESOURCES.get(uri) or {
        "mimeType": "application/json",
        "text": json.dumps({"id": uri.split("/")[3], "templateTest": True}),
    }
    return types.ReadResourceResult.model_validate({"contents": [{"uri": uri, **told}]})


async def list_prompts(_: Any, __: Any) -> types.ListPromptsResult:
    found = [
        {
            "name": name,
            "description": name.replace("_", " "),
            "arguments": [{"name": argument, "required": True} for argument in arguments],
        }
        for name, (arguments, _) in PROMPTS.items()
    ]
    return types.ListPromptsResult.model_validate({"prompts": found})


async def get_prompt(_: Any, asked: Any) -> types.GetPromptResult:
    said = PROMPTS[asked.name][1](asked.arguments or {})
    return types.GetPromptResult.model_validate(
        {"messages": [{"role": "user", "content": part} for part in said]}
    )


async def complete(_: Any, __: Any) -> types.CompleteResult:
    return types.CompleteResult.model_validate(
        {"completion": {"values": ["one", "two"], "total": 2, "hasMore": False}}
    )


async def acknowledge(_: Any, __: Any) -> types.EmptyResult:
    return types.EmptyResult()


@dataclass
class Events(EventStore):
    """Every event of every stream, in memory."""

    kept: list[tuple[str, Any]] = field(default_factory=list)

    async def store_event(self, stream_id: str, message: Any) -> str:
        self.kept.append((stream_id, message))
        return str(len(self.kept))

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        if not last_event_id.isdigit() or not 0 < int(last_event_id) <= len(self.kept):
            return None
        stream = self.kept[int(last_event_id) - 1][0]
        for number, (owner, message) in enumerate(self.kept, 1):
            if owner == stream and number > int(last_event_id) and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


async def main(port: int, folder: Path) -> None:
    token = bearers.make(folder, Role.DEVOPS, "suite", datetime.now(UTC))
    fixture: Any = Server(
        "countersign-conformance", version="0", on_list_tools=list_tools, on_call_tool=call_tool, on_list_resources=list_resources,
        on_list_resource_templates=list_templates, on_read_resource=read_resource, on_subscribe_resource=acknowledge,
        on_unsubscribe_resource=acknowledge, on_list_prompts=list_prompts, on_get_prompt=get_prompt, on_completion=complete,
        on_set_logging_level=acknowledge,
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        made = {("gate", Role.DEVOPS): fixture}
        apps = await endpoints(stack, made, security(port), events=Events())

        async def serving(_: Any, role: Role) -> Any:
            return apps.get(("gate", role))

        guard = TransportSecurityMiddleware(security(port))
        front = Front(guard, partial(bearers.load, folder), serving, lambda _: False)

        async def shown(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                scope["headers"] = [*scope["headers"], (b"authorization", f"Bearer {token}".encode())]
            await front(scope, receive, send)

        config = uvicorn.Config(shown, host="127.0.0.1", port=port, log_level="warning", lifespan="off")
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]), Path(sys.argv[2]))
