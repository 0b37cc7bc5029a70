"""What a run keeps in the graph, and what becomes of it while the graph is late or down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from crew.memory import PENDING, Opener, Remembering
from knowledge.graph import Graph, GraphUnavailableError, Statement
from knowledge.outcomes import RunOutcome
from tests.fakes.crew_servers import FakeServers, destination
from tools.gate.words import RunRecord

DENY = {
    "metadata": {"name": "deny", "namespace": "default"},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
}


class FakeGraph:
    """Keeps statements in the order of their writing; `down` from its n-th write on."""

    def __init__(self, down_after: int | None = None) -> None:
        self.written: list[Statement] = []
        self._writes, self._down = 0, down_after

    def write(self, statements: Iterable[Statement]) -> None:
        self._writes += 1
        if self._down is not None and self._writes > self._down:
            raise GraphUnavailableError("the graph went away")
        self.written += statements

    def read(self, cypher: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        if "count" in cypher:
            return [{"count": len(self.written)}]
        assert parameters is not None
        keys = [
            row["key"] for s in self.written if "MERGE (n:Run " in s.cypher for row in s.parameters["rows"]
        ]
        return [
            {"run": key, "status": "applied", "ended": "2026-11-23T00:00:00Z", "goal": "g", "phase": "publish", "state": "spent",
             "rules": ["pod-security/privileged"]}
            for key in keys
        ]  # fmt: skip

    def keys(self, label: str) -> list[str]:
        """Keys of the nodes with that label, as they were written."""
        return [
            row["key"]
            for s in self.written
            if f"MERGE (n:{label} " in s.cypher
            for row in s.parameters["rows"]
        ]


def outcome(run_id: str) -> RunOutcome:
    return RunOutcome(
        run_id=run_id, goal="nginx", goal_digest="sha256:" + "3" * 64, language="en", status="applied", ended="2026-11-23T00:00:00Z",
        trace_id="0" * 32, record=RunRecord(run_id=run_id, status="applied", phases=(), denials=(), journal_head="h"),
        destination=destination(("default",)),
    )  # fmt: skip


def answers(*graphs: FakeGraph | None) -> Opener:
    """One answer for each time that the graph is asked for."""
    left = list(graphs)
    return lambda _: cast("Graph | None", left.pop(0))


def remembering(folder: Path, opened: Opener, waiting: tuple[Path, ...] = ()) -> Remembering:
    reads = {"list_resources": {"items": [DENY], "complete": True}}
    servers = FakeServers(folder / "servers.json", reads=reads)
    made = Remembering(servers, "gate:planner", opened, {}, wait=0.0, waiting=waiting)
    made.start()
    return made


def left_behind(folder: Path, run_id: str, text: bytes | None = None) -> Path:
    """An outcome as an earlier run left it."""
    path = folder / run_id / PENDING
    path.parent.mkdir()
    path.write_bytes(outcome(run_id).canonical() if text is None else text)
    return path


RULE = "uid-1/NetworkPolicy/default/deny"


def test_what_stands_at_the_target_is_in_the_graph_beside_the_outcome(tmp_path: Path) -> None:
    graph = FakeGraph()
    counted = remembering(tmp_path, answers(graph)).remember(outcome("run-1"), tmp_path)
    assert RULE in graph.keys("NetworkRule")
    assert graph.keys("Run") == ["run-1"]
    assert counted == (len(graph.written), len(graph.written))
    assert not (tmp_path / PENDING).exists()


def test_a_graph_that_comes_late_gets_all_of_it_at_the_end(tmp_path: Path) -> None:
    late = FakeGraph()
    memory = remembering(tmp_path, answers(None, late))
    assert memory.memory().outcomes() == ()
    memory.remember(outcome("run-1"), tmp_path)
    assert RULE in late.keys("NetworkRule")
    assert late.keys("Run") == ["run-1"]
    assert not (tmp_path / PENDING).exists()


@pytest.mark.parametrize("graph", [None, FakeGraph(down_after=0), FakeGraph(down_after=25)])
def test_while_the_graph_is_down_the_run_ends_and_the_outcome_waits(
    tmp_path: Path, graph: FakeGraph | None
) -> None:
    memory = remembering(tmp_path, answers(graph, None))
    assert memory.remember(outcome("run-1"), tmp_path) == (0, 0)
    assert RunOutcome.model_validate_json((tmp_path / PENDING).read_bytes()) == outcome("run-1")


def test_what_waited_is_written_first_and_quoted_in_the_next_plan(tmp_path: Path) -> None:
    waiting = left_behind(tmp_path, "run-0")
    graph = FakeGraph()
    memory = remembering(tmp_path, answers(graph), (waiting,))
    quoted = {p.source: p.text for p in memory.memory().outcomes()}
    assert "pod-security/privileged" in quoted["outcome:run-0"]
    assert memory.caught_up() == (waiting,)
    memory.remember(outcome("run-1"), tmp_path)
    assert graph.keys("Run") == ["run-0", "run-1"]


@pytest.mark.parametrize(
    ("text", "graph"),
    [(b"{corrupted", FakeGraph()), (None, FakeGraph(down_after=0)), (None, None)],
    ids=["corrupted", "down", "absent"],
)
def test_what_cannot_be_written_waits_on(tmp_path: Path, text: bytes | None, graph: FakeGraph | None) -> None:
    waiting = left_behind(tmp_path, "run-0", text)
    memory = remembering(tmp_path, answers(graph, None), (waiting,))
    assert memory.caught_up() == ()
    memory.memory()
    assert waiting.exists()
