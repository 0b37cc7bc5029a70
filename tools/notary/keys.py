"""The key files of one user and what the trust file says of them. PEM PKCS8, 0600, each made once and for one role."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import CryptoSigner

from policies.trust import SCHEMES, SignerRole, TrustedKey, instant
from tools.notary import trust_file
from tools.notary.trust_file import TRUST_FILE, KeyFaultError, entry_of

__all__ = ["JOURNAL_KEY", "TRUST_FILE", "KeyFaultError", "ensure_keys", "key_path", "load_signer", "trusted"]
JOURNAL_KEY = "journal.pem"
Scheme = Literal["ed25519", "p256"]
_NAMES: dict[SignerRole, tuple[str, str]] = {
    "security": ("notary.pem", "sandbox.pem"),
    "person": ("person.pem", "sandbox-person.pem"),
    "waiver": ("waiver.pem", "sandbox-waiver.pem"),
    "journal": (JOURNAL_KEY, JOURNAL_KEY),
}
"""role -> the file of the real key and that of the rehearsal key. The journal's signs checkpoints of both."""


def key_path(state_dir: Path, rehearsal: bool, role: SignerRole = "security") -> Path:  # noqa: FBT001 - the flag is the name of the key
    """Where a key of this user is: the sandbox has its own."""
    return state_dir / "keys" / _NAMES[role][rehearsal]


def ensure_keys(state_dir: Path, rehearsal: bool) -> None:  # noqa: FBT001
    """Make what a run needs and its trust entries, where they are missing; leave what is there alone.

    Those are the notary's key, the journal's, and for a rehearsal the key that asks for it. A real person's key is
    never made in passing. Raises KeyFaultError, policies.trust.TrustFaultError, OSError when the folder cannot be written.
    """
    kinds: tuple[SignerRole, ...] = (
        ("security", "journal", "person") if rehearsal else ("security", "journal")
    )
    for role in kinds:
        make_key(state_dir, role, rehearsal=rehearsal)


def make_key(
    state_dir: Path,
    role: SignerRole,
    *,
    rehearsal: bool,
    owner: str | None = None,
    scheme: Scheme = "ed25519",
    path: Path | None = None,
) -> tuple[TrustedKey, bool]:
    """The trust entry of a role's key, and whether this made the key; `path` is where it lies, if not in its own place.

    Raises KeyFaultError, TrustFaultError, OSError.
    """
    place = path or key_path(state_dir, rehearsal, role)
    folders = (state_dir, state_dir / "keys") if path is None else (state_dir,)
    for folder in folders:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = not place.exists()
    if made:
        create_key(place, scheme)
    signer = load_signer(place)
    known = trust_file.find(state_dir, signer.public_key.keyid)
    if known is not None:
        return known, made
    sandbox = rehearsal and role != "journal"
    name = owner or f"{'sandbox ' if sandbox else ''}{'notary' if role == 'security' else role}"
    entry = trusted(signer, (role,), owner=name, rehearsal=sandbox, since=datetime.now(UTC))
    trust_file.add(state_dir, entry)
    return entry, made


def rotate_key(
    state_dir: Path, role: SignerRole, *, rehearsal: bool, scheme: Scheme | None, now: datetime
) -> tuple[TrustedKey, TrustedKey]:
    """A new key in the old one's place: their entries, old and new.

    The old public key keeps verifying what it signed until now; its private half is gone. A crash in between leaves
    a key that may sign no more, never two that may. Raises KeyFaultError, TrustFaultError, OSError.
    """
    place = key_path(state_dir, rehearsal, role)
    signer = load_signer(place)
    old = trust_file.find(state_dir, signer.public_key.keyid)
    if old is None:
        raise KeyFaultError(f"the trust file does not know the key at {place}: `countersign keys init`")
    draft = place.with_name(f".{place.name}.next.{os.getpid()}")
    try:
        create_key(draft, scheme or ("ed25519" if signer.public_key.scheme == "ed25519" else "p256"))
        new = trusted(load_signer(draft), old.roles, owner=old.owner, rehearsal=old.rehearsal, since=now)
        over = min(old.not_after, instant(now + timedelta(seconds=1)))  # what it signed in this second counts
        closed = old.model_copy(update={"not_after": over})
        trust_file.change(
            state_dir,
            lambda trust: trust_file.with_keys(
                trust, (*(closed if key.keyid == old.keyid else key for key in trust.keys), new)
            ),
        )
        draft.replace(place)
    finally:
        draft.unlink(missing_ok=True)
    return closed, new


def load_signer(path: Path) -> CryptoSigner:
    """The signer of a key file. Raises KeyFaultError."""
    try:
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            data = file.read(64 * 1024)
    except FileNotFoundError:
        raise KeyFaultError(f"there is no key at {path}: `countersign keys init` makes one") from None
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
    return entry_of(pem.decode(), roles, owner=owner, rehearsal=rehearsal, since=since)


def create_key(path: Path, scheme: Scheme) -> None:
    """Write a new key whole or not at all; when another process was first, its file stays. Raises OSError."""
    make = CryptoSigner.generate_ed25519 if scheme == "ed25519" else CryptoSigner.generate_ecdsa
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    trust_file.write(draft, make().private_bytes)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # somebody else made the same thing in between
    finally:
        draft.unlink()
