"""`[gate] url`: a whole run against a gate that stands elsewhere; the crew has pipes as always and never a bearer."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fakes.gateway import COMMAND, served

GOAL = "Deploy nginx with 3 replicas to namespace web on Kubernetes"
ROLES = ("planner", "devops", "security", "sre", "person")


def countersign(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *arguments, "--state-dir", str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


@dataclass(frozen=True)
class Elsewhere:
    """The person's folder, and the gate's."""

    person: Path
    gate: Path


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    there = Elsewhere(tmp_path_factory.mktemp("person"), tmp_path_factory.mktemp("gate"))
    (there.person / "bearers").mkdir(mode=0o700)
    for role in ROLES:
        made = countersign(
            there.gate, "bearer", "make", role, "--file", str(there.person / "bearers" / f"{role}.token")
        )
        assert made.returncode == 0, made.stderr
    assert countersign(there.person, "keys", "init", "person", "--sandbox").returncode == 0
    shown = json.loads(countersign(there.person, "keys", "show", "--json").stdout)
    public = there.person / "person.pub"
    public.write_text(shown["keys"][0]["public"])
    trusting = countersign(
        there.gate, "keys", "init", "person", "--sandbox", "--public", str(public), "--owner", "alice"
    )
    assert trusting.returncode == 0, trusting.stderr
    with served(there.gate) as url:
        told = f'[gate]\nurl = "{url}"\nbearers = "{there.person / "bearers"}"\n'
        (there.person / "countersign.toml").write_text(told)
        yield there


def test_a_goal_goes_all_the_way_and_no_bearer_is_with_the_crew(elsewhere: Elsewhere) -> None:
    done = countersign(elsewhere.person, "run", GOAL, "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["status"]) == (0, "applied"), done.stderr
    assert {grant["state"] for phase in document["phases"] for grant in phase["grants"]} == {"done"}
    assert document["isolation"] == "none", "this gate runs under the same user and says so"
    assert not (elsewhere.person / "gate" / "journal.sqlite").exists()
    tokens = [path.read_text().strip() for path in (elsewhere.person / "bearers").iterdir()]
    runs = elsewhere.person / "runs"
    held = [
        path
        for path in runs.rglob("*")
        if path.is_file() and any(t.encode() in path.read_bytes() for t in tokens)
    ]
    assert held == []


def test_a_dry_run_submits_nothing_over_there(elsewhere: Elsewhere) -> None:
    done = countersign(
        elsewhere.person, "run", "Deploy httpd to namespace api on Kubernetes", "--json", "--dry-run"
    )
    document = json.loads(done.stdout)
    assert (done.returncode, document["status"]) == (0, "signed"), done.stderr
    assert {g["state"] for g in document["phases"][0]["grants"]} == {"unspent"}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [("devops", "gate"), ("person", "gate")],
)
def test_a_run_with_a_bearer_that_is_not_known_there_gets_nowhere(
    elsewhere: Elsewhere, spoil: str, words: str
) -> None:
    path = elsewhere.person / "bearers" / f"{spoil}.token"
    kept = path.read_text()
    path.write_text("cs_" + "x" * 43 + "\n")
    try:
        done = countersign(elsewhere.person, "run", GOAL, "--json")
    finally:
        path.write_text(kept)
    assert done.returncode == 1
    assert json.loads(done.stdout)["phases"] == []
    assert words in done.stderr
