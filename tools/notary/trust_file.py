"""The trust file: read, and changed by one process at a time, whole or not at all. Only the person's own tools write it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from pydantic import ValidationError
from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import SSlibKey

from policies.change import Digest
from policies.trust import SignerRole, Trust, TrustedKey, instant, load

TRUST_FILE = "trust.json"
LIFETIME = timedelta(days=365)
_LOCK = "trust.lock"
_SHORTEST = 8


class KeyFaultError(Exception):
    """A key is missing, wrong or readable by others; the message says what to do."""


def read(state_dir: Path) -> Trust:
    """What the file says; nothing is trusted where there is none. Raises TrustFaultError."""
    path = state_dir / TRUST_FILE
    return load(path) if path.exists() else Trust()


def find(state_dir: Path, keyid: str) -> TrustedKey | None:
    """The entry of that key. Raises TrustFaultError."""
    return read(state_dir).find(keyid)


def add(state_dir: Path, entry: TrustedKey) -> None:
    """Trust one more key; one that is there already stays as it is. Raises TrustFaultError, OSError."""
    change(
        state_dir, lambda trust: trust if trust.find(entry.keyid) else with_keys(trust, (*trust.keys, entry))
    )


def change(state_dir: Path, edit: Callable[[Trust], Trust]) -> Trust:
    """Replace the file by what `edit` makes of it; what it says then. Raises TrustFaultError, OSError."""
    with _alone(state_dir):
        trust = edit(read(state_dir))
        path = state_dir / TRUST_FILE
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        write(draft, trust.canonical())
        draft.replace(path)
    return trust


def revoke_key(state_dir: Path, name: str) -> TrustedKey:
    """No signature by this key counts any more, whenever it was made. `name`: a key id, or 8 digits or more of its beginning.

    Raises KeyFaultError, TrustFaultError, OSError.
    """
    known = [key for key in read(state_dir).keys if len(name) >= _SHORTEST and key.keyid.startswith(name)]
    if len(known) != 1:
        raise KeyFaultError(f"{len(known)} keys begin with {name!r}: `countersign keys show` lists them")
    gone = known[0].model_copy(update={"revoked": True})
    change(
        state_dir,
        lambda trust: with_keys(trust, tuple(gone if k.keyid == gone.keyid else k for k in trust.keys)),
    )
    return gone


def revoke_signoff(state_dir: Path, signoff: Digest) -> None:
    """This one sign-off unlocks nothing any more. Raises TrustFaultError, OSError."""
    change(
        state_dir,
        lambda trust: Trust.model_validate(
            {**trust.model_dump(), "revoked": sorted({*trust.revoked, signoff})}
        ),
    )


def with_keys(trust: Trust, keys: tuple[TrustedKey, ...]) -> Trust:
    """The same file with other keys, checked again."""
    return Trust.model_validate({**trust.model_dump(), "keys": [key.model_dump() for key in keys]})


def entry_of(
    pem: str, roles: tuple[SignerRole, ...], *, owner: str, rehearsal: bool, since: datetime
) -> TrustedKey:
    """The entry of a public key in PEM, valid for LIFETIME. Raises KeyFaultError for a PEM of another kind."""
    try:
        key = SSlibKey.from_crypto(load_pem_public_key(pem.encode()))
        return TrustedKey(
            keyid=key.keyid,
            public=pem,
            roles=roles,
            owner=owner,
            rehearsal=rehearsal,
            not_before=instant(since - timedelta(minutes=1)),
            not_after=instant(since + LIFETIME),
        )
    except (ValueError, UnsupportedAlgorithm, UnsupportedLibraryError) as fault:
        said = fault.errors()[0]["msg"] if isinstance(fault, ValidationError) else fault
        raise KeyFaultError(f"this is no public key in PEM that can be used here: {said}") from None


def write(path: Path, data: bytes) -> None:
    """A file of ours alone, on disk when this returns. Raises OSError."""
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(number, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _alone(state_dir: Path) -> Iterator[None]:
    handle = os.open(state_dir / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)  # the kernel gives the lock back, also when this process is killed
