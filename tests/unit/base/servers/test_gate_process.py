"""A real gate process with another's server under it: what a role sees through its pipe, and that both die together."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from policies.trust import Trust
from tests.fakes.gate import ROOT
from tests.fakes.servers import Other
from tools import confine
from tools.gate.servers.tools import Answered
from tools.gate.words import RunRecord, RunRef
from tools.session import BackgroundSessions, SessionFaultError
from tools.settings import GateSettings
from tools.tool import ToolRefusedError


@dataclass
class Running:
    """The gate, the sessions of its roles, and the server's own side."""

    process: subprocess.Popen[bytes]
    sessions: BackgroundSessions
    other: Other

    def server_pids(self) -> list[int]:
        """The processes of the server."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                line = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            except OSError:
                continue  # it ended while we looked
            if os.fsencode(self.other.told) in line:
                found.append(int(entry.name))
        return found


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    other = Other(tmp_path)
    folder = tmp_path / "gate"
    other.log = folder / "servers/other.home/calls.jsonl"
    other.tell(log=str(other.log))
    (folder / "keys").mkdir(parents=True, mode=0o700)
    folder.chmod(0o700)
    (folder / "trust.json").write_bytes(Trust().canonical())
    (folder / "keys/journal.pem").touch(mode=0o600)
    (folder / "keys/journal.pem").write_bytes(CryptoSigner.generate_ed25519().private_bytes)
    with ExitStack() as stack:
        pipes = {role: socket.socketpair() for role in ("sre", "devops", "line")}
        reader, writer = os.pipe()
        fds = [reader, *(theirs.fileno() for _, theirs in pipes.values())]
        command = [sys.executable, "-P", "-m", "tools.gate", "--settings-fd", str(reader)]
        process = subprocess.Popen(command, pass_fds=fds, env={"PYTHONPATH": str(ROOT)}, cwd=tmp_path)
        stack.callback(process.wait)
        stack.callback(process.kill)
        settings = GateSettings(
            state_dir=folder, run_id="run-1", profile=ROOT / "policies/profiles/sandbox.toml", rehearsal=True, isolation="none",
            ask_person=False, servers={"other": other.settings()}, notary_fd=pipes["line"][1].fileno(),
            roles={role: pipes[role][1].fileno() for role in ("sre", "devops")},
        )  # fmt: skip
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(settings.model_dump_json().encode())
        os.close(reader)
        for _, theirs in pipes.values():
            theirs.close()
        stack.callback(pipes["line"][0].close)
        ends = {role: pipes[role][0].detach() for role in ("sre", "devops")}
        sessions = stack.enter_context(BackgroundSessions(ends))
        yield Running(process, sessions, other)


def test_a_role_reads_through_its_pipe_and_a_question_is_refused_and_on_record(running: Running) -> None:
    shown = {view.name: view for view in running.sessions.tools("sre")}
    assert "other__look" in shown
    assert "other__make" not in shown
    running.other.tell(act="ask")
    heard = json.loads(running.sessions.call("sre", "other__look", {"name": "x"}, Answered).text)
    assert all("result" not in each for each in heard[:3])
    record = running.sessions.call("sre", "run_record", RunRef(run_id="run-1"), RunRecord)
    asked = [(d.role, d.tool) for d in record.denials if d.name == "server-asked"]
    assert asked == [
        ("server other", m) for m in ("elicitation/create", "sampling/createMessage", "roots/list")
    ]


def test_an_unsigned_call_is_refused_at_the_pipe(running: Running) -> None:
    for role in ("sre", "devops"):
        with pytest.raises(ToolRefusedError):
            running.sessions.call(role, "other__make", {"resource": "{}"}, Answered)
    assert running.other.calls() == []


@pytest.mark.skipif(
    not confine.landlock_abi(), reason="without confinement only its closed stdin tells a server to end"
)
def test_a_server_dies_with_its_gate(running: Running) -> None:
    """While it is busy and hears nothing, a closed stdin least of all."""
    running.other.tell(act="silence")
    lost = threading.Thread(target=_lost, args=(running,))
    lost.start()
    end = time.monotonic() + 20
    while not running.other.calls():
        assert time.monotonic() < end, "the call did not arrive"
        time.sleep(0.05)
    assert len(running.server_pids()) == 1
    os.kill(running.process.pid, signal.SIGKILL)
    lost.join()
    while running.server_pids():
        assert time.monotonic() < end, "the server outlived its gate"
        time.sleep(0.05)


def _lost(running: Running) -> None:
    with pytest.raises(SessionFaultError):
        running.sessions.call("sre", "other__look", {}, Answered)
