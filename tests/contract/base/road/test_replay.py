"""The graph made again from the journal is the graph that the runs wrote."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

from tests.contract.base.road.test_road import ROOT, countersign, run

GOALS = [
    "Deploy nginx with 3 replicas to namespace web on Kubernetes",
    "Run nginx as root with privileged: true.",
]


def dumped(folder: Path) -> dict[str, Any]:
    script = [ROOT / ".venv-crew/bin/python", "-P", ROOT / "tests/fakes/graph_dump.py", folder]
    done = subprocess.run(
        [str(word) for word in script],
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    graph: dict[str, Any] = json.loads(done.stdout)
    return graph


def test_the_rebuilt_graph_is_the_recorded_one(tmp_path: Path) -> None:
    assert [run(goal, tmp_path)[0] for goal in GOALS] == [0, 3]
    (tmp_path / "graph").rename(tmp_path / "recorded")
    done = countersign("audit", "replay", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcomes"] == 2
    recorded, rebuilt = dumped(tmp_path / "recorded"), dumped(tmp_path / "graph")

    def ways(graph: dict[str, Any]) -> dict[str, tuple[str, str]]:
        """What a relationship says -> its kind and what it begins at."""
        return {
            json.dumps(link, sort_keys=True): (link["kind"], link["source"].partition("/")[0])
            for link in graph["links"]
        }

    told = set(ways(rebuilt).values())
    assert {"ASKED", "HAS_PHASE", "SIGNED_AS", "CAUSED", "MET"} <= {kind for kind, _ in told}

    def links(graph: dict[str, Any]) -> list[str]:
        return sorted(words for words, way in ways(graph).items() if way in told)

    assert links(rebuilt) == links(recorded)
    there = {(node["label"], node["key"]): node["properties"] for node in recorded["nodes"]}
    assert len(rebuilt["nodes"]) > 20
    for node in rebuilt["nodes"]:
        known = there.pop((node["label"], node["key"]))
        assert node["properties"].items() <= known.items(), node["key"]
    assert {label for label, _ in there} <= {"Resource", "NetworkRule"}, (
        "only what stood at the target is not the journal's"
    )
    again = countersign("audit", "replay", "--json", folder=tmp_path)
    assert json.loads(again.stdout)["nodes"] == json.loads(done.stdout)["nodes"]


def test_a_falsified_journal_is_not_replayed(tmp_path: Path) -> None:
    assert run(GOALS[1], tmp_path)[0] == 3
    db = sqlite3.connect(tmp_path / "gate/journal.sqlite3", isolation_level=None)
    for table in ("entries", "spent", "checkpoints"):
        for act in ("UPDATE", "DELETE"):
            db.execute(f"DROP TRIGGER {table}_no_{act}")
    db.execute("UPDATE entries SET kind = 'denied' WHERE number = 1")
    db.close()
    assert countersign("audit", "verify", folder=tmp_path).returncode == 3
    done = countersign("audit", "replay", folder=tmp_path)
    assert done.returncode == 1
    assert "edited" in done.stderr
