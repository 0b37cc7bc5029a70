"""Whose signature counts for what: role -> keys -> validity, as one JSON file that only the person's own tools write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import ConfigDict, Field, ValidationError, model_validator
from securesystemslib.signer import SSlibKey

from policies.change import Digest, Word

Instant = Annotated[
    str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", description="RFC 3339, UTC, whole seconds")
]
KeyId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
SignerRole = Literal["security", "person", "waiver", "journal"]
"""security: the notary. person: asks for goals, or approves. waiver: excuses findings. journal: the gate's checkpoints."""
SCHEMES = frozenset({"ed25519", "ecdsa-sha2-nistp256"})
"""ed25519 for file keys, P-256 for cloud key services."""
SKEW = timedelta(seconds=30)
"""How far a signer's clock may be ahead of ours. An expiry is not stretched: late is late."""


class TrustFaultError(Exception):
    """The trust file is missing or unusable; the message says what is wrong and how to mend it."""


def instant(moment: datetime) -> str:
    """An aware moment as an Instant, cut to whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> datetime:
    """The aware moment of an Instant. Raises ValueError for a day that does not exist."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


class TrustedKey(Word):
    """One public key: what it may sign, when, and whether only rehearsals."""

    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))

    keyid: KeyId
    public: str = Field(description="PEM, SubjectPublicKeyInfo")
    roles: tuple[SignerRole, ...] = Field(min_length=1)
    owner: str = Field(max_length=200)
    rehearsal: bool = Field(
        description="True: this key counts only for rehearsals, and never on a real target"
    )
    not_before: Instant
    not_after: Instant
    revoked: bool = Field(
        default=False, description="True: no signature by this key counts, whenever it was made"
    )

    @cached_property
    def key(self) -> SSlibKey:
        """The verifying key. Raises ValueError when the PEM is none of SCHEMES."""
        try:
            key = SSlibKey.from_crypto(load_pem_public_key(self.public.encode()))
        except (ValueError, UnsupportedAlgorithm) as fault:
            raise ValueError(f"key {self.keyid[:12]} is no usable public key: {fault}") from None
        if key.scheme not in SCHEMES:
            raise ValueError(
                f"key {self.keyid[:12]} has scheme {key.scheme}; usable: {', '.join(sorted(SCHEMES))}"
            )
        return key

    @model_validator(mode="after")
    def _is_what_it_says(self) -> Self:
        if self.key.keyid != self.keyid:
            raise ValueError(f"key {self.keyid[:12]} is filed under a key id that is not its own")
        if moment(self.not_before) >= moment(self.not_after):
            raise ValueError(f"key {self.keyid[:12]} is never valid")
        return self

    def valid(self, at: datetime) -> bool:
        """Whether this key may have signed at that moment."""
        return not self.revoked and moment(self.not_before) <= at < moment(self.not_after)


class Trust(Word):
    """The trust file. A role without a key is a role that nobody can fill."""

    version: Literal[1] = 1
    keys: tuple[TrustedKey, ...] = ()
    thresholds: dict[SignerRole, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict, description="distinct keys per role; absent: 1"
    )
    revoked: tuple[Digest, ...] = Field(default=(), description="sign-offs that no longer count")

    @model_validator(mode="after")
    def _each_key_once(self) -> Self:
        ids = [key.keyid for key in self.keys]
        if len(ids) != len(set(ids)):
            raise ValueError("a key is listed twice")
        return self

    def find(self, keyid: str) -> TrustedKey | None:
        """The key with that id."""
        return next((key for key in self.keys if key.keyid == keyid), None)

    def threshold(self, role: SignerRole) -> int:
        """How many distinct keys of the role must have signed."""
        return self.thresholds.get(role, 1)


def load(path: Path) -> Trust:
    """Parse the trust file. Raises TrustFaultError when it is missing or wrong."""
    try:
        return Trust.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise TrustFaultError(f"there is no trust file at {path}; `countersign init` makes one") from None
    except OSError as fault:
        raise TrustFaultError(f"the trust file {path} cannot be read: {fault.strerror}") from None
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "document"
        raise TrustFaultError(f"the trust file {path} cannot be used: {where}: {first['msg']}") from None
