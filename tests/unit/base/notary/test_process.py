"""The notary as a process: real pipes, real scanner, a gate that answers in the test."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from policies.change import digest_of
from policies.review import Decision, Judgement
from policies.signoff import read
from policies.trust import instant, load
from tests.fakes.notary import FakeGate, World, issued_for
from tests.fakes.signed import ROOT, change_of, publish, publish_grants, request_of
from tools.gate.words import Deposit, FetchChange, IssuedChange, SignoffState
from tools.notary.keys import ensure_keys, key_path, load_signer
from tools.notary.words import Signed
from tools.serve import serve
from tools.session import BackgroundSessions
from tools.settings import NotarySettings
from tools.tool import Effect, Role, Tool, ToolRefusedError

SCANNER = ROOT / ".venv-scanner" / "bin" / "python"
pytestmark = pytest.mark.skipif(not SCANNER.exists(), reason="the scanner environment is not set up")


class Running:
    """A notary with the test at the other end of its three pipes."""

    def __init__(self, state: Path, **settings: Any) -> None:
        self.gate = FakeGate(issued_for(publish()))
        pairs = [socket.socketpair() for _ in range(3)]
        ours, theirs = [a.detach() for a, _ in pairs], [b for _, b in pairs]
        told_read, told_write = os.pipe()
        said = {
            "state_dir": state, "profile": ROOT / "policies/profiles/sandbox.toml", "pins": ROOT / "knowledge/pins.toml",
            "scanner_python": SCANNER, "rehearsal": True, "isolation": "none",
            "security_fd": theirs[0].fileno(), "gate_fd": theirs[1].fileno(), "plan_fd": theirs[2].fileno(),
        }  # fmt: skip
        if (person := key_path(state, True, "person")).exists():
            said["request"] = request_of(signer=load_signer(person), requested_at=instant(datetime.now(UTC)))
        told = NotarySettings(**{**said, **settings})
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tools.notary", "--settings-fd", str(told_read)],
            pass_fds=(told_read, *(s.fileno() for s in theirs)),
            cwd=ROOT,
            stderr=subprocess.PIPE,
            env={"PATH": os.defpath},
        )
        os.close(told_read)
        os.write(told_write, told.model_dump_json().encode())
        os.close(told_write)
        for end in theirs:
            end.close()
        self.security_fd, gate_fd, self.plan_fd = ours
        tools = [
            Tool("fetch_change", "d", FetchChange, IssuedChange, self.gate.fetch_change),
            Tool("deposit", "d", Deposit, SignoffState, self.gate.deposit, Effect.ANNOTATE),
        ]
        served = partial(serve, tools, gate_fd, name="gate", role=Role.NOTARY)
        self.thread = threading.Thread(target=lambda: anyio.run(served), daemon=True)
        self.thread.start()

    def end(self) -> str:
        _, said = self.process.communicate(timeout=20)
        self.thread.join(20)
        return said.decode()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    state = tmp_path / "state"
    ensure_keys(state, True)
    notary = Running(state)
    yield notary
    notary.process.kill()
    notary.process.communicate()


MAIN = b'terraform {\n  required_version = ">= 1.9"\n}\n'


def asked(files: dict[str, bytes]) -> dict[str, Any]:
    calls = publish_grants()
    calls[0][1]["files"] = [{"$artifact": path} for path in sorted(files)]
    change = change_of(publish().phase, files, calls)
    draft = World.draft(None, change, files)  # type: ignore[arg-type]
    return {"draft": json.loads(draft.model_dump_json(warnings=False))}


def test_it_judges_and_signs_over_its_pipe_and_ends_when_left_alone(running: Running, tmp_path: Path) -> None:
    with BackgroundSessions({"notary": running.security_fd}) as sessions:
        draft = asked({"infra/versions.tf": MAIN})
        judgement = sessions.call("notary", "judge", draft, Judgement)
        assert any(name.startswith("checkov@") for name in judgement.scanners), judgement
        assert judgement.clean, [f.rule for f in judgement.blocking]
        verdict = {"decision": Decision.APPROVE.value, "change_digest": judgement.change_digest}
        rest = {"verdict": verdict, "transcript_digest": digest_of(b"t"), "trace_id": "0" * 32}
        signed = sessions.call("notary", "sign", {**draft, **rest}, Signed)
        found = read(signed.bundle, trust=load(tmp_path / "state/trust.json"), required_roles=None)
        assert found.digest == signed.signoff == digest_of_deposit(running)
        unsafe = asked(
            {
                "infra/main.tf": b'resource "aws_s3_bucket_acl" "x" {\n  bucket = "b"\n  acl = "public-read"\n}\n'
            }
        )
        bad = sessions.call("notary", "judge", unsafe, Judgement)
        assert not bad.clean
        with pytest.raises(ToolRefusedError, match="not-clean"):
            sessions.call(
                "notary",
                "sign",
                {**unsafe, **rest, "verdict": {**verdict, "change_digest": bad.change_digest}},
                Signed,
            )
        with pytest.raises(ToolRefusedError, match="tool-not-granted"):
            sessions.raw("notary", "judge_plan", {})
        assert core_limit(running.process.pid) == ["0", "0"]
    os.close(running.plan_fd)
    assert running.end() == ""
    assert running.process.returncode == 0


def digest_of_deposit(running: Running) -> str:
    [deposit] = running.gate.deposits
    return running.gate.deposit(deposit).signoff


def core_limit(pid: int) -> list[str]:
    """The part of not being dumpable that the kernel shows to others."""
    [line] = [
        text
        for text in Path(f"/proc/{pid}/limits").read_text().splitlines()
        if text.startswith("Max core file size")
    ]
    return line.split()[4:6]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda s: key_path(s, True).unlink(), "countersign keys init"),
        (lambda s: key_path(s, True).chmod(0o644), "chmod 600"),
        (lambda s: (s / "trust.json").write_text("{"), "trust.json"),
        (lambda s: (s / "trust.json").unlink(), "no trust file"),
    ],
)
def test_it_says_in_one_sentence_why_it_cannot_open(tmp_path: Path, edit: Any, said: str) -> None:
    state = tmp_path / "state"
    ensure_keys(state, True)
    edit(state)
    notary = Running(state)
    try:
        text = notary.end()
    finally:
        notary.process.kill()
    os.close(notary.security_fd)
    os.close(notary.plan_fd)
    assert said in text
    assert text.startswith("notary: ")
    assert text.count("\n") == 1
    assert notary.process.returncode == 1


def test_a_profile_that_is_not_there_is_named(tmp_path: Path) -> None:
    ensure_keys(tmp_path / "state", True)
    notary = Running(tmp_path / "state", profile=ROOT / "policies/profiles/nowhere.toml")
    text = notary.end()
    os.close(notary.security_fd)
    os.close(notary.plan_fd)
    assert "there is no profile 'nowhere'" in text
