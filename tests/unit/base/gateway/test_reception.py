"""`/mcp` sends each call to where it belongs: proposals to their goal's run, a sign-off to the run that has it, reads to its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from tools.gateway.proposing import Proposing
from tools.gateway.reception import Offered, Reception, at_reception, in_a_run
from tools.gateway.relay import LOST, FromThread, Relay
from tools.gateway.runs import Runs, Served, sweeping
from tools.gateway.words import OpenRun, Proposal, ProposeChange, RunOpened
from tools.session import SessionLostError
from tools.tool import Role, ToolRefusedError

SIGNOFF = "sha256:" + "a" * 64
GOAL = {
    "goal": "blue",
    "phase": "deploy",
    "objects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}],
}


@dataclass
class Behind:
    """A gate's session of one run; answers with where the call arrived."""

    run: str
    lost: bool = False
    calls: list[tuple[str, Any]] = field(default_factory=list)

    async def raw(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if self.lost:
            raise SessionLostError("gate is gone")
        if tool == "fly":
            raise ToolRefusedError("tool-not-granted", "devops has no tool 'fly' here.", "None.")
        self.calls.append((tool, dict(arguments)))
        return {"run": self.run}


class Answers(Proposing):
    """Signs whatever it gets."""

    def propose(self, asked: ProposeChange) -> Proposal:
        return Proposal(run="run-blue", change_id="cs-" + "0" * 16, signed=True, signoff=SIGNOFF)


class Goals:
    """One signed goal, and one more that is handed in."""

    def accept(self, asked: OpenRun) -> RunOpened:
        return RunOpened(run_id=asked.run_id, goal_digest="sha256:" + "0" * 64)

    def run_of(self, goal: str) -> str:
        if goal != "blue":
            raise ToolRefusedError("goal-unsigned", "no person's key signed this goal.", "Ask a person.")
        return "run-blue"


@dataclass
class Place:
    offered: Offered
    sessions: dict[str, Behind]

    async def call(self, name: str, **arguments: Any) -> dict[str, Any]:
        return (await self.offered.calling(name, arguments, {}))["structuredContent"]


def visit(body: Callable[[Place], Any], role: Role = Role.DEVOPS) -> None:
    sessions: dict[str, Behind] = {}
    tools = tuple({"name": name} for name in ("describe_target", "open_change", "submit", "await_review"))

    @asynccontextmanager
    async def open_run(name: str, _: Runs) -> AsyncIterator[Served]:
        sessions[name] = Behind(name)
        relays = {("gate", role): Relay(sessions[name], tools)}
        answers = None if name == "own" else Answers(None, None, None, None)
        yield Served({}, lambda: True, relays, {}, answers)

    async def main() -> None:
        async with sweeping("own", open_run) as runs:
            own = (await runs.hold("own")).relays["gate", role]
            await body(Place(at_reception(role, own, Reception(runs, Goals())), sessions))

    anyio.run(main)


def test_a_proposal_opens_its_goals_run_and_its_sign_off_is_found_there() -> None:
    async def body(place: Place) -> None:
        assert (await place.call("submit", signoff=SIGNOFF, seq=1)) == {"run": "own"}
        proposal = await place.call("propose_change", **GOAL)
        assert (proposal["signoff"], proposal["run"]) == (SIGNOFF, "run-blue")
        assert (await place.call("submit", signoff=SIGNOFF, seq=1)) == {"run": "run-blue"}
        assert place.sessions["run-blue"].calls == [("submit", {"signoff": SIGNOFF, "seq": 1})]
        assert (await place.call("run_record", run_id="run-blue")) == {"run": "run-blue"}
        assert (await place.call("run_record", run_id="run-red")) == {"run": "own"}
        assert (await place.call("describe_target")) == {"run": "own"}
        assert list(place.sessions) == ["own", "run-blue"]

    visit(body)


@pytest.mark.parametrize("value", [None, 7, ["x"], {"x": 1}, SIGNOFF.upper(), "sha256:" + "b" * 64])
def test_a_sign_off_that_is_none_of_ours_goes_nowhere_new(value: Any) -> None:
    async def body(place: Place) -> None:
        await place.call("propose_change", **GOAL)
        assert (await place.call("submit", signoff=value, seq=1)) == {"run": "own"}

    visit(body)


def test_a_goal_that_nobody_signed_opens_no_run() -> None:
    async def body(place: Place) -> None:
        answer = await place.call("propose_change", **{**GOAL, "goal": "red"})
        assert answer["refused"] == "goal-unsigned"
        assert list(place.sessions) == ["own"]

    visit(body)


def test_only_the_belt_that_has_it_is_offered_a_proposal() -> None:
    async def body(place: Place) -> None:
        assert "propose_change" not in [tool["name"] for tool in place.offered.listing()]
        assert (await place.call("propose_change", **GOAL)) == {"run": "own"}, "the gate itself says no to it"
        assert list(place.sessions) == ["own"]

    visit(body, Role.SRE)


@pytest.mark.parametrize(
    ("role", "offered"), [(Role.PERSON, True), (Role.DEVOPS, False), (Role.SECURITY, False)]
)
def test_a_run_is_begun_by_a_person_alone(role: Role, offered: bool) -> None:
    async def body(place: Place) -> None:
        answer = await place.call("open_run", run_id="r-1", request="{}")
        assert answer == (
            {"run_id": "r-1", "goal_digest": "sha256:" + "0" * 64} if offered else {"run": "own"}
        )

    visit(body, role)


def test_what_means_the_run_that_it_is_called_in_is_offered_in_runs_alone() -> None:
    async def body(place: Place) -> None:
        assert [t["name"] for t in place.offered.listing()] == ["describe_target", "submit", "propose_change"]
        inside = in_a_run(Role.DEVOPS, place.offered.relay, Answers(None, None, None, None))
        assert [t["name"] for t in inside.listing()] == [
            "describe_target", "open_change", "submit", "await_review", "propose_change"
        ]  # fmt: skip

    visit(body)


def test_refusals_pass_through_and_a_lost_gate_is_said_to_be_lost() -> None:
    async def body(place: Place) -> None:
        assert (await place.call("fly"))["refused"] == "tool-not-granted"
        place.sessions["own"].lost = True
        assert (await place.call("describe_target"))["refused"] == LOST

    visit(body)


def test_a_lost_session_is_a_refusal_in_a_thread_too() -> None:
    class Gone:
        async def call(self, *_: Any) -> Any:
            raise SessionLostError("gate is gone")

    async def main() -> None:
        with pytest.raises(ToolRefusedError, match=LOST):
            await anyio.to_thread.run_sync(FromThread(Gone()).call, "open_change", {}, Proposal)

    anyio.run(main)
