"""The whole of it over real pipes: one process, one pipe per role, a role is the pipe."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from policies.change import Phase, Word
from tests.fakes.gate import GOAL, ROOT, World
from tools.gate.words import (
    FetchChange,
    GrantState,
    IssuedChange,
    OpenChange,
    OpenedChange,
    RunRecord,
    RunRef,
    SignoffState,
    Submit,
    TargetDescription,
)
from tools.session import BackgroundSessions, SessionFaultError
from tools.tool import Nothing, ToolRefusedError

ROLES = ("planner", "devops", "security", "sre", "notary", "person")


@dataclass
class Running:
    """A gate process and a session per role."""

    sessions: BackgroundSessions
    process: subprocess.Popen[bytes]


@contextmanager
def running(folder: Path) -> Iterator[Running]:
    with ExitStack() as stack:
        pairs = {role: socket.socketpair() for role in ROLES}
        theirs = [f"{role}={pair[1].fileno()}" for role, pair in pairs.items()]
        command = [
            sys.executable,
            "-P",
            str(ROOT / "tests/fakes/gate_process.py"),
            str(folder),
            "run-1",
            *theirs,
        ]
        process = subprocess.Popen(
            command, pass_fds=[pair[1].fileno() for pair in pairs.values()], env={"PYTHONPATH": str(ROOT)}
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        for _, their_end in pairs.values():
            their_end.close()
        sessions = stack.enter_context(
            BackgroundSessions({role: pair[0].detach() for role, pair in pairs.items()})
        )
        yield Running(sessions, process)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Our own view of the folder: the keys to sign with."""
    return World(tmp_path / "gate")


def test_a_change_goes_from_opening_to_effect(world: World) -> None:
    with running(world.folder) as gate:
        call = gate.sessions.call
        target = call("security", "describe_target", Nothing(), TargetDescription)
        assert (target.rehearsal, target.kubernetes_version) == (True, "v1.36.3")
        opened = call(
            "devops", "open_change", OpenChange(phase=Phase.PUBLISH, goal_digest=GOAL), OpenedChange
        )
        issued = call("notary", "fetch_change", FetchChange(change_id=opened.change_id), IssuedChange)
        assert issued.base_tree == {"README.md": b"base\n"}
        given = world.sign(world.publish(opened))
        kept = call("notary", "deposit", given, SignoffState)
        assert kept.state == "open"
        done = [call("devops", "submit", Submit(signoff=kept.signoff, seq=n), GrantState) for n in (1, 2, 3)]
        assert [state.state for state in done] == ["done"] * 3
        assert call("person", "run_record", RunRef(run_id="run-1"), RunRecord).status == "applied"


def test_a_role_is_the_pipe_and_each_denial_is_in_the_record(world: World) -> None:
    nothing = Submit(signoff=GOAL, seq=1)
    with running(world.folder) as gate:
        for role in ("planner", "security", "sre", "notary", "person"):
            assert _refused(gate, role, "submit", nothing) == "tool-not-granted"
        for role in ("planner", "devops", "security", "sre", "person"):
            assert _refused(gate, role, "deposit", nothing) == "tool-not-granted"
        assert (
            _refused(gate, "devops", "submit", {"signoff": GOAL, "seq": 1, "role": "person"})
            == "arguments-refused"
        )
        assert _refused(gate, "devops", "submit", nothing) == "unknown-signoff"
        assert _refused(gate, "devops", "list_namespaces", {"path": "x"}) == "tool-not-granted"
        told = gate.sessions.call("person", "run_record", RunRef(run_id="run-1"), RunRecord)
    assert len(told.denials) == 13
    assert {(d.role, d.tool, d.name) for d in told.denials} >= {
        ("sre", "submit", "tool-not-granted"),
        ("devops", "submit", "unknown-signoff"),
    }


def _refused(gate: Running, role: str, tool: str, arguments: Word | dict[str, object]) -> str:
    with pytest.raises(ToolRefusedError) as refusal:
        gate.sessions.raw(
            role, tool, arguments.model_dump(mode="json") if isinstance(arguments, Word) else arguments
        )
    return refusal.value.name


def test_a_killed_gate_is_a_lost_session_and_its_journal_goes_on(world: World) -> None:
    with running(world.folder) as gate:
        opened = gate.sessions.call(
            "devops", "open_change", OpenChange(phase=Phase.PUBLISH, goal_digest=GOAL), OpenedChange
        )
        gate.process.kill()
        with pytest.raises(SessionFaultError):
            gate.sessions.call(
                "devops", "open_change", OpenChange(phase=Phase.PUBLISH, goal_digest=GOAL), OpenedChange
            )
    with running(world.folder) as gate:
        again = gate.sessions.call(
            "devops", "open_change", OpenChange(phase=Phase.PUBLISH, goal_digest=GOAL), OpenedChange
        )
    assert again.change_id == opened.change_id


def test_the_gate_ends_when_every_pipe_is_closed(world: World) -> None:
    with running(world.folder) as gate:
        gate.sessions.__exit__()
        assert gate.process.wait(10) == 0
