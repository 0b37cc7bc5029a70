"""The sign-off: who approved exactly which bytes, for exactly which destination and calls, and until when.

Verification is bytes in, a frozen Signoff out, one clock, and these steps in this order; each can only say no:

1. strict decode of the bundle: one canonical JSON document of known shape and size;
2. the signature, by an unrevoked key of the trust file, over the payload; then the payload's type;
3. strict decode of the payload; statement type, predicate type and decision are literals;
4. the key may sign as `security` at signing time, and its rehearsal flag is the sign-off's;
5. every required role has signed the very same payload, each with a key that is not the requester's;
6. the time window contains now;
7. neither the trust file nor the caller knows it as revoked or superseded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field
from securesystemslib.signer import CryptoSigner

from policies.change import MANIFEST_NAME, ChangeId, ChangeSet, Destination, Digest, Phase, Word, digest_of
from policies.envelope import STATEMENT_TYPE, Sealed, Statement, Subject, seal, unseal
from policies.finding import Severity
from policies.profile import ApproverRole
from policies.refusal import SignoffError
from policies.strict import decode, shaped
from policies.trust import SKEW, Instant, KeyId, Trust, moment

SIGNOFF_TYPE: Final = "https://countersign.dev/signoff/v1"


class StatementTypeError(SignoffError):
    """A well-signed statement that is not an approving sign-off."""

    advice = "Ask the notary for a sign-off; no other statement unlocks a call."


class WrongRoleError(SignoffError):
    """The key is trusted, but not to sign this."""

    advice = "Have the notary sign with a key of the right role; a rehearsal key counts only in the sandbox."


class RequesterApprovesError(SignoffError):
    """Whoever asks for a change does not approve it."""

    advice = "Ask somebody else who holds a `person` key to run `countersign sign RUN`."


class RoleMissingError(SignoffError):
    """A role that the profile demands has not signed."""

    advice = "Ask the missing signer to run `countersign sign RUN`."


class NotYetValidError(SignoffError):
    """The time window opens later."""

    advice = "Compare the clocks of notary and gate; they may differ by 30 seconds."


class ExpiredError(SignoffError):
    """The time window is over."""

    advice = "Run again: the change is judged on the base of today and signed anew."


class RevokedError(SignoffError):
    """Somebody took the sign-off back, or a later one took its place."""

    advice = "Use the later sign-off, or run again."


class GrantLine(Word):
    """One grant as the predicate repeats it for readers without the manifest."""

    seq: int
    name: str
    arguments_digest: Digest
    effect_key: str
    preconditions: tuple[str, ...]


class FindingsSummary(Word):
    """What the notary found. Nothing blocking is ever signed, so only the rest is counted."""

    counts: dict[Severity, Annotated[int, Field(ge=0)]]
    digest: Digest = Field(description="sha256 of the canonical list of all findings, sorted")


class WaivedFinding(Word):
    """A finding that a signed waiver excused."""

    rule: str
    path: str
    resource: str
    waiver: Digest
    owner: str


class Predicate(Word):
    """What was approved, by whom, for whom, where, until when, and on what evidence."""

    phase: Phase
    change_id: ChangeId
    run_id: str
    decision: Literal["approve"]
    nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    not_before: Instant
    expires: Instant
    requester: KeyId = Field(description="the person's key that signed the goal of this run")
    approvers: tuple[ApproverRole, ...] = Field(
        min_length=1, description="roles whose signatures the profile demands"
    )
    destination: Destination
    grants: tuple[GrantLine, ...] = Field(min_length=1)
    isolation: str
    rehearsal: bool
    profile: str
    profile_digest: Digest
    policy_digest: Digest
    scanners: tuple[str, ...] = Field(min_length=1)
    findings: FindingsSummary
    waivers: tuple[WaivedFinding, ...]
    transcript_digest: Digest
    tree_digest: Digest
    goal_digest: Digest
    trace_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class SignoffStatement(Statement):
    """In-toto Statement v1 over a change: the manifest is the first subject, then every artifact."""

    predicateType: Literal["https://countersign.dev/signoff/v1"] = SIGNOFF_TYPE  # noqa: N815 - in-toto's own spelling
    predicate: Predicate


@dataclass(frozen=True)
class Signoff:
    """A verified sign-off. `digest` is its name everywhere: sha256 of the DSSE payload."""

    digest: str
    subjects: tuple[Subject, ...]
    predicate: Predicate
    signers: Mapping[str, tuple[KeyId, ...]]
    """Role -> the distinct keys that signed as it."""


def subjects_of(change: ChangeSet, manifest: bytes | None = None) -> tuple[Subject, ...]:
    """The exact subjects of a change's sign-off. `manifest` is its canonical form, when that is at hand."""
    first = Subject.of(MANIFEST_NAME, change.sha256() if manifest is None else digest_of(manifest))
    return (first, *(Subject.of(artifact.path, artifact.digest) for artifact in change.artifacts))


def grant_lines(change: ChangeSet) -> tuple[GrantLine, ...]:
    """The grants of a manifest as the predicate repeats them."""
    return tuple(
        GrantLine(
            seq=grant.seq,
            name=grant.name,
            arguments_digest=grant.arguments_digest(),
            effect_key=grant.effect_key,
            preconditions=grant.preconditions,
        )
        for grant in change.grants
    )


def statement(change: ChangeSet, predicate: Predicate) -> SignoffStatement:
    """What the notary signs; the predicate must speak of this very change (ValueError)."""
    same = (predicate.change_id, predicate.run_id, predicate.phase, predicate.goal_digest) == (
        change.change_id,
        change.run_id,
        change.phase,
        change.goal_digest,
    )
    if not same or predicate.grants != grant_lines(change) or predicate.destination != change.destination:
        raise ValueError(f"the predicate does not describe {change.change_id}")
    return SignoffStatement(subject=subjects_of(change), predicate=predicate)


def sign(what: SignoffStatement, signer: CryptoSigner) -> str:
    """The Sigstore bundle, canonical JSON text. A second signer signs the same statement into a second bundle."""
    return seal(what, signer).decode()


def verify(
    bundle: str,
    *,
    trust: Trust,
    now: datetime,
    required_roles: Sequence[ApproverRole] | None,
    cosigned: Sequence[str] = (),
    revoked: Mapping[str, str] | None = None,
) -> Signoff:
    """The sign-off in `bundle`, or a SignoffError. `cosigned`: bundles of other signers over the same payload.

    `required_roles` None means those that the sign-off itself names; an empty list means no. `revoked` maps the
    digest of a sign-off that no longer counts to the reason.
    """
    found = read(bundle, trust=trust, required_roles=required_roles, cosigned=cosigned)
    in_force(found, trust=trust, now=now, revoked=revoked)
    return found


def in_force(
    found: Signoff, *, trust: Trust, now: datetime, revoked: Mapping[str, str] | None = None
) -> None:
    """Steps 6 and 7, which the moment decides. Raises a SignoffError."""
    if now < moment(found.predicate.not_before) - SKEW:
        raise NotYetValidError(
            f"valid from {found.predicate.not_before}, and it is {now:%Y-%m-%dT%H:%M:%SZ}."
        )
    if now >= moment(found.predicate.expires):
        raise ExpiredError(f"valid until {found.predicate.expires}, and it is {now:%Y-%m-%dT%H:%M:%SZ}.")
    if found.digest in trust.revoked:
        raise RevokedError(f"sign-off {found.digest[7:19]} is revoked in the trust file.")
    if revoked and found.digest in revoked:
        raise RevokedError(f"sign-off {found.digest[7:19]}: {revoked[found.digest]}.")


def read(
    bundle: str, *, trust: Trust, required_roles: Sequence[ApproverRole] | None, cosigned: Sequence[str] = ()
) -> Signoff:
    """Steps 1 to 5, for whoever asks later whether it was well signed then. Raises a SignoffError."""
    sealed = [unseal(text.encode("utf-8", "surrogatepass"), trust) for text in (bundle, *cosigned)]
    first = sealed[0]
    what = _statement_of(first.payload)
    for one in sealed:
        _may_sign(one, first, what.predicate)
    if "security" not in first.key.roles:
        raise WrongRoleError(
            f"key {first.key.keyid[:12]} may sign as {', '.join(first.key.roles)}, not as security."
        )
    signers = _signers(sealed)
    _require(what.predicate.approvers if required_roles is None else required_roles, signers, trust)
    return Signoff(first.digest, what.subject, what.predicate, signers)


def _statement_of(payload: bytes) -> SignoffStatement:
    """Step 3. The three literals are asked for by name, so that the refusal says which one is wrong."""
    raw = decode(payload, "the payload")
    predicate = raw.get("predicate") if isinstance(raw, dict) else None
    decision = predicate.get("decision") if isinstance(predicate, dict) else None
    seen = (
        (raw.get("_type"), raw.get("predicateType"), decision)
        if isinstance(raw, dict)
        else (None, None, None)
    )
    for value, expected in zip(seen, (STATEMENT_TYPE, SIGNOFF_TYPE, "approve"), strict=True):
        if value != expected:
            raise StatementTypeError(
                f"the payload says {str(value)[:80]!r} where a sign-off says {expected!r}."
            )
    what = shaped(SignoffStatement, raw, payload, "the payload")
    if not _in_order(what.predicate):
        raise StatementTypeError("the time window ends before it begins, or names a day that does not exist.")
    return what


def _in_order(predicate: Predicate) -> bool:
    try:
        return moment(predicate.not_before) < moment(predicate.expires)
    except ValueError:
        return False


def _may_sign(one: Sealed, first: Sealed, predicate: Predicate) -> None:
    """Step 4 for one signature."""
    short = one.key.keyid[:12]
    if one.payload != first.payload:
        raise WrongRoleError(f"key {short} signed another payload than the notary.")
    if one.key.rehearsal != predicate.rehearsal:
        kinds = ("rehearsal", "real") if one.key.rehearsal else ("real", "rehearsal")
        raise WrongRoleError(f"key {short} is a {kinds[0]} key and the sign-off is a {kinds[1]} one.")
    if not one.key.valid(moment(predicate.not_before)):
        raise WrongRoleError(f"key {short} was not valid when it signed, at {predicate.not_before}.")
    if one.key.keyid == predicate.requester:
        raise RequesterApprovesError(f"key {short} asked for this change and cannot approve it.")


def _signers(sealed: Sequence[Sealed]) -> dict[str, tuple[KeyId, ...]]:
    found: dict[str, dict[KeyId, None]] = {}
    for one in sealed:
        for role in one.key.roles:
            found.setdefault(role, {})[one.key.keyid] = None
    return {role: tuple(keys) for role, keys in found.items()}


def _require(roles: Sequence[ApproverRole], signers: Mapping[str, tuple[KeyId, ...]], trust: Trust) -> None:
    """Step 5. One key fills one role: who may sign as two still counts once."""
    if not roles:
        raise RoleMissingError("no role is required to sign, and an empty policy is a no.")
    used: set[KeyId] = set()
    for role in dict.fromkeys(roles):
        free = [keyid for keyid in signers.get(role, ()) if keyid not in used]
        wanted = trust.threshold(role)
        if len(free) < wanted:
            raise RoleMissingError(f"{len(free)} of {wanted} signatures as {role}.")
        used.update(free)
