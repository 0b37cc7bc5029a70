"""A waiver: a signed, expiring exception for one rule at one place, by somebody who did not ask for the change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field
from securesystemslib.signer import CryptoSigner

from policies.change import Digest, RepoPath, Word
from policies.envelope import Statement, Subject, seal, unseal
from policies.finding import Finding
from policies.profile import Profile, matches
from policies.refusal import SignoffError
from policies.strict import parse
from policies.trust import Instant, Trust, moment

WAIVER_TYPE: Final = "https://countersign.dev/waiver/v1"


class WaiverExpiredError(SignoffError):
    """The exception is over."""

    advice = "Mend the finding, or have a waiver key sign a new exception."


class NeverWaivedError(SignoffError):
    """The profile lets nobody waive this rule."""

    advice = "Mend the finding; no exception counts for this rule."


class WaiverRoleError(SignoffError):
    """Signed by a key that may not waive here, such as the requester's own."""

    advice = "Ask somebody else who holds a `waiver` key."


class Waiver(Word):
    """What is excused, where, why, by whom and until when. `resource` is exact, or ends in `*`."""

    rule: Annotated[str, Field(min_length=3, max_length=200)]
    path: RepoPath
    resource: Annotated[str, Field(min_length=1, max_length=400)]
    reason: Annotated[str, Field(min_length=10, max_length=2000)]
    owner: Annotated[str, Field(min_length=1, max_length=200)]
    expires: Instant
    rehearsal: bool

    def excuses(self, finding: Finding) -> bool:
        """Whether it speaks of this very finding. The rule and the path have no wildcard."""
        return (self.rule, self.path) == (finding.rule, finding.path) and matches(
            (self.resource,), finding.resource
        )


class _WaiverStatement(Statement):
    predicateType: Literal["https://countersign.dev/waiver/v1"] = WAIVER_TYPE  # noqa: N815 - in-toto's own spelling
    predicate: Waiver


@dataclass(frozen=True)
class SignedWaiver:
    """A verified waiver and its name, sha256 of the payload."""

    waiver: Waiver
    digest: Digest


def sign(waiver: Waiver, signer: CryptoSigner) -> str:
    """The waiver as a bundle, canonical JSON text."""
    subject = (Subject.of("waiver", waiver.sha256()),)
    return seal(_WaiverStatement(subject=subject, predicate=waiver), signer).decode()


def verify(bundle: str, *, trust: Trust, now: datetime, profile: Profile, requester: str) -> SignedWaiver:
    """The waiver in `bundle`, or a SignoffError. `requester` is the key id of whoever asked for the change."""
    sealed = unseal(bundle.encode("utf-8", "surrogatepass"), trust)
    what = parse(_WaiverStatement, sealed.payload, "the waiver")
    waiver, key = what.predicate, sealed.key
    if (
        "waiver" not in key.roles
        or key.rehearsal != waiver.rehearsal
        or waiver.rehearsal != profile.rehearsal
    ):
        raise WaiverRoleError(f"key {key.keyid[:12]} may not waive under profile {profile.name}.")
    if key.keyid == requester:
        raise WaiverRoleError(f"key {key.keyid[:12]} asked for the change itself.")
    if not key.valid(now) or now >= moment(waiver.expires):
        raise WaiverExpiredError(f"the waiver of {waiver.rule} by {waiver.owner} ended at {waiver.expires}.")
    if matches(profile.never_waive, waiver.rule) or waiver.rule.startswith("scope/"):
        raise NeverWaivedError(f"{waiver.rule} is never waived under profile {profile.name}.")
    if what.subject != (Subject.of("waiver", waiver.sha256()),):
        raise WaiverRoleError("the waiver's subject is not the waiver.")
    return SignedWaiver(waiver, sealed.digest)


def split(
    findings: Iterable[Finding], waivers: Sequence[SignedWaiver], profile: Profile
) -> tuple[list[Finding], list[tuple[Finding, SignedWaiver]]]:
    """The findings that block under the profile, and those that a waiver excuses."""
    blocking: list[Finding] = []
    excused: list[tuple[Finding, SignedWaiver]] = []
    for finding in findings:
        if finding.severity.rank < profile.blocking.rank:
            continue
        waiver = next((one for one in waivers if one.waiver.excuses(finding)), None)
        if waiver is None:
            blocking.append(finding)
        else:
            excused.append((finding, waiver))
    return blocking, excused
