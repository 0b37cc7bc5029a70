"""What the journal's entries of one run amount to. Reads entries, touches nothing.

kind        body
opened      change_id, phase, profile, namespaces, goal_digest, destination, phases, request
deposited   change_id, phase, signoff, bundle, manifest, expires, grants
superseded  signoff, by
confirmed   signoff, person
cosigned    signoff, keyid, bundle                   a person's signature over the very same payload
refused     signoff, person
intent      signoff, seq, attempt, grant, effect_key, arguments_digest, call, through
never       signoff, seq, attempt, reason            the intent had no effect: the grant may run once more
effect      signoff, seq, attempt, facts, matches, difference, found
concluded   signoff, seq, succeeded, facts           a dispatched workflow run ended
plan        signoff, seq, facts                      the notary's word on the plan of record that run made
alarm       signoff, finding
review      number, commit, state, by, why           how the published pull request stood when it was asked for last
denied      role, tool, name, message, signoff
stopped     person, reason                           also under the run id EVERY_RUN, for all of them
lifted      person, reason
told        outcome                                  digest of what the crew says of the ended run, with the gate's record
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import JsonValue

from policies.change import Destination, Digest, Grant, Phase, Word
from policies.finding import Finding
from tools.gate.chain import Entry
from tools.gate.words import DenialRecord, OpenedChange

DISPATCH = "github.dispatch_workflow"
TOLD = "told"
EVERY_RUN = "every-run"
"""The run id of what concerns all runs; no run is named so."""
State = Literal["unspent", "intent", "done", "waiting", "failed", "diverged"]


class Opened(OpenedChange):
    """What was issued, as the journal keeps it."""

    goal_digest: Digest
    phases: tuple[Phase, ...] = ()
    request: str = ""
    """The stored bundle in which a person asked for the goal."""


class Deposited(Word):
    """A kept sign-off: digests of its bytes in the content store."""

    change_id: str
    phase: Phase
    signoff: Digest
    bundle: Digest
    manifest: Digest
    expires: str
    rehearsal: bool
    size: int = 0
    signer: str = ""


@dataclass(frozen=True)
class Spending:
    """What became of one grant."""

    attempts: int = 0
    at: str = ""
    call: Mapping[str, Any] = field(default_factory=dict)
    through: str = ""
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


@dataclass(frozen=True)
class Standstill:
    """Who stopped a run, when and why."""

    at: str
    person: str
    reason: str


@dataclass
class Ledger:
    """One run, from its entries. Nobody changes one that was handed out: what follows makes a new one by `and_then`."""

    run_id: str
    opened: dict[str, Opened] = field(default_factory=dict)
    deposited: dict[str, Deposited] = field(default_factory=dict)
    superseded: dict[str, str] = field(default_factory=dict)
    confirmed: dict[str, str] = field(default_factory=dict)
    cosigned: dict[str, Mapping[str, Digest]] = field(default_factory=dict)
    """sign-off -> key id -> the stored bundle."""
    refused: dict[str, str] = field(default_factory=dict)
    spending: dict[tuple[str, int], Spending] = field(default_factory=dict)
    alarms: list[tuple[str, Finding]] = field(default_factory=list)
    denials: list[tuple[DenialRecord, str]] = field(default_factory=list)
    intents: list[str] = field(default_factory=list)
    """When each mutating call was begun."""
    stopped: Standstill | None = None
    began: str = ""
    last: int = 0
    review: Mapping[str, Any] | None = None
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

    @property
    def expected_commit(self) -> str | None:
        """The commit that this run's publish phase produced and the gate read back."""
        commit = self.published("github.push_commit", "commit")
        return None if commit is None else str(commit)

    @property
    def publication(self) -> Deposited | None:
        """The publish sign-off whose commit was pushed and read back as signed."""
        published = (kept for kept in self.live() if kept.phase is Phase.PUBLISH)
        return next((kept for kept in published if self.receipt(kept.signoff, "github.push_commit")), None)

    def published(self, grant: str, fact: str) -> JsonValue:
        """A fact of this run's publication that the gate read back as signed; None when there is none."""
        kept = self.publication
        return self.receipt(kept.signoff, grant).get(fact) if kept else None

    def receipt(self, signoff: str, grant: str) -> Mapping[str, Any]:
        """The facts of a sign-off's first such grant that was read back as signed; empty when there is none."""
        for (owner, _), spent in sorted(self.spending.items()):
            effect = spent.effect
            if owner == signoff and effect and effect["matches"] and effect["grant"] == grant:
                facts: Mapping[str, Any] = effect["facts"]
                return facts
        return {}

    def and_then(self, entries: Iterable[Entry]) -> Ledger:
        """This ledger with later entries. One of unknown kind is a fault (KeyError): never skip what might matter."""
        later = replace(self, **{name: copy(getattr(self, name)) for name in _GROWING})
        for entry in entries:
            _READERS[entry.kind](later, entry)
            later.began = later.began or entry.at
            later.last, later.head = entry.number, entry.hash
        return later


_GROWING = (
    "opened", "deposited", "superseded", "confirmed", "cosigned", "refused", "spending", "alarms", "denials", "intents",
)  # fmt: skip


def read(run_id: str, entries: Iterable[Entry]) -> Ledger:
    """The ledger of a run from its first entry on."""
    return Ledger(run_id).and_then(entries)


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


def _cosigned(ledger: Ledger, entry: Entry) -> None:
    told, known = entry.body, ledger.cosigned.get(entry.body["signoff"], {})
    ledger.cosigned[told["signoff"]] = {**known, told["keyid"]: told["bundle"]}


def _refused(ledger: Ledger, entry: Entry) -> None:
    ledger.refused[entry.body["signoff"]] = entry.body["person"]


def _spent(ledger: Ledger, entry: Entry, **changes: Any) -> None:  # noqa: ANN401 - fields of Spending
    key = (entry.body["signoff"], entry.body["seq"])
    ledger.spending[key] = replace(ledger.spending.get(key, Spending()), **changes)


def _intent(ledger: Ledger, entry: Entry) -> None:
    attempt, call = entry.body["attempt"], entry.body["call"]
    through = entry.body.get("through", "")  # entries from before it was written speak of our own client
    _spent(ledger, entry, attempts=attempt, at=entry.at, call=call, through=through, open=True, reason="")
    ledger.intents.append(entry.at)


def _never(ledger: Ledger, entry: Entry) -> None:
    _spent(ledger, entry, open=False, reason=entry.body["reason"])


def _effect(ledger: Ledger, entry: Entry) -> None:
    _spent(ledger, entry, open=False, effect=entry.body)


def _concluded(ledger: Ledger, entry: Entry) -> None:
    _spent(ledger, entry, concluded=entry.body)


def _plan(ledger: Ledger, entry: Entry) -> None:
    _spent(ledger, entry, plan=entry.body)


def _alarm(ledger: Ledger, entry: Entry) -> None:
    ledger.alarms.append((entry.body["signoff"], Finding.model_validate(entry.body["finding"])))


def _review(ledger: Ledger, entry: Entry) -> None:
    ledger.review = entry.body


def _denied(ledger: Ledger, entry: Entry) -> None:
    told = {key: entry.body[key] for key in ("role", "tool", "name", "message")}
    ledger.denials.append((DenialRecord(at=entry.at, **told), entry.body["signoff"]))


def _stopped(ledger: Ledger, entry: Entry) -> None:
    ledger.stopped = Standstill(entry.at, entry.body["person"], entry.body["reason"])


def _told(_ledger: Ledger, _: Entry) -> None:
    """Words about the run, which decide nothing."""


def _lifted(ledger: Ledger, _: Entry) -> None:
    ledger.stopped = None


_READERS = {
    "opened": _opened,
    "deposited": _deposited,
    "superseded": _superseded,
    "confirmed": _confirmed,
    "cosigned": _cosigned,
    "refused": _refused,
    "intent": _intent,
    "never": _never,
    "effect": _effect,
    "concluded": _concluded,
    "plan": _plan,
    "alarm": _alarm,
    "review": _review,
    "denied": _denied,
    "stopped": _stopped,
    "lifted": _lifted,
    TOLD: _told,
}


def destination_text(grant: Grant, destination: Destination) -> str:
    """Where a grant goes, in one line for a person."""
    if grant.server == "github":
        where = destination.repository
        return f"{where.host}/{where.full_name}@{where.base_branch}" if where else "no repository"
    cluster = destination.cluster
    return f"{cluster.server} {', '.join(cluster.namespaces)}" if cluster else "no cluster"
