"""The embedded graph over Bolt by the official driver: outcomes are written once, however often they are written."""

import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from knowledge import inventory, outcomes, schema
from knowledge.graph import Graph, GraphUnavailableError
from knowledge.outcomes import PodSeen, RunOutcome
from knowledge.retrieval import Memory, OutcomeRetriever
from policies.change import ClusterTarget, Destination, RepositoryTarget
from policies.finding import Finding, RuleClass, Severity
from tools.gate.words import GrantState, PhaseRecord, RunRecord, SignoffState

ROOT = Path(__file__).resolve().parents[4]
DESTINATION = Destination(
    repository=RepositoryTarget(
        host="localhost",
        repository_id=7,
        full_name="acme/platform",
        clone_url="http://localhost/acme/platform.git",
        base_branch="main",
        base_commit="a" * 40,
    ),
    cluster=ClusterTarget(uid="uid-1", server="http://localhost", namespaces=("web",)),
)
DIGEST = "sha256:" + "1" * 64
FINDING = Finding(
    rule="pod-security/run-as-non-root",
    rule_class=RuleClass.POD_SECURITY,
    severity=Severity.HIGH,
    engine="countersign",
    path="manifests/web/deployment.yaml",
    resource="Deployment/web/nginx",
    message="runs as root",
    why="root escapes",
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    told = {
        "folder": str(tmp_path_factory.mktemp("graph")),
        "port": free_port(),
        "http_port": free_port(),
        "password": secrets.token_urlsafe(16),
    }
    reader, writer = os.pipe()
    server = subprocess.Popen(
        [sys.executable, "-m", "knowledge.embedded", "--settings-fd", str(reader)],
        pass_fds=[reader],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        json.dump(told, pipe)
    try:
        with Graph(f"bolt://127.0.0.1:{told['port']}", "neo4j", str(told["password"])) as opened:
            opened.wait(60)
            yield opened
    finally:
        server.kill()
        server.wait()


def outcome(run_id: str = "run-1", status: str = "applied") -> RunOutcome:
    grant = GrantState(
        seq=1,
        server="github",
        verb="open_pull_request",
        destination="acme/platform",
        state="done",
        receipt={"number": 1, "url": "http://localhost/pull/1"},
    )
    signoff = SignoffState(
        signoff=DIGEST,
        change_id="cs-" + "0" * 16,
        phase="publish",
        state="spent",
        expires="2026-11-23T00:00:00Z",
        grants=(grant,),
    )
    phase = PhaseRecord(
        name="publish", change_id="cs-" + "0" * 16, signoff=signoff, manifest_digest="sha256:" + "2" * 64
    )
    return RunOutcome(
        run_id=run_id,
        goal="nginx 3개",
        goal_digest="sha256:" + "3" * 64,
        language="ko",
        status=status,
        ended="2026-11-23T00:00:00Z",
        trace_id="0" * 32,
        record=RunRecord(run_id=run_id, status="applied", phases=(phase,), denials=(), journal_head="h"),
        findings={"publish": (FINDING,)},
        pods=(PodSeen(namespace="web", name="p-1", phase="Running", ready=True),),
        destination=DESTINATION,
    )


def test_writing_an_outcome_twice_changes_nothing(graph: Graph) -> None:
    once = outcomes.record(graph, outcome())
    assert outcomes.record(graph, outcome()) == once
    assert once[0] >= 10
    assert once[1] >= 10
    rows = graph.read(
        "MATCH (r:Run)-[:HAS_PHASE]->(:Phase)-[:PROPOSED]->(:ChangeSet)-[:SIGNED_AS]->(:Signoff)-[:UNLOCKS]->(:Grant)"
        "-[:CAUSED]->(:Effect)-[:PRODUCED]->(p:PullRequest) WHERE r.key = $run RETURN p.key AS pull",
        {"run": "run-1"},
    )
    assert rows == [{"pull": "http://localhost/pull/1"}]


def test_what_an_earlier_run_met_is_quoted_with_its_source(graph: Graph) -> None:
    outcomes.record(graph, outcome("run-2", "refused"))
    memory = Memory((), OutcomeRetriever(graph, outcomes.target_keys(DESTINATION)))
    quoted = {p.source: p.text for p in memory.outcomes()}
    assert "pod-security/run-as-non-root" in quoted["outcome:run-2"]
    assert "refused" in quoted["outcome:run-2"]
    elsewhere = Memory((), OutcomeRetriever(graph, ("another#1",)))
    assert elsewhere.outcomes() == ()


def test_an_inventory_is_written_and_injection_stays_text(graph: Graph) -> None:
    evil = "x'}) DETACH DELETE n //"
    item = inventory.Item(
        kind="NetworkPolicy", name=evil, namespace="web", summary=evil, source="s", rule=True
    )
    before = graph.read(schema.COUNT_NODES)[0]["count"]
    graph.write(inventory.statements(inventory.Inventory(destination=DESTINATION, items=(item,))))
    assert graph.read(schema.COUNT_NODES)[0]["count"] == before + 1
    assert graph.read("MATCH (n:NetworkRule) RETURN n.name AS name") == [{"name": evil}]


def test_a_graph_that_is_not_there_is_said_within_the_deadline() -> None:
    with Graph(f"bolt://127.0.0.1:{free_port()}", "neo4j", "x") as absent:
        with pytest.raises(GraphUnavailableError):
            absent.wait(0.3)
        memory = Memory((), OutcomeRetriever(absent, ("x",)))
        assert memory.outcomes() == ()
