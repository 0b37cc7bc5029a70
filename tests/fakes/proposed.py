"""A gate and a notary in one process, spoken to by role as over their pipes, with our own rules as the scan."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, TypeVar

from policies import pins, trust
from policies.change import Word
from policies.scan import ScanContext, ScanResult, scan
from tests.fakes.gate import ROOT, World
from tests.fakes.scanning import FixedScanner
from tools.gate.server import tools_of
from tools.gate.words import Deposit, FetchChange, IssuedChange, SignoffState
from tools.gateway.proposing import Proposing
from tools.notary.judging import Bench
from tools.notary.registry import Registry
from tools.notary.room import Room
from tools.tool import Role, Tool

W = TypeVar("W", bound=Word)


def own_rules(
    tree: Mapping[str, bytes],
    changed: AbstractSet[str],
    *,
    context: ScanContext,
    base: Mapping[str, bytes] | None = None,
) -> ScanResult:
    return scan(tree, changed, context=context, scanner=FixedScanner(), base=base)


class Line:
    """A role's tools, asked in JSON as over a pipe; `asked` is what went over it."""

    def __init__(self, tools: list[Tool]) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.asked: list[tuple[str, Any]] = []

    def call(self, tool: str, arguments: Word | Mapping[str, Any], result: type[W]) -> W:
        given = arguments.model_dump(mode="json") if isinstance(arguments, Word) else dict(arguments)
        self.asked.append((tool, given))
        found = self.tools[tool]
        answer = found.call(found.arguments.model_validate(given))
        return result.model_validate(answer.model_dump(mode="json"))


class DeskLine:
    """The notary's pipe to the gate."""

    def __init__(self, world: World) -> None:
        self.world = world

    def fetch_change(self, asked: FetchChange) -> IssuedChange:
        return self.world.desk.fetch_change(asked)

    def deposit(self, given: Deposit) -> SignoffState:
        return self.world.desk.deposit(given)


def notary_of(world: World, folder: Path) -> Room:
    def trusted() -> trust.Trust:
        return trust.load(world.folder / "trust.json")

    bench = Bench(
        profile=world.profile, pins=pins.load(ROOT / "knowledge/pins.toml"), scan=own_rules, trust=trusted,
        waivers=lambda: (), clock=world.clock, request=world.request(),
    )  # fmt: skip
    return Room(
        bench=bench, signer=world.signer, registry=Registry(folder / "signed"), gate=DeskLine(world), trust=trusted,
        clock=world.clock, rehearsal=world.rehearsal, isolation="none",
    )  # fmt: skip


def proposing(world: World, folder: Path) -> Proposing:
    devops = Line(tools_of(world.room, world.judge, Role.DEVOPS))
    security = Line(list(notary_of(world, folder).for_security()))
    return Proposing(devops, security, world.profile, world.clock)
