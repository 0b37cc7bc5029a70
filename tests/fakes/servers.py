"""Other people's servers for tests: one that misbehaves as a real process, and one in memory that counts its calls."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from tests.fakes.gate import Clock, World, no_notary
from tools import catalog, confine
from tools.gate import opening
from tools.gate.server import tools_of
from tools.gate.servers import adapter
from tools.gate.servers.guarded import GuardedServer
from tools.gate.servers.pinning import Records
from tools.serve import Mount
from tools.settings import ServerSettings
from tools.tool import Role

PROGRAM = Path(__file__).with_name("other_server.py")
GITHUB = adapter.load(adapter.named("github-mcp-server"))
KUBERNETES = adapter.load(adapter.named("kubernetes-mcp-server"))
TOOLS = [
    {"name": "look", "description": "Looks.", "inputSchema": {"type": "object", "properties": {"name": {"type": "string"}}}},
    {"name": "make", "description": "Makes.", "inputSchema": {"type": "object", "properties": {"resource": {"type": "string"}}}},
]  # fmt: skip
ADAPTER = """
title = "a server"
server = { name = "other", versions = ["1"] }
definitions = "other.json"
pins = "PINS"
manager = "other"
same = { tool = "look", arguments = { name = "kube-system" }, holds = "{cluster_uid}" }
[[read]]
roles = ["sre"]
tools = ["look"]
[[does]]
tool = "make"
verb = "kubernetes.apply"
asked = { resource = "{document}" }
documents = "resource"
"""


@dataclass
class Other:
    """The process of other_server.py with an adapter of its own; `tell` changes what it does, also under way."""

    folder: Path
    pins: str = "whole"
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.log = self.folder / "state/other.home/calls.jsonl"
        self.told = self.folder / "told.json"
        self.adapter = self.folder / "other.toml"
        self.adapter.write_text(ADAPTER.replace("PINS", self.pins))
        (self.folder / "other.json").write_text(json.dumps(TOOLS))
        self.now: dict[str, Any] = {
            "definitions": TOOLS,
            "name": "other",
            "version": "1",
            "log": str(self.log),
        }
        self.tell()

    def tell(self, **changes: Any) -> None:
        self.now |= changes
        self.told.write_text(json.dumps(self.now))

    def settings(self, **edits: Any) -> ServerSettings:
        said: dict[str, Any] = dict(
            adapter=self.adapter, argv=(sys.executable, "-I", str(PROGRAM), str(self.told)),
            readable=(*map(Path, confine.python_paths()), PROGRAM, self.told),
        )  # fmt: skip
        return ServerSettings(**{**said, **edits})

    def guarded(self, **edits: Any) -> GuardedServer:
        """A gate's view of it; call it again for a gate that started anew."""
        return opening.open_server(
            "other", self.settings(**edits), self.folder / "state", Clock(), self.asked.append
        )

    def calls(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


def present() -> Clock:
    """A clock that stands at this moment: a cluster that tests share says when each object was applied."""
    clock = Clock()
    clock.now = datetime.now(UTC)
    return clock


@dataclass
class Counting:
    """In memory: serves what it is given and keeps each call."""

    definitions: list[dict[str, Any]]
    info: Mapping[str, str]
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    alive: bool = True
    answer: Any = "done"
    place: str = ""

    def __post_init__(self) -> None:
        import threading

        self.listing_changed = threading.Event()

    def tools(self) -> list[dict[str, Any]]:
        self.listing_changed.clear()
        return self.definitions

    def call(self, tool: str, arguments: Mapping[str, Any]) -> str:
        if tool == "get_commit" or arguments.get("name") == "kube-system":
            return self.place  # which target it speaks to: no call of a test
        self.calls.append((tool, dict(arguments)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return str(self.answer)

    def close(self) -> None:
        self.alive = False


def counting(world: World, name: str, adapted: adapter.Adapter) -> Counting:
    """Mount a counting server of that adapter in the world's gate."""
    served = adapted.file.server
    info = {"name": served.name, "version": (*served.versions, "1")[0]}
    upstream = Counting([dict(each) for each in adapted.pins.definitions.values()], info)
    if world.cluster is not None:
        upstream.place = f"{world.cluster.uid} {world.repository.head}"
    guarded = GuardedServer(name, adapted, Records(world.folder / "servers"), lambda: upstream, world.clock)  # type: ignore[arg-type, return-value]
    behind(world, {name: guarded})
    return upstream


def behind(
    world: World, servers: Mapping[str, GuardedServer], told: Mapping[str, ServerSettings] | None = None
) -> None:
    """Put servers behind the gate of a world."""
    targets = opening.performing(world.room.targets, servers, told or {}, world.room.switch.check)
    object.__setattr__(world.room, "servers", servers)
    object.__setattr__(world.room, "targets", targets)


def mounted(world: World, role: Role) -> Mount:
    """The gate as that role's pipe reaches it."""
    tools = catalog.mounted("gate", role, tools_of(world.room, no_notary, role))

    def refused(name: str, arguments: Mapping[str, Any], refusal: Any) -> None:
        world.room.deny(role, name, arguments, refusal)

    return Mount("gate", role, tools, anyio.CapacityLimiter(4), 60.0, refused)


def ask(world: World, role: str, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """One tools/call through the role's pipe: the structured content of its answer."""

    async def call() -> dict[str, Any]:
        return await mounted(world, Role(role)).calling(tool, dict(arguments), {})

    answered: dict[str, Any] = anyio.run(call)["structuredContent"]
    return answered


def example(schema: Mapping[str, Any]) -> Any:
    """A value that a schema of arguments accepts, with every argument that it demands."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {name: example(schema["properties"][name]) for name in schema.get("required") or ()}
    return {"string": "x", "number": 1, "integer": 1, "boolean": True, "array": []}.get(str(kind), "x")
