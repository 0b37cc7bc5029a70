"""The graph's shape: labels with one key each, relationships, and the statements that write them.

Only the subset of Cypher that Neo4j and the embedded server share. Labels and types are constants of
this file, chosen by our code; everything else is a parameter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, LiteralString

from pydantic import JsonValue

from knowledge.graph import Graph, Statement

LABELS: Final[tuple[LiteralString, ...]] = (
    "Goal",
    "Run",
    "Phase",
    "ChangeSet",
    "Artifact",
    "Finding",
    "Waiver",
    "Signoff",
    "Grant",
    "Effect",
    "PullRequest",
    "WorkflowRun",
    "Application",
    "Resource",
    "NetworkRule",
    "Pod",
    "Cluster",
    "Repository",
    "Policy",
)
LINKS: Final[tuple[LiteralString, ...]] = (
    "ASKED",  # (Run)->(Goal)
    "HAS_PHASE",  # (Run)->(Phase)
    "PROPOSED",  # (Phase)->(ChangeSet)
    "CONTAINS",  # (ChangeSet)->(Artifact), (Repository)->(Resource), (Cluster)->(Resource)
    "MET",  # (Phase)->(Finding)
    "BREAKS",  # (Finding)->(Policy)
    "WAIVED",  # (Phase)->(Waiver)
    "SIGNED_AS",  # (ChangeSet)->(Signoff)
    "UNLOCKS",  # (Signoff)->(Grant)
    "CAUSED",  # (Grant)->(Effect)
    "PRODUCED",  # (Effect)->(PullRequest|WorkflowRun|Application|Resource)
    "TARGETS",  # (Run)->(Repository|Cluster)
    "GOVERNS",  # (NetworkRule)->(Resource), (Cluster)->(NetworkRule)
    "RUNS",  # (Run)->(Pod)
)
Row = Mapping[str, JsonValue]


def constraints() -> list[Statement]:
    """One unique key per label; safe to run again."""
    return [
        Statement("CREATE CONSTRAINT IF NOT EXISTS FOR (n:" + label + ") REQUIRE n.key IS UNIQUE", {})
        for label in LABELS
    ]


def establish(graph: Graph) -> None:
    """Make the constraints, each in a transaction of its own as Neo4j wants it. Raises GraphUnavailableError."""
    for constraint in constraints():
        graph.write([constraint])


def nodes(label: LiteralString, rows: Iterable[Row]) -> Statement:
    """Merge nodes by `key` and set their other properties. Raises KeyError for a label that is not ours."""
    if label not in LABELS:
        raise KeyError(label)
    listed = [{"key": row["key"], "set": dict(row)} for row in rows]
    return Statement(
        "UNWIND $rows AS row MERGE (n:" + label + " {key: row.key}) SET n += row.set", {"rows": listed}
    )


def links(
    kind: LiteralString, source: LiteralString, target: LiteralString, pairs: Iterable[tuple[str, str]]
) -> Statement:
    """Merge relationships between existing nodes, by their keys. Raises KeyError for a word that is not ours."""
    if kind not in LINKS or source not in LABELS or target not in LABELS:
        raise KeyError((kind, source, target))
    cypher = (
        "UNWIND $pairs AS pair MATCH (a:"
        + source
        + " {key: pair[0]}) MATCH (b:"
        + target
        + " {key: pair[1]}) "
        "MERGE (a)-[:" + kind + "]->(b)"
    )
    return Statement(cypher, {"pairs": [list(pair) for pair in pairs]})


COUNT_NODES: Final = "MATCH (n) RETURN count(n) AS count"
COUNT_LINKS: Final = "MATCH ()-[r]->() RETURN count(r) AS count"
OUTCOMES_ON: Final = (
    "MATCH (r:Run)-[:TARGETS]->(t) WHERE t.key IN $targets "
    "MATCH (r)-[:ASKED]->(g:Goal) MATCH (r)-[:HAS_PHASE]->(p:Phase) "
    "OPTIONAL MATCH (p)-[:MET]->(f:Finding) "
    "RETURN r.key AS run, r.status AS status, r.ended AS ended, g.text AS goal, p.name AS phase, p.state AS state, "
    "collect(DISTINCT f.rule) AS rules ORDER BY ended DESC LIMIT 30"
)
