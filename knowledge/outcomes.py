"""A run's outcome as graph statements: idempotent, keyed, rebuildable from the gate's journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import Field, JsonValue

from knowledge import schema
from knowledge.graph import Graph, Statement
from policies.change import ChangeSet, Destination, Word
from policies.finding import Finding
from tools.gate.words import PhaseRecord, RunRecord


class PodSeen(Word):
    """A pod that the SRE read back."""

    namespace: str
    name: str
    phase: str
    ready: bool = False


class RunOutcome(Word):
    """What is remembered of a run: the gate's record, and what was asked and found."""

    run_id: str
    goal: str
    goal_digest: str
    language: str
    status: str
    ended: str = Field(description="RFC 3339")
    trace_id: str
    record: RunRecord
    changes: tuple[ChangeSet, ...] = ()
    findings: Mapping[str, tuple[Finding, ...]] = Field(
        default={}, description="phase -> what Security objected to"
    )
    waivers: tuple[str, ...] = ()
    pods: tuple[PodSeen, ...] = ()
    destination: Destination


def target_keys(destination: Destination) -> tuple[str, ...]:
    """The keys of the repository and the cluster that a run touches: what ties later runs to earlier ones."""
    keys = []
    if destination.repository is not None:
        keys.append(f"{destination.repository.full_name}#{destination.repository.repository_id}")
    if destination.cluster is not None:
        keys.append(destination.cluster.uid)
    return tuple(keys)


def record(graph: Graph, outcome: RunOutcome) -> tuple[int, int]:
    """Write it; writing it again changes nothing. The graph's numbers of nodes and relationships.

    Raises GraphUnavailableError, and then nothing was written.
    """
    schema.establish(graph)
    graph.write(statements(outcome))
    nodes = int(graph.read(schema.COUNT_NODES)[0]["count"])
    return nodes, int(graph.read(schema.COUNT_LINKS)[0]["count"])


def statements(outcome: RunOutcome) -> Iterator[Statement]:
    """Every node before the relationships that need it."""
    run: dict[str, JsonValue] = {
        "key": outcome.run_id,
        "status": outcome.status,
        "ended": outcome.ended,
        "trace_id": outcome.trace_id,
        "journal_head": outcome.record.journal_head,
    }
    yield schema.nodes(
        "Goal", [{"key": outcome.goal_digest, "text": outcome.goal, "language": outcome.language}]
    )
    yield schema.nodes("Run", [run])
    yield schema.links("ASKED", "Run", "Goal", [(outcome.run_id, outcome.goal_digest)])
    yield from _targets(outcome)
    for phase in outcome.record.phases:
        yield from _phase(outcome, phase)
    signed = {phase.name for phase in outcome.record.phases}
    for name in sorted(set(outcome.findings) - signed):
        key = f"{outcome.run_id}/{name}"
        yield schema.nodes("Phase", [{"key": key, "name": name, "state": "not signed"}])
        yield schema.links("HAS_PHASE", "Run", "Phase", [(outcome.run_id, key)])
        yield from _findings(key, outcome.findings[name])
    pods: list[dict[str, JsonValue]] = [
        {"key": f"{p.namespace}/{p.name}", "phase": p.phase, "ready": p.ready} for p in outcome.pods
    ]
    yield schema.nodes("Pod", pods)
    yield schema.links("RUNS", "Run", "Pod", [(outcome.run_id, str(p["key"])) for p in pods])


def _targets(outcome: RunOutcome) -> Iterator[Statement]:
    repository, cluster = outcome.destination.repository, outcome.destination.cluster
    if repository is not None:
        key = f"{repository.full_name}#{repository.repository_id}"
        yield schema.nodes(
            "Repository", [{"key": key, "name": repository.full_name, "host": repository.host}]
        )
        yield schema.links("TARGETS", "Run", "Repository", [(outcome.run_id, key)])
    if cluster is not None:
        yield schema.nodes("Cluster", [{"key": cluster.uid, "server": cluster.server}])
        yield schema.links("TARGETS", "Run", "Cluster", [(outcome.run_id, cluster.uid)])


def _phase(outcome: RunOutcome, phase: PhaseRecord) -> Iterator[Statement]:
    key = f"{outcome.run_id}/{phase.name}"
    signoff = phase.signoff
    yield schema.nodes("Phase", [{"key": key, "name": phase.name, "state": signoff.state}])
    yield schema.links("HAS_PHASE", "Run", "Phase", [(outcome.run_id, key)])
    yield schema.nodes(
        "ChangeSet", [{"key": phase.manifest_digest, "change_id": phase.change_id, "phase": phase.name}]
    )
    yield schema.links("PROPOSED", "Phase", "ChangeSet", [(key, phase.manifest_digest)])
    yield schema.nodes(
        "Signoff", [{"key": signoff.signoff, "expires": signoff.expires, "state": signoff.state}]
    )
    yield schema.links("SIGNED_AS", "ChangeSet", "Signoff", [(phase.manifest_digest, signoff.signoff)])
    change = next((c for c in outcome.changes if c.change_id == phase.change_id), None)
    if change is not None:
        yield from _artifacts(phase.manifest_digest, change)
    yield from _grants(phase)
    yield from _findings(key, outcome.findings.get(phase.name, ()))
    for waiver in outcome.waivers:
        yield schema.nodes("Waiver", [{"key": waiver}])
        yield schema.links("WAIVED", "Phase", "Waiver", [(key, waiver)])


def _artifacts(manifest: str, change: ChangeSet) -> Iterator[Statement]:
    rows: list[dict[str, str]] = [
        {"key": f"{manifest}/{a.path}", "path": a.path, "digest": a.digest, "operation": a.operation.value}
        for a in change.artifacts
    ]
    yield schema.nodes("Artifact", rows)
    yield schema.links("CONTAINS", "ChangeSet", "Artifact", [(manifest, row["key"]) for row in rows])


def _grants(phase: PhaseRecord) -> Iterator[Statement]:
    for grant in phase.signoff.grants:
        key = f"{phase.signoff.signoff}/{grant.seq}"
        row: dict[str, JsonValue] = {"key": key, "verb": f"{grant.server}.{grant.verb}", "state": grant.state}
        yield schema.nodes("Grant", [row | {"destination": grant.destination}])
        yield schema.links("UNLOCKS", "Signoff", "Grant", [(phase.signoff.signoff, key)])
        if grant.receipt is not None:
            yield schema.nodes("Effect", [{"key": key, **_flat(grant.receipt)}])
            yield schema.links("CAUSED", "Grant", "Effect", [(key, key)])
            yield from _produced(key, grant.verb, grant.receipt)


def _produced(effect: str, verb: str, receipt: Mapping[str, JsonValue]) -> Iterator[Statement]:
    """The thing in the world that an effect made."""
    if verb == "open_pull_request":
        key = str(receipt.get("url") or receipt.get("number"))
        yield schema.nodes("PullRequest", [{"key": key, "number": receipt.get("number")}])
        yield schema.links("PRODUCED", "Effect", "PullRequest", [(effect, key)])
    elif verb == "dispatch_workflow":
        key = str(receipt.get("url") or receipt.get("run_id"))
        yield schema.nodes("WorkflowRun", [{"key": key, "conclusion": receipt.get("conclusion")}])
        yield schema.links("PRODUCED", "Effect", "WorkflowRun", [(effect, key)])
    elif verb == "sync_application":
        key = f"{receipt.get('namespace')}/{receipt.get('name')}"
        row = {
            "key": key,
            "revision": receipt.get("revision"),
            "health": receipt.get("health"),
            "sync": receipt.get("sync"),
        }
        yield schema.nodes("Application", [row])
        yield schema.links("PRODUCED", "Effect", "Application", [(effect, key)])
    elif verb == "apply":
        key = f"{receipt.get('kind')}/{receipt.get('namespace')}/{receipt.get('name')}"
        yield schema.nodes("Resource", [{"key": key, "kind": receipt.get("kind"), "uid": receipt.get("uid")}])
        yield schema.links("PRODUCED", "Effect", "Resource", [(effect, key)])


def _findings(phase: str, findings: tuple[Finding, ...]) -> Iterator[Statement]:
    rows: list[dict[str, JsonValue]] = [
        {
            "key": f"{phase}/{f.rule}/{f.path}/{f.resource}",
            "rule": f.rule,
            "severity": f.severity.value,
            "path": f.path,
            "message": f.message,
        }
        for f in findings
    ]
    yield schema.nodes("Finding", rows)
    yield schema.nodes("Policy", [{"key": f.rule, "why": f.why} for f in findings])
    yield schema.links("MET", "Phase", "Finding", [(phase, str(row["key"])) for row in rows])
    yield schema.links("BREAKS", "Finding", "Policy", [(str(row["key"]), str(row["rule"])) for row in rows])


def _flat(receipt: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Facts that a property can hold: scalars; the rest stays in the journal."""
    return {f"fact_{k}": v for k, v in receipt.items() if isinstance(v, str | int | float | bool)}
