"""The key files and the trust file of one user: made once by the launcher, read by the notary. PEM PKCS8, 0600."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import CryptoSigner

from policies.trust import SCHEMES, SignerRole, Trust, TrustedKey, instant, load

TRUST_FILE = "trust.json"
JOURNAL_KEY = "journal.pem"
LIFETIME = timedelta(days=365)


class KeyFaultError(Exception):
    """A key file is missing, wrong or readable by others; the message says what to do."""


def key_path(state_dir: Path, rehearsal: bool) -> Path:  # noqa: FBT001 - the flag is the name of the key
    """Where the notary's key is: the sandbox has its own."""
    return state_dir / "keys" / ("sandbox.pem" if rehearsal else "notary.pem")


def ensure_keys(state_dir: Path, rehearsal: bool) -> None:  # noqa: FBT001
    """Make the notary's and the journal's keys and their trust entries where they are missing; leave what is there alone.

    The journal's key signs checkpoints and nothing else, so one serves rehearsals and real runs alike.
    Raises KeyFaultError, policies.trust.TrustFaultError, OSError when the folder cannot be written.
    """
    owner = "sandbox notary" if rehearsal else "notary"
    _ensure(state_dir, key_path(state_dir, rehearsal), "security", owner=owner, rehearsal=rehearsal)
    _ensure(state_dir, state_dir / "keys" / JOURNAL_KEY, "journal", owner="journal", rehearsal=False)


def _ensure(state_dir: Path, path: Path, role: SignerRole, *, owner: str, rehearsal: bool) -> None:
    for folder in (state_dir, path.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        _create(path, CryptoSigner.generate_ed25519().private_bytes)
    signer = load_signer(path)
    trust_path = state_dir / TRUST_FILE
    trust = load(trust_path) if trust_path.exists() else Trust()
    if trust.find(signer.public_key.keyid) is None:
        entry = trusted(signer, (role,), owner=owner, rehearsal=rehearsal, since=datetime.now(UTC))
        _replace(trust_path, trust.model_copy(update={"keys": (*trust.keys, entry)}))


def load_signer(path: Path) -> CryptoSigner:
    """The signer of a key file. Raises KeyFaultError."""
    try:
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            data = file.read(64 * 1024)
    except FileNotFoundError:
        raise KeyFaultError(f"there is no key at {path}: `countersign init` makes one") from None
    except OSError as fault:
        raise KeyFaultError(f"the key {path} cannot be read: {fault.strerror}") from None
    if stat.S_IMODE(state.st_mode) & 0o077 or state.st_uid != os.geteuid():
        raise KeyFaultError(
            f"the key {path} can be read by others: `chmod 600` it, and make a new one if somebody may have"
        )
    try:
        signer = CryptoSigner(load_pem_private_key(data, None))
    except (ValueError, TypeError, UnsupportedAlgorithm, UnsupportedLibraryError):
        raise KeyFaultError(
            f"{path} is no unencrypted PEM PKCS8 private key: restore it or move it away"
        ) from None
    if signer.public_key.scheme not in SCHEMES:
        raise KeyFaultError(
            f"{path} has scheme {signer.public_key.scheme}; usable: {', '.join(sorted(SCHEMES))}"
        )
    return signer


def trusted(
    signer: CryptoSigner, roles: tuple[SignerRole, ...], *, owner: str, rehearsal: bool, since: datetime
) -> TrustedKey:
    """The trust entry of a signer's public half, valid for LIFETIME."""
    pem = signer.public_key._crypto_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)  # noqa: SLF001 - securesystemslib has no public way to PEM
    return TrustedKey(
        keyid=signer.public_key.keyid,
        public=pem.decode(),
        roles=roles,
        owner=owner,
        rehearsal=rehearsal,
        not_before=instant(since - timedelta(minutes=1)),
        not_after=instant(since + LIFETIME),
    )


def _create(path: Path, data: bytes) -> None:
    """Write a new file whole or not at all; when another process was first, its file stays."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    _write(draft, data)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # somebody else made the same thing in between
    finally:
        draft.unlink()


def _replace(path: Path, trust: Trust) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    _write(draft, trust.canonical())
    draft.replace(path)


def _write(path: Path, data: bytes) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(number, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
