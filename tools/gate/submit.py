"""One grant, once: admit -> intent -> look -> call -> look again -> effect. Enforces; `policies.gate` decides.

After any fault the target is read, never called again blindly. What cannot be told stays an intent, which the
next submit or the next start resolves by reading: done, or never happened and free to run once.
"""

from __future__ import annotations

from dataclasses import dataclass

from policies.change import ChangeSet, Digest, Grant
from policies.finding import Finding, RuleClass, Severity
from policies.gate import Evidence, Facts, Permit
from policies.trust import moment
from tools.gate import states
from tools.gate.journal import AlreadySpentError
from tools.gate.ledger import DISPATCH, Deposited, Ledger, Spending, destination_text
from tools.gate.plan import PlanOfRecord
from tools.gate.room import Room, issued_words
from tools.gate.words import GrantState, Submit
from tools.serve import refusal_of
from tools.tool import ToolRefusedError
from tools.verbs import Call, Receipt, TargetError, UnreachableError, Verb
from traces import names, spans

SETTLING = 5.0
"""Seconds after which a call that nobody answered counts as ended at the target, so that reading can tell."""


@dataclass(frozen=True)
class Case:
    """One grant of one kept sign-off."""

    kept: Deposited
    change: ChangeSet
    grant: Grant

    @property
    def target(self) -> str:
        """The live system that the call goes to: what its lock is named after."""
        return destination_text(self.grant, self.change.destination)


class Submission:
    """Does grants. `plan` judges plans of record."""

    def __init__(self, room: Room, plan: PlanOfRecord) -> None:
        self._room, self._plan = room, plan

    def submit(self, asked: Submit) -> GrantState:
        """Do one grant; a done one answers with its receipt. Raises ToolRefusedError, GateError, TargetError."""
        about: dict[str, spans.Attribute] = {names.SIGNOFF_DIGEST: asked.signoff, names.GRANT_SEQ: asked.seq}
        with spans.span(names.GATE_SUBMIT, about) as span:
            if self._room.dry_run:
                raise ToolRefusedError("dry-run", "this run submits nothing.", "Run again without --dry-run.")
            case = self._case(asked)
            span.set_attribute(names.GRANT_NAME, case.grant.name)
            span.set_attribute(names.CHANGE_ID, case.change.change_id)
            with self._room.alone(case.target):
                state = self._submitted(case)
            span.set_attribute(names.VERDICT, state.state)
            return state

    def look(self, signoff: Digest) -> None:
        """Learn how dispatched runs of a sign-off ended; it changes nothing at a target. Raises TargetError."""
        ledger = self._room.ledger()
        change = self._room.change(states.known(ledger, signoff))
        for grant in change.grants:
            if ledger.of(signoff, grant.seq).state(grant) == "waiting":
                self._conclude(signoff, grant, ledger.of(signoff, grant.seq))

    def reconcile(self) -> None:
        """At the start: read what became of every open intent of this run. Raises TargetError."""
        ledger = self._room.ledger()
        for (signoff, seq), spent in list(ledger.spending.items()):
            if spent.open:
                case = self._case(Submit(signoff=signoff, seq=seq))
                with self._room.alone(case.target):
                    self._resolve(case, self._room.ledger().of(signoff, seq))

    def _case(self, asked: Submit) -> Case:
        kept = states.known(self._room.ledger(), asked.signoff)
        change = self._room.change(kept)
        grant = next((grant for grant in change.grants if grant.seq == asked.seq), None)
        if grant is None:
            message = f"the sign-off has grants 1 to {len(change.grants)}, no {asked.seq}."
            raise ToolRefusedError("not-granted", message, "`signoff_state` lists them.")
        return Case(kept, change, grant)

    def _submitted(self, case: Case) -> GrantState:
        signoff, seq = case.kept.signoff, case.grant.seq
        self._refuse_after_difference(case)
        spent = self._room.ledger().of(signoff, seq)
        if spent.open:
            self._resolve(case, spent)
        if self._state(case) == "unspent":
            if self._previous_runs(case):
                return self._answer(
                    case, "waiting", "the workflow run of an earlier grant has not ended; ask again"
                )
            self._do(case)
        if self._state(case) == "waiting":
            self._conclude(signoff, case.grant, self._room.ledger().of(signoff, seq))
        return self._answer(case)

    def _do(self, case: Case) -> None:
        room = self._room
        verb = room.targets.verb(case.grant.name)
        if verb is None:
            raise ToolRefusedError(
                "no-such-verb",
                f"this gate has no {case.grant.name}.",
                "Configure its target, then run again.",
            )
        ledger = room.ledger()
        evidence = room.evidence(case.kept)
        with spans.span(
            names.GATE_ADMIT, {names.SIGNOFF_DIGEST: case.kept.signoff, names.GRANT_SEQ: case.grant.seq}
        ):
            permit = room.gate().admit(case.grant.seq, evidence, self._facts(case, ledger))
        call = _call(permit)
        attempt = ledger.of(permit.signoff, permit.grant.seq).attempts + 1
        body = {
            "grant": permit.grant.name,
            "effect_key": permit.effect_key,
            "arguments_digest": permit.grant.arguments_digest(),
            "call": _kept_call(room, call),
        }
        try:
            room.journal.spend(room.run_id, permit.signoff, permit.grant.seq, attempt, body)
        except AlreadySpentError as fault:
            raise ToolRefusedError("spent", f"{fault}.", "Read its receipt with `signoff_state`.") from fault
        self._perform(case, verb, call, attempt)

    def _perform(self, case: Case, verb: Verb, call: Call, attempt: int) -> None:
        found = self._find_first(case, verb, call, attempt)
        if found is not None:
            self._effect(case, found, attempt, found_before=True)
            return
        try:
            verb.perform(call)
        except TargetError as fault:
            self._after_fault(case, verb, call, attempt, fault)
            return
        receipt = verb.find(call)
        if receipt is None:
            message = f"{case.grant.name} was accepted and cannot be read back."
            raise ToolRefusedError(
                "effect-unknown", message, "Submit again: the gate looks first and never calls twice."
            )
        self._effect(case, receipt, attempt, found_before=False)

    def _find_first(self, case: Case, verb: Verb, call: Call, attempt: int) -> Receipt | None:
        try:
            return verb.find(call)
        except TargetError as fault:
            self._never(case, attempt, f"the target could not be read before the call: {fault}")
            raise

    def _after_fault(self, case: Case, verb: Verb, call: Call, attempt: int, fault: TargetError) -> None:
        """The call failed, or only its answer: reading tells. A fault of the reading itself leaves the intent open."""
        receipt = verb.find(call)
        if receipt is not None:
            self._effect(case, receipt, attempt, found_before=False)
        elif isinstance(fault, UnreachableError):
            advice = "Submit again: the gate looks first and calls only when it never happened."
            raise ToolRefusedError(
                "effect-unknown", f"{case.grant.name} got no answer: {fault}.", advice
            ) from fault
        else:
            refusal = refusal_of(fault)
            self._never(case, attempt, str(refusal))
            raise refusal from fault

    def _resolve(self, case: Case, spent: Spending) -> None:
        """Close an open intent by reading the target. Raises TargetError when it cannot be read."""
        room = self._room
        left = SETTLING - (room.clock() - moment(spent.at)).total_seconds()
        if (
            left > 0
        ):  # a request may still be under way at the target; a clock that went back must not make this long
            room.sleep(min(left, SETTLING))
        call = _stored_call(room, spent.call, room.evidence(case.kept))
        verb = room.targets.verb(case.grant.name)
        if verb is None:
            raise ToolRefusedError(
                "no-such-verb",
                f"this gate has no {case.grant.name}.",
                "Configure its target, then run again.",
            )
        receipt = verb.find(call)
        if receipt is None:
            self._never(case, spent.attempts, "read after an interruption: it never happened")
        else:
            self._effect(case, receipt, spent.attempts, found_before=False)

    def _effect(self, case: Case, receipt: Receipt, attempt: int, *, found_before: bool) -> None:
        self._room.append(
            "effect",
            {
                "signoff": case.kept.signoff,
                "seq": case.grant.seq,
                "attempt": attempt,
                "grant": case.grant.name,
                "facts": dict(receipt.facts),
                "matches": receipt.matches,
                "difference": receipt.difference,
                "found": found_before,
            },
        )
        if not receipt.matches:
            self._alarm(case, receipt.difference)

    def _never(self, case: Case, attempt: int, reason: str) -> None:
        told = {
            "signoff": case.kept.signoff,
            "seq": case.grant.seq,
            "attempt": attempt,
            "reason": reason[:1000],
        }
        self._room.append("never", told)

    def _alarm(self, case: Case, difference: str) -> None:
        finding = Finding(
            rule="gate/diverged",
            rule_class=RuleClass.STATE,
            severity=Severity.CRITICAL,
            engine="countersign",
            path=f"grant {case.grant.seq}",
            resource=f"{case.grant.name} at {case.target}",
            message=f"What was read back differs from what was signed: {difference}",
            why="Somebody or something else changed the target, or it did not do what was asked.",
            remedy="Compare the target with the signed change by hand; nothing more of this sign-off is submitted.",
        )
        self._room.append("alarm", {"signoff": case.kept.signoff, "finding": finding.model_dump(mode="json")})

    def _refuse_after_difference(self, case: Case) -> None:
        ledger = self._room.ledger()
        for grant in case.change.grants:
            spent = ledger.of(case.kept.signoff, grant.seq)
            if spent.state(grant) == "diverged":
                message = f"grant {grant.seq} was read back as something else than was signed: {(spent.effect or {})['difference']}."
                raise ToolRefusedError(
                    "diverged",
                    message,
                    "Nothing more of this sign-off is submitted; look at the target, then run again.",
                )

    def _previous_runs(self, case: Case) -> bool:
        """Whether a workflow run of an earlier grant is still under way. One that failed is refused by name."""
        for grant in case.change.grants[: case.grant.seq - 1]:
            spent = self._room.ledger().of(case.kept.signoff, grant.seq)
            if spent.state(grant) == "waiting":
                self._conclude(case.kept.signoff, grant, spent)
            state = self._room.ledger().of(case.kept.signoff, grant.seq).state(grant)
            if state == "waiting":
                return True
            if state == "failed":
                message = f"the workflow run of grant {grant.seq} did not succeed."
                raise ToolRefusedError(
                    "workflow-failed", message, "Read its log, change what it complains of, and run again."
                )
        return False

    def _conclude(self, signoff: Digest, grant: Grant, spent: Spending) -> None:
        repository = self._room.targets.repository
        run_id = str(spent.facts.get("run_id", ""))
        if grant.name != DISPATCH or repository is None or not run_id.isdecimal():
            raise ToolRefusedError(
                "workflow-unknown",
                f"the receipt of grant {grant.seq} names no workflow run.",
                "Look at the repository's runs.",
            )
        outcome = repository.workflow_outcome(int(run_id))
        if not outcome.running:
            facts = {"succeeded": outcome.succeeded, "rehearsed": outcome.rehearsed}
            detail = "" if outcome.succeeded else f"the workflow run did not succeed: {outcome.url}"
            told = {
                "signoff": signoff,
                "seq": grant.seq,
                "succeeded": outcome.succeeded,
                "facts": facts,
                "detail": detail,
            }
            self._room.append("concluded", told)

    def _facts(self, case: Case, ledger: Ledger) -> Facts:
        room, signoff = self._room, case.kept.signoff
        cluster = case.change.destination.cluster
        live = room.targets.resolve(
            namespaces=cluster.namespaces if cluster else (), cluster=cluster is not None
        )
        done = {
            g.seq: ledger.of(signoff, g.seq).facts
            for g in case.change.grants
            if ledger.of(signoff, g.seq).state(g) == "done"
        }
        satisfied = self._satisfied(case, ledger)
        if "plan_of_record_clean" in satisfied:  # judging it added facts that later arguments may refer to
            done |= {seq: room.ledger().of(signoff, seq).facts for seq in done}
        return Facts(
            now=room.clock(),
            issued=issued_words(ledger.opened[case.change.change_id]),
            destination=live,
            spent=frozenset(
                g.seq
                for g in case.change.grants
                if ledger.of(signoff, g.seq).open or ledger.of(signoff, g.seq).effect
            ),
            receipts=done,
            satisfied=satisfied,
            revoked=ledger.superseded | {s: f"refused by {who}" for s, who in ledger.refused.items()},
            confirmed=signoff in ledger.confirmed,
            expected_commit=ledger.expected_commit,
        )

    def _satisfied(self, case: Case, ledger: Ledger) -> frozenset[str]:
        """The preconditions of this grant that the gate has seen met, beyond `previous_done`."""
        wanted = set(case.grant.preconditions)
        runs = [g for g in case.change.grants[: case.grant.seq - 1] if g.name == DISPATCH]
        met: set[str] = set()
        if not runs or ledger.of(case.kept.signoff, runs[-1].seq).state(runs[-1]) != "done":
            return frozenset()
        if "workflow_succeeded" in wanted:
            met.add("workflow_succeeded")
        if "plan_of_record_clean" in wanted and self._plan.clean(case.kept, runs[-1].seq, ledger):
            met.add("plan_of_record_clean")
        return frozenset(met)

    def _state(self, case: Case) -> str:
        return self._room.ledger().of(case.kept.signoff, case.grant.seq).state(case.grant)

    def _answer(self, case: Case, state: str = "", detail: str = "") -> GrantState:
        found = states.grant_states(self._room, self._room.ledger(), case.kept)[case.grant.seq - 1]
        return found.model_copy(update={"state": state, "detail": detail}) if state else found


def _call(permit: Permit) -> Call:
    return Call(
        change_id=permit.change_id,
        verb=permit.grant.name,
        destination=permit.destination,
        arguments=permit.arguments,
        effect_key=permit.effect_key,
        content=permit.content,
    )


def _kept_call(room: Room, call: Call) -> Digest:
    """Keep the call without its bytes, so that a later start can look for exactly its effect."""
    digest = room.content.keep(call.model_copy(update={"content": {}}).canonical())
    room.content.sync()
    return digest


def _stored_call(room: Room, digest: Digest, evidence: Evidence) -> Call:
    call = Call.model_validate_json(room.content.read(digest))
    return call.model_copy(update={"content": dict(evidence.content)})
