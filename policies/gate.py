"""Whether one call may happen: bytes and facts in, a Permit or a named GateError out. Decides, touches nothing.

The rules, in this order; each can only say no:

1. the sign-off verifies (policies/signoff.py, its seven steps) with every role that the profile demands;
2. rehearsals count on rehearsal targets, and nothing else counts there;
3. it was signed under this profile, for a change that this gate issued, for no longer than the profile allows, and
   its requester is the person whose key signed the goal of this run (policies/request.py);
4. the destination is the one that the gate itself resolved from the live target;
5. subjects == manifest == bytes, an exact set, and the predicate repeats the manifest's grants;
6. the grant exists, is unspent, and every grant before it is done; its preconditions are met;
7. the call is inside the profile's scope and says what its verb must say (policies/calls.py);
8. the base has not moved, where the verb would not apply to the signed base;
9. references in the arguments resolve to signed bytes and earlier receipts, and to nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, cast

from pydantic import JsonValue

from policies import request
from policies.calls import Case, artifacts_named, fault
from policies.change import (
    ChangeSet,
    Content,
    Destination,
    Digest,
    Grant,
    Operation,
    RepositoryTarget,
    canonical,
    digest_of,
)
from policies.denials import (
    BaseMovedError,
    CallMismatchError,
    ConfirmationMissingError,
    DestinationMismatchError,
    NotGrantedError,
    NotIssuedError,
    OutOfOrderError,
    OutOfScopeError,
    PreconditionError,
    ProfileMismatchError,
    RehearsalMismatchError,
    RequesterMismatchError,
    SpentError,
    UnresolvedError,
)
from policies.evidence import Evidence, Facts, Issued
from policies.profile import ApproverRole, Profile, scope_findings
from policies.refusal import GateError
from policies.request import SignedRequest
from policies.signoff import Predicate, Signoff, WrongRoleError, in_force
from policies.strict import decode
from policies.trust import Instant, KeyId, Trust, moment

__all__ = ["Evidence", "Facts", "Gate", "GateError", "Issued", "Permit"]
_SEAL = object()


@dataclass(frozen=True)
class Permit:
    """The right to make one call, once. Only Gate.admit makes one; there is no other way to hold it."""

    signoff: Digest
    change_id: str
    grant: Grant
    destination: Destination
    signed: Instant
    """Since when the sign-off counts."""
    content: Content
    """The bytes that the arguments refer to, by digest."""
    _arguments: bytes
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("a Permit comes from Gate.admit")

    def __reduce__(self) -> str:
        raise TypeError("a Permit does not travel")

    @property
    def arguments(self) -> dict[str, JsonValue]:
        """The resolved arguments, a fresh copy at each reading. `{"path", "digest"}` stands for bytes in `content`."""
        return cast("dict[str, JsonValue]", decode(self._arguments, "the arguments"))

    @property
    def effect_key(self) -> str:
        """What to look for at the target."""
        return self.grant.effect_key


@dataclass(frozen=True)
class Gate:
    """The decision point of one run."""

    trust: Trust
    profile: Profile
    rehearsal: bool
    """Whether the targets behind this gate are the sandbox."""
    ask_person: bool
    """Whether each sign-off waits for a person's word."""
    request: str | None
    """The bundle in which a person asked for this run; without one there is nothing to admit."""

    def requested(self, *, run_id: str, goal_digest: str, now: datetime) -> SignedRequest:
        """The person's request for this very run and goal. Raises GateError."""
        asked = request.verify(
            self.request, trust=self.trust, now=now, profile=self.profile.name, rehearsal=self.rehearsal
        )
        asked.covers(run_id=run_id, goal_digest=goal_digest)
        return asked

    def check(self, evidence: Evidence, facts: Facts) -> tuple[Signoff, ChangeSet]:
        """Rules 1 to 5, as for a deposit, where only the notary has signed yet. Raises GateError."""
        return self._check(evidence, facts, ("security",))

    def cosign(self, bundle: str, evidence: Evidence, facts: Facts) -> KeyId:
        """The key of one more approver whose bundle is over the very sign-off that was deposited. Raises GateError."""
        if "person" not in self.profile.signers:
            raise ProfileMismatchError(f"profile {self.profile.name} demands no person's signature.")
        notary, _ = self._check(evidence, facts, ("security",))
        both, _ = self._check(replace(evidence, cosigned=(bundle,)), facts, ("security",))
        people = set(both.signers.get("person", ())) - set(notary.signers["security"])
        key = self.trust.find(next(iter(people), ""))
        if key is None or not key.valid(facts.now):
            raise WrongRoleError("the second signature is not one of a person's key that is valid now.")
        return key.keyid

    def admit(self, seq: int, evidence: Evidence, facts: Facts) -> Permit:
        """The right to make call `seq` now. Raises GateError."""
        signoff, change = self._check(evidence, facts, self.profile.signers)
        if self.ask_person and not facts.confirmed:
            raise ConfirmationMissingError(f"sign-off {signoff.digest[7:19]} waits for a person.")
        grant = _grant(seq, change, facts)
        self._in_scope(grant, change, evidence, facts)
        _base_still_fits(grant, change, facts)
        present = {a.path: a.digest for a in change.artifacts if a.operation is not Operation.DELETE}
        arguments = cast("JsonValue", resolved(dict(grant.arguments), seq, present, facts.receipts))
        wanted = {present[path] for path in artifacts_named(grant.arguments)}
        return Permit(
            signoff=signoff.digest,
            change_id=change.change_id,
            grant=grant,
            destination=change.destination,
            signed=signoff.predicate.not_before,
            content=MappingProxyType({digest: evidence.content[digest] for digest in wanted}),
            _arguments=canonical(arguments),
            seal=_SEAL,
        )

    def _check(
        self, evidence: Evidence, facts: Facts, roles: Sequence[ApproverRole]
    ) -> tuple[Signoff, ChangeSet]:
        signoff = evidence.signoff(self.trust, roles)
        in_force(signoff, trust=self.trust, now=facts.now, revoked=facts.revoked)
        said = signoff.predicate
        if said.rehearsal != self.rehearsal or self.profile.rehearsal != self.rehearsal:
            kinds = [
                "rehearsal" if flag else "real"
                for flag in (said.rehearsal, self.rehearsal, self.profile.rehearsal)
            ]
            raise RehearsalMismatchError(f"sign-off: {kinds[0]}, target: {kinds[1]}, profile: {kinds[2]}.")
        self._under_this_profile(said)
        _issued(said, facts.issued)
        asked = self.requested(run_id=said.run_id, goal_digest=said.goal_digest, now=facts.now)
        if said.requester != asked.requester:
            raise RequesterMismatchError(
                f"signed off for key {said.requester[:12]}, asked by {asked.requester[:12]}."
            )
        _destination(said.destination, facts.destination)
        return signoff, evidence.change(signoff)

    def _under_this_profile(self, said: Predicate) -> None:
        if (said.profile, said.profile_digest) != (self.profile.name, self.profile.sha256()):
            raise ProfileMismatchError(
                f"signed under profile {said.profile}, which is not {self.profile.name} as it is now."
            )
        if said.approvers != self.profile.signers:
            raise ProfileMismatchError("the approvers are not those that the profile demands.")
        window = moment(said.expires) - moment(said.not_before)
        if window > timedelta(minutes=self.profile.signoff_minutes):
            raise ProfileMismatchError(
                f"signed for {window}, longer than {self.profile.signoff_minutes} minutes."
            )

    def _in_scope(self, grant: Grant, change: ChangeSet, evidence: Evidence, facts: Facts) -> None:
        if outside := scope_findings(change, self.profile):
            raise OutOfScopeError("; ".join(finding.message for finding in outside[:5]) + ".")
        case = Case(grant, change, evidence.content, self.profile, facts.expected_commit)
        if (wrong := fault(case)) is not None:
            raise CallMismatchError(f"{grant.name}: {wrong}.")


def _issued(said: Predicate, issued: Issued) -> None:
    for name in ("change_id", "run_id", "phase", "profile", "goal_digest"):
        if getattr(said, name) != getattr(issued, name):
            raise NotIssuedError(f"{name} is not what this gate issued.")


def _destination(signed: Destination, live: Destination) -> None:
    """Compare what identifies a target. The base commit may move; rule 8 says when that matters."""
    if signed.repository:
        now = live.repository
        if now is None or _identity(now) != _identity(signed.repository):
            raise DestinationMismatchError(
                f"signed for repository {signed.repository.full_name}, live is another or none."
            )
    if signed.cluster and (live.cluster is None or live.cluster.uid != signed.cluster.uid):
        raise DestinationMismatchError(f"signed for cluster {signed.cluster.uid}, live is another or none.")
    if not signed.repository and not signed.cluster:
        raise DestinationMismatchError("the sign-off names no destination.")


def _identity(target: RepositoryTarget) -> dict[str, Any]:
    return target.model_dump(exclude={"base_commit"})


def _grant(seq: int, change: ChangeSet, facts: Facts) -> Grant:
    grant = next((grant for grant in change.grants if grant.seq == seq), None)
    if grant is None:
        raise NotGrantedError(f"there is no grant {seq}; the last is {len(change.grants)}.")
    if seq in facts.spent or seq in facts.receipts:
        raise SpentError(f"grant {seq} is spent.")
    if behind := [earlier for earlier in range(1, seq) if earlier not in facts.receipts]:
        raise OutOfOrderError(f"grant {seq} comes after grant {behind[0]}, which is not done.")
    if unmet := set(grant.preconditions) - facts.satisfied - {"previous_done"}:
        raise PreconditionError(f"grant {seq} waits for {', '.join(sorted(unmet))}.")
    return grant


def _base_still_fits(grant: Grant, change: ChangeSet, facts: Facts) -> None:
    """Only a verb that moves the base itself needs it where it was signed; a branch at the signed base is as good as before."""
    signed, live = change.destination.repository, facts.destination.repository
    if grant.name == "github.advance_base" and signed and live and live.base_commit != signed.base_commit:
        raise BaseMovedError(
            f"{signed.base_branch} is at {live.base_commit[:12]}, signed was {signed.base_commit[:12]}."
        )


def resolved(
    value: object, seq: int, present: Mapping[str, Digest], receipts: Mapping[int, Mapping[str, Any]]
) -> object:
    """Arguments with their references replaced by signed bytes (`path`, `digest`) and facts of earlier receipts.

    Raises UnresolvedError.
    """
    if isinstance(value, list | tuple):
        return [resolved(inner, seq, present, receipts) for inner in value]
    if not isinstance(value, Mapping):
        return value
    if not any(str(key).startswith("$") for key in value):
        return {key: resolved(inner, seq, present, receipts) for key, inner in value.items()}
    if set(value) == {"$artifact"} and isinstance(path := value["$artifact"], str) and path in present:
        return {"path": path, "digest": present[path]}
    if (
        set(value) == {"$receipt"}
        and isinstance(ref := value["$receipt"], Mapping)
        and set(ref) == {"seq", "fact"}
    ):
        known = receipts.get(ref["seq"], {}) if isinstance(ref["seq"], int) and ref["seq"] < seq else {}
        if ref["fact"] in known:
            return known[ref["fact"]]
    raise UnresolvedError(
        f"grant {seq} refers to {digest_of(canonical(dict(value)))[:19]}, which is nothing it may refer to."
    )
