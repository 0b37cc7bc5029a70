"""What the journal's entries of one run amount to. Reads entries, touches nothing.

kind        body
opened      change_id, phase, profile, namespaces, goal_digest, destination, phases
deposited   change_id, phase, signoff, bundle, manifest, expires, grants
superseded  signoff, by
confirmed   signoff, person
refused     signoff, person
intent      signoff, seq, attempt, grant, effect_key, arguments_digest, call
never       signoff, seq, attempt, reason            the intent had no effect: the grant may run once more
effect      signoff, seq, attempt, facts, matches, difference, found
concluded   signoff, seq, succeeded, facts           a dispatched workflow run ended
plan        signoff, seq, facts                      the notary's word on the plan of record that run made
alarm       signoff, finding
denied      role, tool, name, message, signoff
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from policies.change import Destination, Digest, Grant, Phase, Word
from policies.finding import Finding
from tools.gate.journal import Entry
from tools.gate.words import DenialRecord, OpenedChange

DISPATCH = "github.dispatch_workflow"
State = Literal["unspent", "intent", "done", "waiting", "failed", "diverged"]


class Opened(OpenedChange):
    """What was issued, as the journal keeps it."""

    goal_digest: Digest
    phases: tuple[Phase, ...] = ()


class Deposited(Word):
    """A kept sign-off: digests of its bytes in the content store."""

    change_id: str
    phase: Phase
    signoff: Digest
    bundle: Digest
    manifest: Digest
    expires: str
    rehearsal: bool


@dataclass
class Spending:
    """What became of one grant."""

    attempts: int = 0
    at: str = ""
    call: Digest = ""
    open: bool = False
    effect: Mapping[str, Any] | None = None
    concluded: Mapping[str, Any] | None = None
    plan: Mapping[str, Any] | None = None
    reason: str = ""

    def state(self, grant: Grant) -> State:
        """In the words of GrantState."""
        if self.effect is None:
            return "intent" if self.open else "unspent"
        if not self.effect["matches"]:
            return "diverged"
        if grant.name != DISPATCH:
            return "done"
        if self.concluded is None:
            return "waiting"
        return "done" if self.concluded["succeeded"] else "failed"

    @property
    def facts(self) -> dict[str, Any]:
        """Everything that was read back, what was learnt later over what was learnt first."""
        found: dict[str, Any] = {}
        for part in (self.effect, self.concluded, self.plan):
            found |= part["facts"] if part else {}
        return found


@dataclass
class Ledger:
    """One run, from its entries."""

    run_id: str
    opened: dict[str, Opened] = field(default_factory=dict)
    deposited: dict[str, Deposited] = field(default_factory=dict)
    superseded: dict[str, str] = field(default_factory=dict)
    confirmed: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    spending: dict[tuple[str, int], Spending] = field(default_factory=dict)
    alarms: list[tuple[str, Finding]] = field(default_factory=list)
    denials: list[tuple[DenialRecord, str]] = field(default_factory=list)
    head: str = ""

    def of(self, signoff: str, seq: int) -> Spending:
        """What became of a grant; an empty one when nothing did."""
        return self.spending.get((signoff, seq), Spending())

    def touched(self, signoff: str) -> bool:
        """Whether any grant of the sign-off had, or may have had, an effect."""
        return any(s.open or s.effect for (owner, _), s in self.spending.items() if owner == signoff)

    def live(self) -> list[Deposited]:
        """The sign-offs that were not superseded, in their order."""
        return [kept for digest, kept in self.deposited.items() if digest not in self.superseded]

    @cached_property
    def expected_commit(self) -> str | None:
        """The commit that this run's publish phase produced and the gate read back."""
        for kept in self.live():
            if kept.phase is Phase.PUBLISH:
                for (owner, _), spent in sorted(self.spending.items()):
                    effect = spent.effect
                    if (
                        owner == kept.signoff
                        and effect
                        and effect["matches"]
                        and effect["grant"] == "github.push_commit"
                    ):
                        return str(effect["facts"]["commit"])
        return None


def read(run_id: str, entries: Iterable[Entry]) -> Ledger:
    """The ledger of a run. An entry of unknown kind is a fault (KeyError): never skip what might matter."""
    ledger = Ledger(run_id)
    for entry in entries:
        _READERS[entry.kind](ledger, entry)
        ledger.head = entry.hash
    return ledger


def _opened(ledger: Ledger, entry: Entry) -> None:
    opened = Opened.model_validate(entry.body)
    ledger.opened[opened.change_id] = opened


def _deposited(ledger: Ledger, entry: Entry) -> None:
    kept = Deposited.model_validate(entry.body)
    ledger.deposited[kept.signoff] = kept


def _superseded(ledger: Ledger, entry: Entry) -> None:
    ledger.superseded[entry.body["signoff"]] = f"superseded by {entry.body['by'][7:19]}"


def _confirmed(ledger: Ledger, entry: Entry) -> None:
    ledger.confirmed[entry.body["signoff"]] = entry.body["person"]


def _refused(ledger: Ledger, entry: Entry) -> None:
    ledger.refused[entry.body["signoff"]] = entry.body["person"]


def _spending(ledger: Ledger, entry: Entry) -> Spending:
    return ledger.spending.setdefault((entry.body["signoff"], entry.body["seq"]), Spending())


def _intent(ledger: Ledger, entry: Entry) -> None:
    spent = _spending(ledger, entry)
    spent.attempts, spent.at, spent.call, spent.open, spent.reason = (
        entry.body["attempt"],
        entry.at,
        entry.body["call"],
        True,
        "",
    )


def _never(ledger: Ledger, entry: Entry) -> None:
    spent = _spending(ledger, entry)
    spent.open, spent.reason = False, entry.body["reason"]


def _effect(ledger: Ledger, entry: Entry) -> None:
    spent = _spending(ledger, entry)
    spent.open, spent.effect = False, entry.body


def _concluded(ledger: Ledger, entry: Entry) -> None:
    _spending(ledger, entry).concluded = entry.body


def _plan(ledger: Ledger, entry: Entry) -> None:
    _spending(ledger, entry).plan = entry.body


def _alarm(ledger: Ledger, entry: Entry) -> None:
    ledger.alarms.append((entry.body["signoff"], Finding.model_validate(entry.body["finding"])))


def _denied(ledger: Ledger, entry: Entry) -> None:
    told = {key: entry.body[key] for key in ("role", "tool", "name", "message")}
    ledger.denials.append((DenialRecord(at=entry.at, **told), entry.body["signoff"]))


_READERS = {
    "opened": _opened,
    "deposited": _deposited,
    "superseded": _superseded,
    "confirmed": _confirmed,
    "refused": _refused,
    "intent": _intent,
    "never": _never,
    "effect": _effect,
    "concluded": _concluded,
    "plan": _plan,
    "alarm": _alarm,
    "denied": _denied,
}


def destination_text(grant: Grant, destination: Destination) -> str:
    """Where a grant goes, in one line for a person."""
    if grant.server == "github":
        where = destination.repository
        return f"{where.host}/{where.full_name}@{where.base_branch}" if where else "no repository"
    cluster = destination.cluster
    return f"{cluster.server} {', '.join(cluster.namespaces)}" if cluster else "no cluster"
