"""The journal's words on a sign-off and on a run, and the person's say. Reads the ledger; only `Desk`s write."""

from __future__ import annotations

from base64 import b64encode

from policies import trust
from policies.change import ChangeSet, Grant, Operation, Phase
from policies.finding import Finding
from policies.trust import Trust, moment
from tools.gate.ledger import Deposited, Ledger, Spending, State, destination_text
from tools.gate.room import Room
from tools.gate.stop import StoppedError, Switch
from tools.gate.words import (
    Confirmation,
    GrantState,
    Pending,
    PhaseRecord,
    RunRecord,
    RunRef,
    ShownChange,
    ShownFile,
    SignoffRef,
    SignoffState,
)
from tools.tool import Role, ToolRefusedError


def known(ledger: Ledger, signoff: str) -> Deposited:
    """The kept sign-off. Raises ToolRefusedError `unknown-signoff`."""
    if signoff not in ledger.deposited:
        message = f"no sign-off {signoff[:19]} was deposited in run {ledger.run_id}."
        raise ToolRefusedError(
            "unknown-signoff", message, "Have the notary sign and deposit the change first."
        )
    return ledger.deposited[signoff]


def grant_states(room: Room, ledger: Ledger, kept: Deposited) -> tuple[GrantState, ...]:
    """Every grant of a sign-off, in its order."""
    change = room.change(kept)
    return tuple(grant_state(ledger, kept, change, grant) for grant in change.grants)


def grant_state(ledger: Ledger, kept: Deposited, change: ChangeSet, grant: Grant) -> GrantState:
    """One grant of a sign-off."""
    spent = ledger.of(kept.signoff, grant.seq)
    state = spent.state(grant)
    return GrantState(
        seq=grant.seq,
        server=grant.server,
        verb=grant.verb,
        destination=destination_text(grant, change.destination),
        state=state,
        receipt=spent.facts or None,
        detail=_detail(spent, state),
    )


def _detail(spent: Spending, state: State) -> str:
    if state == "waiting":
        return "its workflow run has not ended; ask again"
    told = (spent.effect or {}).get("difference") or (spent.concluded or {}).get("detail") or spent.reason
    return str(told)


def signoff_state(room: Room, ledger: Ledger, signoff: str) -> SignoffState:
    """Where a sign-off stands. Raises ToolRefusedError, JournalFaultError."""
    kept = known(ledger, signoff)
    grants, trusted = grant_states(room, ledger, kept), trust.load(room.state_dir / "trust.json")
    unsigned = _unsigned_by(room, ledger, kept, trusted)
    return SignoffState(
        signoff=signoff,
        change_id=kept.change_id,
        phase=kept.phase,
        state=_state(room, ledger, kept, grants, unsigned, trusted),
        expires=kept.expires,
        grants=grants,
        unsigned_by=unsigned,
    )


def _unsigned_by(room: Room, ledger: Ledger, kept: Deposited, trusted: Trust) -> tuple[str, ...]:
    """The demanded roles besides the notary's that too few keys have filled; the decision point counts again at each call."""
    found = [trusted.find(keyid) for keyid in ledger.cosigned.get(kept.signoff, {})]
    return tuple(
        role
        for role in room.profile.signers
        if role != "security"
        and sum(key is not None and role in key.roles for key in found) < trusted.threshold(role)
    )


def _revoked(ledger: Ledger, kept: Deposited, trusted: Trust) -> bool:
    keys = (trusted.find(keyid) for keyid in (kept.signer, *ledger.cosigned.get(kept.signoff, {})))
    return (
        kept.signoff in ledger.superseded
        or kept.signoff in trusted.revoked
        or any(key is not None and key.revoked for key in keys)
    )


def _state(
    room: Room,
    ledger: Ledger,
    kept: Deposited,
    grants: tuple[GrantState, ...],
    unsigned: tuple[str, ...],
    trusted: Trust,
) -> str:
    if all(grant.state == "done" for grant in grants):
        return "spent"
    if kept.signoff in ledger.refused:
        return "refused_by_person"
    if _revoked(ledger, kept, trusted):
        return "revoked"
    if room.clock() >= moment(kept.expires):
        return "expired"
    if room.ask_person and kept.signoff not in ledger.confirmed:
        return "awaiting_person"
    return "awaiting_signature" if unsigned else "open"


def run_record(room: Room, role: Role, asked: RunRef) -> RunRecord:
    """What the journal says of a run; only the person may ask for another than this one."""
    if role is not Role.PERSON and asked.run_id != room.run_id:
        raise ToolRefusedError("other-run", f"{role} sees run {room.run_id} only.", "Ask for that one.")
    ledger = room.ledger(asked.run_id)
    phases = tuple(
        PhaseRecord(
            name=kept.phase,
            change_id=kept.change_id,
            signoff=signoff_state(room, ledger, kept.signoff),
            manifest_digest=kept.manifest,
            findings=_alarms(ledger, kept.signoff),
        )
        for kept in ledger.live()
    )
    return RunRecord(
        run_id=asked.run_id,
        status=_status(ledger, phases),
        waits_for=_lacking(phases) or _waits_for(ledger),
        phases=phases,
        denials=tuple(denial for denial, _ in ledger.denials),
        journal_head=ledger.head,
        checkpoint=(room.journal.checkpoint() or "") if role is Role.PERSON else "",
        stopped=_standstill(room, asked.run_id),
    )


def _standstill(room: Room, run_id: str) -> str:
    try:
        Switch(room.books, run_id).check()
    except StoppedError as stop:
        return f"{stop.message} {stop.advice}"
    return ""


def _alarms(ledger: Ledger, signoff: str) -> tuple[Finding, ...]:
    return tuple(finding for owner, finding in ledger.alarms if owner == signoff)


def _status(ledger: Ledger, phases: tuple[PhaseRecord, ...]) -> str:
    """In words of RunRecord. Applied means: every phase that the run opened or declared is signed and wholly done."""
    if not phases:
        return "nothing_signed"
    grants = [grant for phase in phases for grant in phase.signoff.grants]
    some_done = any(grant.state in {"done", "waiting", "diverged"} for grant in grants)
    wanted: set[Phase] = {
        phase for opened in ledger.opened.values() for phase in (opened.phase, *opened.phases)
    }
    last = {phase.name: phase.signoff for phase in phases}
    if set(last) == wanted and all(signoff.state == "spent" for signoff in last.values()):
        return "applied"
    if any(grant.state == "diverged" for grant in grants):
        return "failed"
    submits = [denial for denial, _ in ledger.denials if denial.tool == "submit"]
    if any(phase.signoff.state == "refused_by_person" for phase in phases):
        return "partial" if some_done else "refused"
    if any(grant.state in {"failed", "intent"} for grant in grants):
        return "partial" if some_done else "failed"
    if _lacking(phases):
        return "awaiting_signature"
    if some_done:
        return "awaiting_review" if _waits_for(ledger) else "partial"
    return "refused" if submits and submits[-1].name != "dry-run" else "signed"


def _lacking(phases: tuple[PhaseRecord, ...]) -> str:
    """Whose signature the sign-offs of a run still lack; empty when none does."""
    lacking = [phase for phase in phases if phase.signoff.state == "awaiting_signature"]
    return "; ".join(
        f"{phase.name} needs a signature as {', '.join(phase.signoff.unsigned_by)} on {phase.signoff.signoff}"
        for phase in lacking
    )


def _waits_for(ledger: Ledger) -> str:
    """What the review that was last asked for still lacked; empty when nothing, or when nothing was asked."""
    asked = ledger.review
    return f"pull request {asked['number']}: {asked['why']}" if asked and asked["state"] == "waiting" else ""


def pending(room: Room, asked: RunRef) -> Pending:
    """The sign-offs of a run that wait for a person: for a word, or for a signature."""
    ledger = room.ledger(asked.run_id)
    states = [signoff_state(room, ledger, kept.signoff) for kept in ledger.live()]
    waiting = {"awaiting_person", "awaiting_signature"}
    return Pending(signoffs=tuple(state for state in states if state.state in waiting))


def shown(room: Room, asked: SignoffRef) -> ShownChange:
    """The whole of a kept change, from the gate's own copy. Raises ToolRefusedError, TargetError, JournalFaultError."""
    kept = known(room.ledger(), asked.signoff)
    change = room.change(kept)
    place, live = change.destination.repository, room.targets.repository
    base = live.tree(place.base_commit) if live and place else {}
    files = tuple(
        ShownFile(
            path=a.path,
            operation=a.operation,
            before=b64encode(base[a.path]) if a.path in base else None,
            after=None if a.operation is Operation.DELETE else b64encode(room.content.read(a.digest)),
        )
        for a in change.artifacts
    )
    return ShownChange(
        signoff=kept.signoff,
        phase=kept.phase,
        destination=change.destination,
        grants=change.grants,
        files=files,
        bundle=room.content.read(kept.bundle).decode(),
        manifest=b64encode(room.content.read(kept.manifest)),
    )


def answer(room: Room, given: Confirmation, *, yes: bool) -> SignoffState:
    """Record the person's word; the first one stands. Raises ToolRefusedError when nothing waits for it."""
    ledger = room.ledger()
    state = signoff_state(room, ledger, given.signoff)
    if state.state != "awaiting_person":
        message = f"sign-off {given.signoff[:19]} is {state.state} and waits for nobody."
        raise ToolRefusedError("nothing-waits", message, "`pending` lists what waits.")
    room.append("confirmed" if yes else "refused", {"signoff": given.signoff, "person": given.person})
    return signoff_state(room, room.ledger(), given.signoff)
