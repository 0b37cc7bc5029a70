"""One grant, once: admit -> intent -> look -> call -> look again -> effect. Enforces; `policies.gate` decides.

After any fault the target is read, never called again blindly. What cannot be told stays an intent, which the
next submit or the next start resolves by reading: done, or never happened and free to run once.
"""

from __future__ import annotations

from typing import NoReturn

from policies.change import Digest
from policies.gate import Facts, Permit
from policies.trust import moment
from tools.gate import states, workflow
from tools.gate.approval import PRECONDITION, Approvals
from tools.gate.case import Case, call_of, case_of, kept_call, without_bytes
from tools.gate.journal import AlreadySpentError
from tools.gate.limits import refuse_effect
from tools.gate.plan import PlanOfRecord
from tools.gate.room import Room, issued_words
from tools.gate.stop import StoppedError
from tools.gate.words import GrantState, Submit
from tools.serve import refusal_of
from tools.tool import ToolRefusedError
from tools.verbs import Call, Receipt, TargetError, UnreachableError
from traces import names, spans

_STEP = 0.25
SETTLING = 5.0
"""Seconds after which a call that nobody answered counts as ended at the target, so that reading can tell."""


class Submission:
    """Does grants. `plan` judges plans of record."""

    def __init__(self, room: Room, plan: PlanOfRecord) -> None:
        self._room, self._plan, self._approvals = room, plan, Approvals(room)

    def submit(self, asked: Submit) -> GrantState:
        """Do one grant; a done one answers with its receipt. Raises ToolRefusedError, GateError, TargetError."""
        about: dict[str, spans.Attribute] = {names.SIGNOFF_DIGEST: asked.signoff, names.GRANT_SEQ: asked.seq}
        with spans.span(names.GATE_SUBMIT, about) as span:
            if self._room.dry_run:
                raise ToolRefusedError("dry-run", "this run submits nothing.", "Run again without --dry-run.")
            self._room.switch.check()
            case = case_of(self._room, self._room.ledger(), asked.signoff, asked.seq)
            span.set_attribute(names.GRANT_NAME, case.grant.name)
            span.set_attribute(names.CHANGE_ID, case.change.change_id)
            with self._room.alone(case.target):
                state = self._submitted(case)
            span.set_attribute(names.VERDICT, state.state)
            return state

    def look(self, signoff: Digest) -> None:
        """Learn how dispatched runs of a sign-off ended; it changes nothing at a target. Raises TargetError."""
        ledger = self._room.ledger()
        for grant in self._room.change(states.known(ledger, signoff)).grants:
            if ledger.of(signoff, grant.seq).state(grant) == "waiting":
                workflow.conclude(case_of(self._room, ledger, signoff, grant.seq))

    def reconcile(self) -> None:
        """At the start: read what became of every open intent of this run. Raises TargetError."""
        ledger = self._room.ledger()
        for (signoff, seq), spent in list(ledger.spending.items()):
            if spent.open:
                case = case_of(self._room, ledger, signoff, seq)
                with self._room.alone(case.target):
                    self._resolve(case, heed=False)

    def _submitted(self, case: Case) -> GrantState:
        _refuse_after_difference(case)
        self._resolve(case)
        if case.state == "unspent":
            if workflow.under_way(case):
                return _waiting(case, "the workflow run of an earlier grant has not ended; ask again")
            approval = self._approvals.of(case)
            if approval is not None and approval.state == "void":
                message = f"the pull request cannot be released: {approval.why}."
                raise ToolRefusedError("review-void", message, "Run again: a new change is reviewed anew.")
            if approval is not None and approval.state == "waiting" and not case.expired:
                return _waiting(case, approval.why)
            self._do(case, approved=approval is not None and approval.state == "approved")
        if case.state == "waiting":
            workflow.conclude(case)
        return case.answer()

    def _do(self, case: Case, *, approved: bool) -> None:
        case.verb()
        refuse_effect(self._room.profile.limits, self._room.ledger(), self._room.clock())
        permit = self._admitted(case, approved=approved)
        call = call_of(permit)
        attempt = case.spending.attempts + 1
        body = {
            "grant": permit.grant.name,
            "effect_key": permit.effect_key,
            "arguments_digest": permit.grant.arguments_digest(),
            "call": without_bytes(call),
            "through": self._room.targets.through.get(permit.grant.name, ""),
        }
        self._room.switch.check()
        try:
            self._room.journal.spend(self._room.run_id, permit.signoff, permit.grant.seq, attempt, body)
        except AlreadySpentError as fault:
            raise ToolRefusedError("spent", f"{fault}.", "Read its receipt with `signoff_state`.") from fault
        found = _before(case, call, attempt)
        if found is not None:
            case.wrote_effect(found, attempt, found=True)
        else:
            _perform(case, call, attempt)

    def _admitted(self, case: Case, *, approved: bool) -> Permit:
        about: dict[str, spans.Attribute] = {
            names.SIGNOFF_DIGEST: case.kept.signoff,
            names.GRANT_SEQ: case.grant.seq,
        }
        with spans.span(names.GATE_ADMIT, about):
            cosigned = self._room.ledger().cosigned.get(case.kept.signoff, {})
            evidence = self._room.evidence(case.kept, cosigned.values())
            return self._room.gate().admit(case.grant.seq, evidence, self._facts(case, approved=approved))

    def _facts(self, case: Case, *, approved: bool) -> Facts:
        """What the gate itself knows now; judging a plan may add facts to earlier receipts, so that comes first."""
        room, signoff, cluster = self._room, case.kept.signoff, case.change.destination.cluster
        satisfied = workflow.satisfied(case, self._plan) | ({PRECONDITION} if approved else set())
        live = room.targets.resolve(
            namespaces=cluster.namespaces if cluster else (), cluster=cluster is not None
        )
        ledger = room.ledger()
        grants = [(grant, ledger.of(signoff, grant.seq)) for grant in case.change.grants]
        return Facts(
            now=room.clock(),
            issued=issued_words(ledger.opened[case.change.change_id]),
            destination=live,
            spent=frozenset(grant.seq for grant, spent in grants if spent.open or spent.effect),
            receipts={grant.seq: spent.facts for grant, spent in grants if spent.state(grant) == "done"},
            satisfied=satisfied,
            revoked=ledger.superseded | {s: f"refused by {who}" for s, who in ledger.refused.items()},
            confirmed=signoff in ledger.confirmed,
            expected_commit=ledger.expected_commit,
        )

    def _wait(self, seconds: float, *, heed: bool) -> None:
        """In short steps, so that one who submits hears of a stop at once. Raises StoppedError."""
        while seconds > 0:
            if heed:
                self._room.switch.check()
            self._room.sleep(min(seconds, _STEP))
            seconds -= _STEP

    def _resolve(self, case: Case, *, heed: bool = True) -> None:
        """Close an open intent by reading the target. Raises TargetError when it cannot be read; StoppedError only with `heed`."""
        spent = case.spending
        if not spent.open:
            return
        left = SETTLING - (self._room.clock() - moment(spent.at)).total_seconds()
        if left > 0:
            # a request may still be under way at the target; a clock that went back must not make this long
            self._wait(min(left, SETTLING), heed=heed)
        receipt = case.read(kept_call(case))
        if receipt is None:
            case.wrote_never(spent.attempts, "read after an interruption: it never happened")
        else:
            case.wrote_effect(receipt, spent.attempts, found=False)


def _waiting(case: Case, detail: str) -> GrantState:
    return case.answer().model_copy(update={"state": "waiting", "detail": detail})


def _before(case: Case, call: Call, attempt: int) -> Receipt | None:
    """Look before the call. When the target cannot be read, nothing was called and the grant stays free."""
    try:
        return case.read(call)
    except TargetError as fault:
        case.wrote_never(attempt, f"the target could not be read before the call: {fault}")
        raise


def _perform(case: Case, call: Call, attempt: int) -> None:
    try:
        case.room.switch.check()
        case.verb().perform(call)
    except StoppedError as stop:
        _after_stop(case, call, attempt, stop)
    except TargetError as fault:
        _after_fault(case, call, attempt, fault)
        return
    receipt = case.read(call)
    if receipt is None:
        message = f"{case.grant.name} was accepted and cannot be read back."
        raise ToolRefusedError(
            "effect-unknown", message, "Submit again: the gate looks first and never calls twice."
        )
    case.wrote_effect(receipt, attempt, found=False)


def _after_stop(case: Case, call: Call, attempt: int, stop: StoppedError) -> NoReturn:
    """Stopped before the call or between two requests of it, all of which were answered: reading tells at once."""
    receipt = case.read(call)
    if receipt is not None:
        case.wrote_effect(receipt, attempt, found=False)
    else:
        case.wrote_never(attempt, f"stopped before it was done: {stop.message}")
    raise stop


def _after_fault(case: Case, call: Call, attempt: int, fault: TargetError) -> None:
    """The call failed, or only its answer: reading tells. A fault of the reading itself leaves the intent open."""
    receipt = case.read(call)
    if receipt is not None:
        case.wrote_effect(receipt, attempt, found=False)
    elif isinstance(fault, UnreachableError):
        message = f"{case.grant.name} got no answer: {fault}."
        advice = "Submit again: the gate looks first and calls only when it never happened."
        raise ToolRefusedError("effect-unknown", message, advice) from fault
    else:
        refusal = refusal_of(fault)
        case.wrote_never(attempt, str(refusal))
        raise refusal from fault


def _refuse_after_difference(case: Case) -> None:
    """One difference ends the sign-off."""
    ledger = case.room.ledger()
    for grant in case.change.grants:
        spent = ledger.of(case.kept.signoff, grant.seq)
        if spent.effect and spent.state(grant) == "diverged":
            difference = spent.effect["difference"]
            message = f"grant {grant.seq} was read back as something else than was signed: {difference}."
            advice = "Nothing more of this sign-off is submitted; look at the target, then run again."
            raise ToolRefusedError("diverged", message, advice)
