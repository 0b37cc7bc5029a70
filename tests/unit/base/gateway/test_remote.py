"""A gate elsewhere: what goes through a role's pipe, and what a dry run holds back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from tools.gateway.bearers import BearerFaultError, write_token
from tools.gateway.relay import Relay
from tools.gateway.remote import Narrowed, token_of
from tools.tool import Role

OFFERED = tuple(
    {"name": name} for name in ("describe_target", "submit", "propose_change", "confirm", "judge", "sign")
)


class Far:
    """A gate that answers everything, whatever it is asked."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def raw(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self.calls.append(tool)
        return {"heard": tool}


def call(narrowed: Narrowed, name: str) -> dict[str, Any]:
    return anyio.run(narrowed.calling, name, {}, {})["structuredContent"]


@pytest.mark.parametrize(
    ("server", "role", "listed"),
    [
        ("gate", Role.DEVOPS, ["describe_target", "submit"]),
        ("gate", Role.SRE, ["describe_target"]),
        ("gate", Role.PERSON, ["describe_target", "confirm"]),
        ("notary", Role.SECURITY, ["judge", "sign"]),
        ("notary", Role.DEVOPS, []),
    ],
)
def test_a_pipe_grants_what_it_would_grant_here(server: str, role: Role, listed: list[str]) -> None:
    far = Far()
    narrowed = Narrowed(Relay(far, OFFERED), server, role, dry_run=False)
    assert [tool["name"] for tool in narrowed.listing()] == listed
    for tool in OFFERED:
        answer = call(narrowed, tool["name"])
        assert answer == ({"heard": tool["name"]} if tool["name"] in listed else answer)
    assert far.calls == listed


def test_a_dry_run_submits_nothing_whoever_asks() -> None:
    far = Far()
    assert (
        call(Narrowed(Relay(far, OFFERED), "gate", Role.DEVOPS, dry_run=True), "submit")["refused"]
        == "dry-run"
    )
    assert far.calls == []


def test_each_role_has_its_own_token_file(tmp_path: Path) -> None:
    write_token(tmp_path / "devops.token", "d" * 40)
    assert token_of(tmp_path, Role.DEVOPS) == "d" * 40
    with pytest.raises(BearerFaultError, match=r"sre\.token cannot be read"):
        token_of(tmp_path, Role.SRE)
