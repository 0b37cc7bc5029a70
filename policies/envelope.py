"""The signed form of any statement of ours: in-toto Statement v1 in DSSE in a Sigstore bundle v0.3.

A bundle carries one signature, as Sigstore demands; a second signer writes a second bundle over the very
same payload. The key is named once, in the bundle's hint: a key id beside the signature would have to be an SSH
fingerprint for `cosign`. The bundle file itself must be canonical JSON, so that no byte of it can change unnoticed.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner

from policies.change import Word, canonical, digest_of
from policies.refusal import SignoffError
from policies.statement import STATEMENT_TYPE, Statement, Subject
from policies.strict import parse
from policies.trust import KeyId, Trust, TrustedKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
__all__ = ["STATEMENT_TYPE", "Sealed", "Statement", "Subject", "seal", "unseal"]
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


class UnknownKeyError(SignoffError):
    """The key id is not in the trust file, or its key is revoked."""

    advice = "Add the key with `countersign keys`, if you know whose it is, or have a trusted key sign."


class SignatureInvalidError(SignoffError):
    """The signature does not fit the payload."""

    advice = "The bytes changed after they were signed: judge them again and ask for a new sign-off."


class PayloadTypeError(SignoffError):
    """Well signed, but as another kind of document."""

    advice = "Only in-toto statements count here; ask the notary for a sign-off."


def _one_spelling(text: str) -> str:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as fault:
        raise ValueError("not base64") from fault
    if base64.b64encode(data).decode() != text:
        raise ValueError("not canonical base64")
    return text


Base64 = Annotated[str, AfterValidator(_one_spelling)]


class _Signature(Word):
    keyid: Literal[""]
    sig: Base64


class _Dsse(Word):
    payload: Base64
    payloadType: str  # noqa: N815 - DSSE's own spelling
    signatures: Annotated[tuple[_Signature, ...], Field(min_length=1, max_length=1)]


class _PublicKey(Word):
    hint: KeyId


class _Material(Word):
    publicKey: _PublicKey  # noqa: N815 - Sigstore's own spelling


class _Bundle(Word):
    mediaType: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"]  # noqa: N815
    verificationMaterial: _Material  # noqa: N815
    dsseEnvelope: _Dsse  # noqa: N815


@dataclass(frozen=True)
class Sealed:
    """A payload whose one signature was verified, and by which trusted key."""

    payload: bytes
    key: TrustedKey

    @property
    def digest(self) -> str:
        """sha256 of the payload: the name of what was signed."""
        return digest_of(self.payload)


def seal(statement: Statement, signer: CryptoSigner) -> bytes:
    """The statement as a canonical Sigstore bundle with one signature."""
    envelope = Envelope(statement.canonical(), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return bundled(envelope, signer.public_key.keyid)


def bundled(envelope: Envelope, keyid: str) -> bytes:
    """A signed envelope as a bundle whose hint names the key."""
    dsse = envelope.to_dict()
    return canonical(
        {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {"publicKey": {"hint": keyid}},
            "dsseEnvelope": {**dsse, "signatures": [{**one, "keyid": ""} for one in dsse["signatures"]]},
        }
    )


def unseal(bundle: bytes, trust: Trust) -> Sealed:
    """The payload of a bundle that a trusted, unrevoked key signed; its content is not looked at yet.

    Raises a SignoffError: strict decode, then the key, then the signature, then the payload type.
    """
    outer = parse(_Bundle, bundle, "the bundle")
    dsse, keyid = outer.dsseEnvelope.model_dump(mode="json"), outer.verificationMaterial.publicKey.hint
    key = trust.find(keyid)
    if key is None or key.revoked:
        raise UnknownKeyError(f"key {keyid[:12]} is {'revoked' if key else 'not in the trust file'}.")
    dsse["signatures"][0]["keyid"] = keyid
    envelope = Envelope.from_dict(dsse)
    try:
        envelope.verify([key.key], 1)
    except VerificationError:
        raise SignatureInvalidError(
            f"the signature of key {key.keyid[:12]} does not fit the payload."
        ) from None
    if envelope.payload_type != PAYLOAD_TYPE:
        raise PayloadTypeError(f"the payload type is {envelope.payload_type[:80]!r}, not {PAYLOAD_TYPE}.")
    return Sealed(envelope.payload, key)
