"""What an adapter file says of one server: each of its tools is a read, one way to do a verb of ours, or nothing.

A key is a tool's name, or `TOOL.CASE` for a tool that does several things by one argument (`switch`).
What no key names is denied. The server's own hints are not asked.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, ValidationError, model_validator

from policies.change import Word
from tools.gate.servers.pinning import Pins
from tools.tool import Role

FOLDER = Path(__file__).resolve().parents[1] / "adapters"
ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class AdapterFaultError(Exception):
    """An adapter file cannot be used; the message names file and entry."""


class Limit(Word):
    """What one argument of a read may be. `bound` demands a word of the destination: owner, repo."""

    one_of: tuple[JsonValue, ...] = ()
    bound: Literal["", "owner", "repo"] = ""
    demanded: bool = False


class Reads(Word):
    """Tools that only read, and who may call them. `unbound` says why they need no bound argument."""

    roles: tuple[Role, ...] = Field(min_length=1)
    tools: tuple[ToolName, ...] = Field(min_length=1)
    arguments: Mapping[str, Limit] = {}
    without: tuple[str, ...] = Field(default=(), description="arguments that must be left out")
    unbound: str = ""


class Does(Word):
    """A tool that can do a verb. `asked` is the whole call that a grant allows, `sent` what goes to the server instead.

    A text value `{word}` stands for that word of the verb (`tools.verbs.Way.words`). `documents` names the
    argument that may hold several YAML or JSON documents: each is a call of its own.
    """

    tool: ToolName
    verb: str = Field(pattern=r"^(github|kubernetes)\.[a-z_]+$")
    asked: Mapping[str, JsonValue]
    sent: Mapping[str, JsonValue] | None = None
    documents: str = ""


class Same(Word):
    """A read whose answer holds a word of the signed destination, where the server speaks to that very target.

    Words: owner, repo, base_commit, cluster_uid. Its own configuration could name another cluster or host.
    """

    tool: ToolName
    arguments: Mapping[str, JsonValue]
    holds: Literal["{base_commit}", "{cluster_uid}"]


class Served(Word):
    """How the server names itself. `versions` are those that the definitions were taken from; empty: any."""

    name: str
    versions: tuple[str, ...] = ()


class File(Word):
    """The whole of an adapter file."""

    title: str
    server: Served
    definitions: str = Field(description="JSON file beside this one: the pinned definitions")
    pins: Literal["whole", "shape"] = Field(
        description="whole: every byte of a definition; shape: name, arguments and annotations, without words"
    )
    manager: str = Field(default="", description="the field manager that a Kubernetes server writes as")
    switch: Mapping[str, str] = {}
    arguments: Mapping[str, Limit] = Field(default={}, description="limits of every read")
    read: tuple[Reads, ...] = ()
    does: tuple[Does, ...] = ()
    same: Same | None = None
    nothing: Mapping[str, str] = Field(default={}, description="key -> why no call of it is allowed")

    @model_validator(mode="after")
    def _each_once(self) -> File:
        keys = list(self.keys())
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise ValueError(f"{', '.join(sorted(twice))} is mapped twice")
        return self

    def keys(self) -> Iterator[str]:
        """Every key that is mapped, in the file's order."""
        for read in self.read:
            yield from read.tools
        yield from (does.tool for does in self.does)
        yield from self.nothing


@dataclass(frozen=True)
class Adapter:
    """A file and the definitions that it pins."""

    file: File
    pins: Pins
    rules: Mapping[str, Reads | Does | str]
    """key -> what it is; a text is the reason why it is nothing."""

    def key(self, tool: str, arguments: Mapping[str, Any]) -> str:
        """Which rule a call falls under."""
        switch = self.file.switch.get(tool)
        return tool if switch is None else f"{tool}.{arguments.get(switch)}"

    def keys_of(self, tool: str) -> list[str]:
        """Every key of a tool."""
        inside = f"{tool}."
        return [
            key for key in self.rules if key == tool or (tool in self.file.switch and key.startswith(inside))
        ]

    def tools(self) -> list[str]:
        """Every tool with a key, in the order of the definitions."""
        return [tool for tool in self.pins.definitions if self.keys_of(tool)]


def load(path: Path) -> Adapter:
    """Raises AdapterFaultError."""
    try:
        file = File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        listed = json.loads((path.parent / file.definitions).read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:  # ValidationError, TOML and JSON faults are ValueErrors
        raise AdapterFaultError(f"{path}: {_first(fault)}") from fault
    adapter = Adapter(file, Pins.of(listed, whole=file.pins == "whole"), dict(_rules(file)))
    if (wrong := next(_faults(adapter), None)) is not None:
        raise AdapterFaultError(f"{path}: {wrong}")
    return adapter


def named(name: str) -> Path:
    """The adapter file of this name: one of ours, or a path that ends in `.toml`."""
    return Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"


def _first(fault: Exception) -> str:
    if isinstance(fault, ValidationError):
        error = fault.errors()[0]
        return f"{'.'.join(map(str, error['loc']))}: {error['msg']}"
    return str(fault)


def _rules(file: File) -> Iterator[tuple[str, Reads | Does | str]]:
    for read in file.read:
        yield from ((tool, read) for tool in read.tools)
    yield from ((does.tool, does) for does in file.does)
    yield from file.nothing.items()


def _faults(adapter: Adapter) -> Iterator[str]:
    """What the words alone cannot hold: keys that mean no tool, reads that could leave the destination."""
    same = adapter.file.same
    if adapter.file.does and (same is None or not isinstance(adapter.rules.get(same.tool), Reads)):
        yield "a server that does verbs says by a read, in `same`, which target it speaks to"
    bound = {name for name, limit in adapter.file.arguments.items() if limit.bound}
    for key, rule in adapter.rules.items():
        tool = key if key in adapter.pins.definitions else key.rpartition(".")[0]
        if tool not in adapter.pins.definitions or (tool != key) != (tool in adapter.file.switch):
            yield f"{key} is no tool of the pinned definitions"
        elif isinstance(rule, Reads):
            known = set(adapter.pins.schema(tool).get("properties", {}))
            if missing := (set(rule.arguments) | set(rule.without)) - known:
                yield f"{key} has no argument {min(missing)}"
            elif not bound <= known and not rule.unbound:
                yield f"{key} cannot be bound to the destination: say `unbound` or map it to nothing"
