"""From a judged change to a sign-off: every condition of the signature, in order, then the signature."""

from __future__ import annotations

import secrets
from collections import Counter
from datetime import datetime, timedelta

from securesystemslib.signer import CryptoSigner

from policies import signoff
from policies.change import ChangeSet, canonical, digest_of
from policies.profile import Profile
from policies.review import Decision, Judgement, Verdict
from policies.signoff import FindingsSummary, Predicate, WaivedFinding
from policies.trust import KeyId, Trust, instant
from tools.notary.judging import Judged
from tools.notary.registry import SignedRecord
from tools.notary.words import Sign
from tools.tool import ToolRefusedError

MENDING = "Mend what blocks, have it judged again, then ask again."


def approved(verdict: Verdict, judgement: Judgement) -> None:
    """Security and the notary's own reading both say yes to this very change. Raises ToolRefusedError."""
    if verdict.decision is not Decision.APPROVE:
        raise ToolRefusedError(
            "not-approved",
            f"Security's verdict is {verdict.decision}.",
            "Only an approving verdict is signed.",
        )
    if verdict.change_digest != judgement.change_digest:
        raise ToolRefusedError(
            "other-change",
            "the verdict is on other bytes than the draft.",
            "Have Security review these bytes.",
        )
    if not judgement.clean:
        worst = "; ".join(f"{f.rule} at {f.path}" for f in judgement.blocking[:5])
        raise ToolRefusedError("not-clean", f"{len(judgement.blocking)} findings block: {worst}.", MENDING)


def may_sign(signer: CryptoSigner, trust: Trust, profile: Profile, *, rehearsal: bool, now: datetime) -> None:
    """This notary's key is the one that the gate will accept. Raises ToolRefusedError."""
    key = trust.find(signer.public_key.keyid)
    fits = key is not None and "security" in key.roles and key.rehearsal == rehearsal and key.valid(now)
    if not fits:
        message = f"key {signer.public_key.keyid[:12]} is not trusted to sign {'rehearsals' if rehearsal else 'for real targets'} as security."
        raise ToolRefusedError(
            "key-not-trusted", message, "Make a new one with `countersign keys rotate notary`."
        )
    if "security" not in profile.signers or profile.rehearsal != rehearsal:
        raise ToolRefusedError(
            "profile-refuses",
            f"profile {profile.name} asks for no signature of this notary.",
            "Use a profile that does.",
        )


def not_requester(signer: CryptoSigner, requester: KeyId) -> None:
    """Whoever asks does not approve. Raises ToolRefusedError."""
    if signer.public_key.keyid == requester:
        raise ToolRefusedError(
            "requester-signs", "the notary's key asked for this change.", "Sign goals with a person's key."
        )


def predicate(
    change: ChangeSet,
    judged: Judged,
    asked: Sign,
    profile: Profile,
    *,
    now: datetime,
    isolation: str,
    rehearsal: bool,
    requester: KeyId,
) -> Predicate:
    """Everything that the signature says, with a fresh nonce."""
    judgement = judged.judgement
    return Predicate(
        phase=change.phase,
        change_id=change.change_id,
        run_id=change.run_id,
        decision="approve",
        nonce=secrets.token_hex(16),
        not_before=instant(now),
        expires=instant(now + timedelta(minutes=profile.signoff_minutes)),
        requester=requester,
        approvers=profile.signers,
        destination=change.destination,
        grants=signoff.grant_lines(change),
        isolation=isolation,
        rehearsal=rehearsal,
        profile=profile.name,
        profile_digest=profile.sha256(),
        policy_digest=judgement.policy_digest,
        scanners=judgement.scanners,
        findings=FindingsSummary(
            counts=dict(Counter(finding.severity for finding in judgement.findings)),
            digest=digest_of(
                canonical(sorted((f.model_dump(mode="json") for f in judgement.findings), key=canonical))
            ),
        ),
        waivers=tuple(
            WaivedFinding(
                rule=f.rule, path=f.path, resource=f.resource, waiver=w.digest, owner=w.waiver.owner
            )
            for f, w in judged.excused
        ),
        transcript_digest=asked.transcript_digest,
        tree_digest=judgement.tree_digest,
        goal_digest=change.goal_digest,
        trace_id=asked.trace_id,
    )


def record(change: ChangeSet, said: Predicate, signer: CryptoSigner) -> SignedRecord:
    """Sign; the record of it."""
    statement = signoff.statement(change, said)
    return SignedRecord(
        change_id=change.change_id,
        phase=change.phase,
        manifest_digest=change.sha256(),
        signoff=statement.sha256(),
        expires=said.expires,
        bundle=signoff.sign(statement, signer),
    )
