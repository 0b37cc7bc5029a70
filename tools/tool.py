"""One tool of ours, whichever MCP server mounts it: typed in, typed out, a description that a model can use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from policies.change import Word


class Role(StrEnum):
    """A role is the pipe it speaks through, never a field that the caller fills."""

    PLANNER = "planner"
    DEVOPS = "devops"
    SECURITY = "security"
    SRE = "sre"
    NOTARY = "notary"
    GATE = "gate"
    PERSON = "person"


class Effect(StrEnum):
    """What a tool can do to the outside; from our catalog, never from a server's hints."""

    READ = "read"
    ANNOTATE = "annotate"
    MUTATE = "mutate"


@dataclass(frozen=True)
class Tool:
    """A named call. `call` raises ToolRefusedError, or a TargetError, with what to do next."""

    name: str
    description: str
    arguments: type[Word]
    result: type[Word]
    call: Callable[[Any], Word]
    effect: Effect = Effect.READ
    roles: frozenset[Role] = frozenset()
    """Who may call it, where another's server brings it: an adapter, not toolbelts.toml, says so."""
    schema: Mapping[str, Any] | None = None
    """The JSON schema of its arguments, where it is not that of `arguments`."""
    listed: bool = True
    """False: it answers a call by name, with why it is refused, and is not offered."""


class ToolRefusedError(Exception):
    """A named refusal: `name` is stable (kebab-case), `message` says why, `advice` what to do."""

    def __init__(self, name: str, message: str, advice: str = "") -> None:
        super().__init__(f"{name}: {message}" + (f" {advice}" if advice else ""))
        self.name, self.message, self.advice = name, message, advice


class Nothing(Word):
    """No arguments."""
