"""The crew's own tools, all groups together: which of them a role may call is for toolbelts.toml to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from knowledge.blueprint import Blueprint
from knowledge.graph import Graph
from knowledge.inventory import Inventory
from knowledge.retrieval import Memory
from policies.pins import Pins
from policies.profile import Profile
from tools.internal import blueprints, judging, memory
from tools.terraform import Terraform
from tools.tool import Tool


@dataclass(frozen=True)
class Parts:
    """What the tools work with. What may become ready during a run is asked for at each call."""

    blueprints: Mapping[str, Blueprint]
    pins: Pins
    profile: Profile
    terraform: Terraform
    memory: Callable[[], Memory]
    inventory: Callable[[], Inventory]
    graph: Callable[[], Graph | None]


def tools(parts: Parts) -> tuple[Tool, ...]:
    """Every tool of server `internal`."""
    return (
        *blueprints.tools(parts.blueprints, parts.pins),
        *judging.tools(parts.terraform, parts.profile, parts.pins),
        *memory.tools(parts.memory, parts.inventory, parts.graph),
    )
