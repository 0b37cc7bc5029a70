"""A negotiated change -> the sign-off's digest. No model takes part: the verdict was its last word."""

from __future__ import annotations

from pathlib import Path

from crew.agents.security import for_notary
from crew.goal import Negotiated, SignedChange
from crew.hands import Hands
from policies.change import MANIFEST_NAME
from tools.gate.words import RunRecord, RunRef
from tools.notary.words import Sign, Signed
from tools.tool import ToolRefusedError
from traces import spans


def sign(security: Hands, sre: Hands, negotiated: Negotiated, folder: Path) -> SignedChange:
    """Ask the notary to sign; keep exactly the signed bytes and the bundle in `folder`.

    When this run was killed between the notary's signature and here, the gate knows the sign-off already and it
    is taken up again. Raises ToolRefusedError.
    """
    change = negotiated.draft.change
    asked = Sign(
        draft=for_notary(negotiated.draft),
        verdict=negotiated.review.verdict,
        transcript_digest=negotiated.transcript.sha256(),
        trace_id=spans.trace_id(),
    )
    _keep_bytes(negotiated, folder)
    try:
        signed = security.ask_notary("sign", asked, Signed)
    except ToolRefusedError:
        known = _signed_before(sre, negotiated)
        if known is None:
            raise
        return known
    (folder / "signoff.sigstore.json").write_text(signed.bundle, encoding="utf-8")
    return _signed(negotiated, signed.signoff, signed.expires, change.sha256())


def _signed_before(sre: Hands, negotiated: Negotiated) -> SignedChange | None:
    change = negotiated.draft.change
    record = sre.ask_gate("run_record", RunRef(run_id=change.run_id), RunRecord)
    for phase in record.phases:
        if phase.change_id == change.change_id and phase.manifest_digest == change.sha256():
            return _signed(negotiated, phase.signoff.signoff, phase.signoff.expires, phase.manifest_digest)
    return None


def _signed(negotiated: Negotiated, signoff: str, expires: str, change_digest: str) -> SignedChange:
    change = negotiated.draft.change
    return SignedChange(
        phase=change.phase,
        change_id=change.change_id,
        change_digest=change_digest,
        signoff=signoff,
        expires=expires,
        verbs=tuple(grant.name for grant in change.grants),
        tree=negotiated.draft.content,
    )


def _keep_bytes(negotiated: Negotiated, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST_NAME).write_bytes(negotiated.draft.change.canonical())
    for path, text in negotiated.draft.content.items():
        target = folder / "files" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode())
