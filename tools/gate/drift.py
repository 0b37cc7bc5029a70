"""Every effect that should still stand, read again and compared with what was signed; changes nothing at a target.

An effect that a later sign-off replaced is not asked about: the last signed word on an object, a file or a branch counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from policies.change import Destination, Operation, Phase
from policies.finding import Finding, RuleClass, Severity
from tools.gate.case import Case, kept_call
from tools.gate.ledger import Deposited, Ledger
from tools.gate.room import Room
from tools.gate.words import DriftAsked, Drifted, DriftReport, NotCompared
from tools.verbs import ConflictError, NotFoundError

RULE = "gate/drift"
_NOW_OR_NEVER = frozenset({"github.dispatch_workflow"})
"""Effects that were compared when they ended: a workflow run and its artifacts are not kept for ever."""


@dataclass(frozen=True)
class Stood:
    """One done grant of a live sign-off, and what it has the last signed word on."""

    case: Case
    topics: frozenset[str]


class Drift:
    """Compares. Raises TargetError when a target cannot be read, ToolRefusedError, JournalFaultError."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def compare(self, asked: DriftAsked) -> DriftReport:
        """Every done grant of that run, or of every run; each difference is an alarm on its run, once."""
        live = self._room.targets.resolve(cluster=True)
        stood = [one for run_id in self._room.journal.runs() for one in self._of_run(run_id)]
        latest = {topic: one for one in stood for topic in one.topics}
        drifted: list[Drifted] = []
        skipped: list[NotCompared] = []
        compared = 0
        for one in stood:
            if asked.run_id not in {None, one.case.room.run_id}:
                continue
            why = _elsewhere(one.case, live)
            mine = frozenset(topic for topic in one.topics if latest[topic] is one)
            if why or not mine:
                skipped.append(_not_compared(one.case, why or "a later sign-off replaced it"))
                continue
            compared += 1
            drifted += self._differences(one.case, mine)
        for found in drifted:
            self._alarm(found)
        return DriftReport(compared=compared, differences=tuple(drifted), skipped=tuple(skipped))

    def _of_run(self, run_id: str) -> Iterator[Stood]:
        room = self._room if run_id == self._room.run_id else replace(self._room, run_id=run_id)
        ledger = room.ledger()
        for kept in ledger.live():
            change = room.change(kept)
            for grant in change.grants:
                case = Case(room, kept, change, grant)
                done = ledger.of(kept.signoff, grant.seq).state(grant) == "done"
                if done and grant.name not in _NOW_OR_NEVER:
                    yield Stood(case, frozenset(_topics(case, released=_released(ledger, kept))))

    def _differences(self, case: Case, topics: frozenset[str]) -> Iterator[Drifted]:
        if files := [topic for topic in topics if topic.startswith(_FILE)]:
            yield from self._files(case, sorted(topic.removeprefix(_FILE) for topic in files))
            return
        try:
            receipt = case.read(kept_call(case))
        except (ConflictError, NotFoundError) as fault:
            yield _drifted(case, case.grant.effect_key, found=str(fault))
            return
        if receipt is None:
            yield _drifted(case, case.grant.effect_key, found="not there any more, or another one")
        elif not receipt.matches:
            facts = receipt.facts
            yield _drifted(
                case,
                f"{case.grant.effect_key} {receipt.difference}",
                signed=str(facts.get("signed", "")),
                found=str(facts.get("found", "")) or receipt.difference,
            )

    def _files(self, case: Case, paths: list[str]) -> Iterator[Drifted]:
        """Released files stand at the base: compared there, wherever the base has moved on to."""
        repository = self._room.targets.repository
        tip = repository.resolve().base_commit if repository else ""
        for artifact in case.change.artifacts:
            if artifact.path not in paths or repository is None:
                continue
            there = repository.file_digest(artifact.path, tip)
            signed = None if artifact.operation is Operation.DELETE else artifact.digest
            if there != signed:
                yield _drifted(case, artifact.path, signed=signed or "deleted", found=there or "not there")

    def _alarm(self, found: Drifted) -> None:
        finding = Finding(
            rule=RULE,
            rule_class=RuleClass.STATE,
            severity=Severity.HIGH,
            engine="countersign",
            path=f"grant {found.seq}",
            resource=f"{found.grant} at {found.destination}",
            message=f"{found.what}: {found.found}"[:1000],
            why="The target is not any more what was signed: somebody or something else changed it.",
            remedy="Find out who did; bring it back by a new goal, or ask for the new state to be signed.",
        )
        if (found.signoff, finding) not in self._room.ledger(found.run_id).alarms:
            told = {"signoff": found.signoff, "finding": finding.model_dump(mode="json")}
            self._room.journal.append(found.run_id, "alarm", told)


_FILE = "file "


def _elsewhere(case: Case, live: Destination) -> str:
    """Why the configured targets are not those that the sign-off names; empty when they are."""
    signed = case.change.destination
    if case.grant.server == "github":
        one, other = signed.repository, live.repository
        same = one and other and (one.host, one.repository_id) == (other.host, other.repository_id)
        return "" if same else f"it is for repository {one.full_name if one else '-'}, another than this one"
    uid = signed.cluster.uid if signed.cluster else "-"
    return (
        "" if live.cluster and live.cluster.uid == uid else f"it is for cluster {uid}, another than this one"
    )


def _released(ledger: Ledger, kept: Deposited) -> bool:
    """Whether the base was moved to this publication."""
    commit = ledger.receipt(kept.signoff, "github.push_commit").get("commit")
    releases = (
        ledger.receipt(k.signoff, "github.advance_base") for k in ledger.live() if k.phase is Phase.RELEASE
    )
    return commit is not None and any(found.get("commit") == commit for found in releases)


def _topics(case: Case, *, released: bool) -> Iterator[str]:
    """What the effect has a word on: the same topic of a later sign-off replaces it."""
    grant, change = case.grant, case.change
    if grant.name == "github.push_commit" and released:
        yield from (f"{_FILE}{artifact.path}" for artifact in change.artifacts)
    elif grant.name == "github.advance_base" and change.destination.repository:
        yield f"base {change.destination.repository.repository_id} {change.destination.repository.base_branch}"
    elif grant.name == "kubernetes.apply":
        yield f"object {case.grant.effect_key}"
    elif grant.name == "kubernetes.sync_application":
        yield f"sync {grant.arguments['namespace']}/{grant.arguments['name']}"
    else:
        yield f"{case.kept.signoff} {grant.seq}"


def _drifted(case: Case, what: str, *, found: str, signed: str = "") -> Drifted:
    return Drifted(
        run_id=case.room.run_id,
        signoff=case.kept.signoff,
        seq=case.grant.seq,
        grant=case.grant.name,
        destination=case.target,
        what=what,
        signed=signed,
        found=found,
    )


def _not_compared(case: Case, why: str) -> NotCompared:
    return NotCompared(
        run_id=case.room.run_id, signoff=case.kept.signoff, seq=case.grant.seq, grant=case.grant.name, why=why
    )
