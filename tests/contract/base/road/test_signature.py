"""A run that needs a second person, as both of them walk it: ask, read, type the code at a terminal, go on."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.contract.base.road.test_road import COMMAND, ROOT, countersign, environment

GOAL = "Deploy nginx with 3 replicas to namespace web on Kubernetes"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sandbox = (ROOT / "policies/profiles/sandbox.toml").read_text()
    two = sandbox.replace('name = "sandbox"', 'name = "two"').replace(
        '["security"]', '["security", "person"]'
    )
    (tmp_path / "two.toml").write_text(two)
    made = countersign("keys", "init", "person", "--sandbox", "--out", "kim.pem", folder=tmp_path)
    assert made.returncode == 0, made.stderr
    return tmp_path


def run(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = countersign("run", *arguments, "--profile", "two.toml", "--json", folder=folder)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def sign(folder: Path, key: str, answer: str | None = None) -> tuple[int, str, str]:
    """At a terminal: what was said, and the code that was asked for. `answer` None types that very code."""
    ours, theirs = pty.openpty()
    command = [*COMMAND, "sign", "last", "--key", key, "--profile", "two.toml", "--state-dir", str(folder)]
    said, code = b"", ""
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        os.close(theirs)
        while chunk := os.read(process.stderr.fileno(), 65536):
            said += chunk
            if asked := re.search(rb"Type its code ([0-9a-f]{6}) to sign it: $", said):
                code = asked[1].decode()
                os.write(ours, ((code if answer is None else answer) + "\n").encode())
        said += process.stdout.read()
    os.close(ours)
    return process.returncode, said.decode(), code


def test_the_second_person_reads_the_whole_and_signs_and_the_run_goes_on(folder: Path) -> None:
    code, document = run(folder, GOAL)
    assert (code, document["status"]) == (4, "waiting"), document["report"]
    assert "countersign sign" in document["report"]
    assert {g["state"] for g in document["phases"][0]["grants"]} == {"unspent"}

    refused, said, asked = sign(folder, "kim.pem", "y")
    assert refused == 3, said
    assert "not signed: publish" in said

    own = next((folder / "gate" / "keys").glob("sandbox-person.pem"))
    refused, said, _ = sign(folder, str(own))
    assert refused == 3, said
    assert "requester-approves" in said

    signed, said, again = sign(folder, "kim.pem")
    assert signed == 0, said
    assert again == asked
    assert document["phases"][0]["signoff"]["digest"][7:13] == asked
    for words in (
        "github.push_commit",
        "acme/platform",
        "+apiVersion: apps/v1",
        "manifests/nginx/deployment.yaml",
    ):
        assert words in said

    code, document = run(folder, "--resume", "last")
    assert (code, document["status"]) == (4, "waiting"), document["report"]
    assert [p["signoff"]["state"] for p in document["phases"]] == ["spent", "awaiting_signature"]
    assert sign(folder, "kim.pem")[0] == 0
    code, document = run(folder, "--resume", "last")
    assert (code, document["status"]) == (0, "applied"), document["report"]
    for phase in document["phases"]:
        checked = countersign("verify", phase["signoff"]["path"], folder=folder)
        assert checked.returncode == 0, checked.stdout
        assert checked.stdout.count("signed by") == 2


def test_without_a_terminal_nobody_signs(folder: Path) -> None:
    assert run(folder, GOAL)[0] == 4
    done = countersign("sign", "last", "--key", "kim.pem", "--profile", "two.toml", folder=folder)
    assert done.returncode == 2
    assert "nobody is at a terminal" in done.stderr
