"""Persona files: each role says who it is and what it never does, under the guardrails of the active profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from crew.agents.persona import PERSONAS, seat
from crew.hands import Hands
from crew.offline import OfflineModel
from knowledge.blueprint import load_all
from policies import profile as profiles
from tests.fakes.crew_servers import SANDBOX, FakeServers
from tools.tool import Role


@pytest.mark.parametrize("role", [Role.PLANNER, Role.DEVOPS, Role.SECURITY, Role.SRE])
def test_a_seat_knows_its_duties_and_the_profile(tmp_path: Path, role: Role) -> None:
    profile = profiles.load(SANDBOX)
    own = Hands(role, FakeServers(tmp_path / "s.json"), f"gate:{role}", None, {})
    agent = seat(own, OfflineModel(model="offline", blueprints=load_all()), profile)
    for part in ("## Who I am", "## What I answer for", "## What I never do", profile.guardrails()):
        assert part in agent.backstory
    assert agent.allow_delegation is False


def test_there_is_a_file_for_each_role_and_no_more() -> None:
    assert {path.stem for path in PERSONAS.glob("*.md")} == {"planner", "devops", "security", "sre"}
