"""Persona files: each role says who it is and what it never does, under the guardrails of the active profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from crew.agents.persona import PERSONAS, seat
from crew.goal import Goal
from crew.hands import Hands
from crew.offline import OfflineModel
from crew.tasks.plan import PlanRequest, plan
from knowledge.blueprint import load_all
from policies import profile as profiles
from tests.fakes.crew_servers import SANDBOX, FakeServers, destination
from tools.gate.words import TargetDescription
from tools.tool import Role


@pytest.mark.parametrize("role", [Role.PLANNER, Role.DEVOPS, Role.SECURITY, Role.SRE])
def test_a_seat_knows_its_duties_and_the_profile(tmp_path: Path, role: Role) -> None:
    profile = profiles.load(SANDBOX)
    own = Hands(role, FakeServers(tmp_path / "s.json"), f"gate:{role}", None, {})
    agent = seat(own, OfflineModel(model="offline", blueprints=load_all()), profile)
    for part in ("## Who I am", "## What I answer for", "## What I never do", profile.guardrails()):
        assert part in agent.backstory
    assert agent.allow_delegation is False


def test_a_seat_that_works_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    own = Hands(Role.PLANNER, FakeServers(tmp_path / "s.json"), f"gate:{Role.PLANNER}", None, {})
    agent = seat(own, OfflineModel(model="offline", blueprints=load_all()), profiles.load(SANDBOX))
    target = TargetDescription(destination=destination(), rehearsal=True, isolation="none")
    request = PlanRequest(goal=Goal(text="deploy nginx", language="en"), blueprints=(), target=target)
    assert plan(agent, request).steps
    assert capfd.readouterr() == ("", "")


def test_there_is_a_file_for_each_role_and_no_more() -> None:
    assert {path.stem for path in PERSONAS.glob("*.md")} == {"planner", "devops", "security", "sre"}
