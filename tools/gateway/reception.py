"""`/mcp`: the reads of the gateway's own run, proposals, and calls on a sign-off or a run, which go to where it lives.

A goal has its run. Which goals have one is not decided here: `Goals` knows the signed ones, and signs where it may.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio
from anyio import from_thread

from tools import catalog, dialect
from tools.gateway import proposing
from tools.gateway.proposing import Proposing
from tools.gateway.relay import Relay
from tools.gateway.runs import Runs
from tools.gateway.words import OpenRun, Proposal, ProposeChange, RunOpened
from tools.serve import DEADLINE, THREADS, VERSION, Mount, refused
from tools.tool import Effect, Role, Tool, ToolRefusedError

OF_A_RUN = frozenset({"open_change", "await_review"})
"""Tools that mean the run they are called in; the gateway's own has no goal, so it does not offer them."""


class Goals(Protocol):
    """The signed goals."""

    def run_of(self, goal: str) -> str:
        """The run of a goal that a person signed. Raises ToolRefusedError where nobody did."""

    def accept(self, asked: OpenRun) -> RunOpened:
        """Keep a request that was signed elsewhere. Raises ToolRefusedError for one that does not count here."""


@dataclass(frozen=True)
class Reception:
    """What every role's endpoint at `/mcp` works with."""

    runs: Runs
    goals: Goals
    _of_signoff: dict[str, str] = field(default_factory=dict)

    def propose(self, asked: ProposeChange) -> Proposal:
        """Called in a thread. Raises ToolRefusedError."""
        run = self.goals.run_of(proposing.goal_of(asked))
        served = from_thread.run(self.runs.hold, run)
        if served.proposing is None:
            raise ToolRefusedError("not-for-proposals", f"run {run} takes no proposals.")
        proposal = served.proposing.propose(asked)
        if proposal.signoff is not None:
            self._of_signoff[proposal.signoff] = run
        return proposal

    def tools(self) -> list[Tool]:
        """What is offered here besides the gate's own; a role's belt has one of them or none."""
        opening = Tool(
            "open_run",
            "Begin a run whose goal a person signed elsewhere; its tools are at `/runs/RUN/mcp`.",
            OpenRun,
            RunOpened,
            self.goals.accept,
            Effect.ANNOTATE,
        )
        return [proposing.tool(self.propose), opening]

    async def elsewhere(self, role: Role, arguments: Mapping[str, Any]) -> Relay | None:
        """The role's tools in the run that the arguments speak of; None for the gateway's own. Raises ToolRefusedError."""
        signoff, named = arguments.get("signoff"), arguments.get("run_id")
        run = self._of_signoff.get(signoff) if isinstance(signoff, str) else None
        if run is None and isinstance(named, str) and named in self._of_signoff.values():
            run = named
        return None if run is None else (await self.runs.hold(run)).relays.get(("gate", role))


@dataclass(frozen=True)
class Offered:
    """What one role is offered at one place: a gate's tools, and ours. `reception` is for the gateway's own run alone."""

    role: Role
    relay: Relay
    own: Mount | None
    reception: Reception | None = None

    def listing(self) -> list[dict[str, Any]]:
        """What tools/list shows."""
        hidden = OF_A_RUN if self.reception else frozenset()
        there = [tool for tool in self.relay.listing() if tool["name"] not in hidden]
        return [*there, *(self.own.listing() if self.own else ())]

    async def calling(self, name: str, arguments: dict[str, Any], meta: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one tools/call."""
        if self.own is not None and name in self.own.tools:
            return await self.own.calling(name, arguments, meta)
        try:
            elsewhere = await self.reception.elsewhere(self.role, arguments) if self.reception else None
        except ToolRefusedError as no:
            return refused(no)
        return await (elsewhere or self.relay).calling(name, arguments, meta)

    def server(self) -> Any:  # noqa: ANN401 - either SDK's Server
        """The MCP server that offers it."""
        return dialect.server("countersign-gate", VERSION, self.listing, self.calling)


def at_reception(role: Role, relay: Relay, reception: Reception) -> Offered:
    """The role's place at `/mcp`."""
    return Offered(role, relay, _own(role, reception.tools()), reception)


def in_a_run(role: Role, relay: Relay, there: Proposing) -> Offered:
    """The role's place at `/runs/RUN/mcp`."""
    return Offered(role, relay, _own(role, [proposing.tool(there.propose)]))


def _own(role: Role, tools: list[Tool]) -> Mount | None:
    granted = catalog.mounted("gateway", role, tools)
    return Mount("gateway", role, granted, anyio.CapacityLimiter(THREADS), DEADLINE) if granted else None
