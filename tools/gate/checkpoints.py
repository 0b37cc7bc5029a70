"""Signed checkpoints over the journal's chain: up to entry N it was this, said by the key of role `journal`.

A checkpoint names the one before it, so that they form a chain as well. One that is kept elsewhere (a run's document
holds the newest of its end) shows a rollback or a fork of the whole folder, which the folder itself cannot show.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import Field
from securesystemslib.signer import CryptoSigner

from policies.change import Digest, Word
from policies.envelope import UnknownKeyError, seal, unseal
from policies.refusal import SignoffError
from policies.statement import Statement, Subject
from policies.strict import parse
from policies.trust import Instant, Trust, load, moment
from tools.notary.keys import JOURNAL_KEY, TRUST_FILE, load_signer

CHECKPOINT: Final = "https://countersign.dev/journal-checkpoint/v1"
EVERY = 64
"""A checkpoint is written at the latest with each 64th entry."""
SEALED = frozenset({"effect", "concluded", "confirmed"})
"""Each entry of these kinds is written together with a checkpoint over it."""


class CheckpointMismatchError(SignoffError):
    """Well signed, and no checkpoint of a journal."""

    advice = "Compare with the `journal.checkpoint` of a run's document."


class Checkpoint(Word):
    """Up to entry `number` the chain ended in `head`. `previous`: digest of the checkpoint before, or GENESIS."""

    number: int = Field(ge=1)
    head: Digest
    at: Instant
    previous: Digest


class CheckpointStatement(Statement):
    """In-toto Statement v1; its one subject is `journal` with the head's sha256."""

    predicateType: Literal["https://countersign.dev/journal-checkpoint/v1"] = CHECKPOINT  # noqa: N815 - in-toto's own spelling
    predicate: Checkpoint


@dataclass(frozen=True)
class Read:
    """A checkpoint whose signature was verified, and the digest that names it."""

    checkpoint: Checkpoint
    digest: Digest


def read(bundle: str, trust: Trust) -> Read:
    """A checkpoint by a key that the trust file gives the role `journal`. Raises a SignoffError."""
    sealed = unseal(bundle.encode("utf-8", "replace"), trust)
    statement = parse(CheckpointStatement, sealed.payload, "the checkpoint")
    said = statement.predicate
    if "journal" not in sealed.key.roles or not sealed.key.valid(moment(said.at)):
        raise UnknownKeyError(f"key {sealed.key.keyid[:12]} signs no journal, or did not at {said.at}.")
    if statement.subject != (Subject.of("journal", said.head),):
        raise CheckpointMismatchError("the subject is not the head of the journal.")
    return Read(said, sealed.digest)


@dataclass(frozen=True)
class Pen:
    """The journal's key, and the trust file that says whose checkpoints count."""

    signer: CryptoSigner
    trust: Trust

    @classmethod
    def of(cls, state_dir: Path) -> Pen:
        """From the gate's folder. Raises KeyFaultError, TrustFaultError."""
        return cls(load_signer(state_dir / "keys" / JOURNAL_KEY), load(state_dir / TRUST_FILE))

    def counts(self, at: Instant) -> bool:
        """Whether a checkpoint that it signs at this moment will count."""
        key = self.trust.find(self.signer.public_key.keyid)
        return key is not None and "journal" in key.roles and key.valid(moment(at))

    def write(self, checkpoint: Checkpoint) -> tuple[str, Digest]:
        """The signed bundle and the digest that names it."""
        statement = CheckpointStatement(
            subject=(Subject.of("journal", checkpoint.head),), predicate=checkpoint
        )
        return seal(statement, self.signer).decode(), statement.sha256()

    def read(self, bundle: str) -> Read:
        """As `read`, by this trust file."""
        return read(bundle, self.trust)
