"""GitHub's own OpenAPI description, from npm, and the exchanges that are held against it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from jsonschema import Draft202012Validator
from starlette.types import ASGIApp, Message, Receive, Scope, Send

VERSION = "23"
CACHE = Path.home() / ".cache" / "countersign" / "octokit-openapi" / VERSION
HTTP_METHODS = ("get", "post", "patch", "put", "delete")


@dataclass(frozen=True)
class Exchange:
    """One request to the sandbox and its answer."""

    method: str
    path: str
    query: str
    request: bytes
    status: int
    media_type: str
    answer: bytes

    @property
    def name(self) -> str:
        return f"{self.method} {self.path} -> {self.status}"


@dataclass
class Recorder:
    """ASGI middleware that keeps every exchange with the REST API."""

    app: ASGIApp
    exchanges: list[Exchange] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/api/v3"):
            await self.app(scope, receive, send)
            return
        asked, answered, told = bytearray(), bytearray(), {}

        async def hear() -> Message:
            message = await receive()
            asked.extend(message.get("body", b""))
            return message

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                told["status"] = message["status"]
                told["type"] = dict(message["headers"]).get(b"content-type", b"").decode()
            answered.extend(message.get("body", b""))
            await send(message)

        await self.app(scope, hear, tell)
        path, query = scope["path"].removeprefix("/api/v3"), scope["query_string"].decode()
        media = told["type"].partition(";")[0]
        self.exchanges.append(
            Exchange(scope["method"], path, query, bytes(asked), told["status"], media, bytes(answered))
        )


class Description:
    """GitHub's description as JSON Schema; `faults` says what an exchange has that it does not allow."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = _as_json_schema(document)
        operations = [
            (path, method)
            for path, item in self._document["paths"].items()
            for method in HTTP_METHODS
            if method in item
        ]
        # the more literal template wins, as in a router
        operations.sort(key=lambda o: (o[0].count("{"), -len(o[0])))
        self._operations = [(method, _pattern(path), path) for path, method in operations]

    def faults(self, exchange: Exchange) -> Iterator[str]:
        found = next(
            (
                p
                for m, regex, p in self._operations
                if m == exchange.method.lower() and regex.fullmatch(exchange.path)
            ),
            None,
        )
        if found is None:
            yield f"{exchange.method} {exchange.path} is no operation of GitHub"
            return
        operation = self._document["paths"][found][exchange.method.lower()]
        parameters = [
            self._known(p)
            for p in (*self._document["paths"][found].get("parameters", ()), *operation.get("parameters", ()))
        ]
        yield from self._query_faults(
            exchange, {p["name"]: p["schema"] for p in parameters if p["in"] == "query"}
        )
        yield from self._request_faults(exchange, operation)
        yield from self._answer_faults(exchange, operation)

    def _query_faults(self, exchange: Exchange, known: dict[str, Any]) -> Iterator[str]:
        for name, value in parse_qsl(exchange.query):
            if name not in known:
                yield f"query parameter {name} is not GitHub's"
                continue
            typed: Any = (
                int(value) if value.isdecimal() and "integer" in str(known[name].get("type")) else value
            )
            yield from (f"query parameter {name}: {fault}" for fault in self._against(known[name], typed))

    def _request_faults(self, exchange: Exchange, operation: dict[str, Any]) -> Iterator[str]:
        if not exchange.request:
            return
        described = self._known(operation.get("requestBody", {})).get("content", {}).get("application/json")
        if described is None:
            yield "GitHub takes no body here"
            return
        body, schema = json.loads(exchange.request), described["schema"]
        yield from (f"request: {fault}" for fault in self._against(schema, body))
        if unknown := set(body) - set(self._known(schema).get("properties", body)):
            yield f"request: GitHub knows no field {sorted(unknown)}"

    def _answer_faults(self, exchange: Exchange, operation: dict[str, Any]) -> Iterator[str]:
        described = operation["responses"].get(str(exchange.status))
        if described is None:
            if exchange.status != 401 and not (exchange.status == 404 and b'"Not Found"' in exchange.answer):
                yield f"GitHub does not answer {exchange.status} here, only {sorted(operation['responses'])}"
            return
        content = self._known(described).get("content", {})
        if exchange.media_type == "application/json" and "application/json" in content:
            yield from (
                f"answer: {fault}"
                for fault in self._against(content["application/json"]["schema"], json.loads(exchange.answer))
            )
        elif exchange.answer and content:
            yield f"answer: {exchange.media_type} is not among {sorted(content)}"

    def _against(self, schema: dict[str, Any], value: Any) -> Iterator[str]:
        whole = {**schema, "components": self._document["components"]}
        for fault in list(Draft202012Validator(whole).iter_errors(value))[:5]:
            yield f"{fault.json_path}: {fault.message[:300]}"

    def _known(self, value: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in value:
            found: Any = self._document
            for part in value["$ref"].removeprefix("#/").split("/"):
                found = found[part.replace("~1", "/").replace("~0", "~")]
            value = found
        return value


def _pattern(path: str) -> re.Pattern[str]:
    """Refs and paths may hold slashes, nothing else does."""
    parts = re.split(r"\{(\w+)\}", path)
    wide = {"ref", "path", "basehead", "branch"}
    return re.compile(
        "".join(re.escape(p) if i % 2 == 0 else ".+" if p in wide else "[^/]+" for i, p in enumerate(parts))
    )


def _as_json_schema(value: Any) -> Any:
    """OpenAPI 3.0's `nullable` as JSON Schema says it; everything else is the same."""
    if isinstance(value, list):
        return [_as_json_schema(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {key: _as_json_schema(item) for key, item in value.items()}
    if made.pop("nullable", False) is True:
        made = (
            {"anyOf": [{"type": "null"}, made]}
            if "type" not in made or "enum" in made
            else {**made, "type": [made["type"], "null"]}
        )
    return made


@pytest.fixture(scope="session")
def description() -> Description:
    file = CACHE / "node_modules" / "@octokit" / "openapi" / "generated" / "api.github.com.json"
    if not file.is_file():
        if not shutil.which("npm"):
            pytest.skip("npm is not installed: GitHub's OpenAPI description cannot be fetched")
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [
            "npm",
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--prefix",
            str(CACHE),
            f"@octokit/openapi@{VERSION}",
        ]
        subprocess.run(command, check=True, timeout=300)
    return Description(json.loads(file.read_bytes()))
