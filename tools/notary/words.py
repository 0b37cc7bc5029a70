"""What is said to the notary: judge a change, sign it. It reads base and destination from the gate, not from the caller."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Base64Bytes, Field

from policies.change import ChangeSet, Digest, Word
from policies.review import Judgement, Verdict


class Draft(Word):
    """A change as DevOps proposes it: the manifest and the bytes by digest."""

    change: ChangeSet
    content: Mapping[Digest, Base64Bytes]


class Judge(Word):
    """Ask for every finding on the tree that would result. Signs nothing. Role security."""

    draft: Draft


class Sign(Word):
    """Ask for the signature. Role security. Refused unless the notary's own judgement is clean and the verdict approves."""

    draft: Draft
    verdict: Verdict
    transcript_digest: Digest = Field(description="sha256 of the negotiation transcript in canonical JSON")
    trace_id: str = Field(pattern=r"^[0-9a-f]{32}$")


class Signed(Word):
    """The sign-off, which the gate holds already."""

    signoff: Digest = Field(description="sha256 of the DSSE payload")
    bundle: str = Field(description="Sigstore bundle v0.3, JSON text")
    expires: str
    judgement: Judgement
