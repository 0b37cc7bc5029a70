"""Bearers: what a client over HTTP shows instead of a pipe. Only digests are kept, in `bearers.json` of the gate's folder.

A role is the bearer it comes with, never a field. A token has 256 random bits, so its plain sha256 gives nothing away.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from datetime import datetime
from pathlib import Path

from pydantic import Field, ValidationError

from policies.change import Digest, Name, Word
from policies.trust import Instant, instant
from tools.tool import Role

FILE = "bearers.json"
SHORTEST = 32
"""Characters of a token that somebody else made; ours have 46."""
_LONGEST = 512


class BearerFaultError(Exception):
    """A bearer cannot be made, read or found; the message says what to do."""


class Bearer(Word):
    """One client's right to speak as one role."""

    name: Name
    role: Role
    digest: Digest
    made: Instant


class Bearers(Word):
    """The whole file."""

    version: int = Field(default=1, ge=1, le=1)
    bearers: tuple[Bearer, ...] = ()

    def of(self, token: str) -> Bearer | None:
        """The bearer of this token. Every known digest is compared, in constant time."""
        shown = _digest(token)
        found = None
        for bearer in self.bearers:
            if hmac.compare_digest(shown, bearer.digest):
                found = bearer
        return found


def load(folder: Path) -> Bearers:
    """What is known; nothing when no bearer was made yet. Raises BearerFaultError."""
    path = folder / FILE
    try:
        return Bearers.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Bearers()
    except (OSError, ValidationError) as fault:
        raise BearerFaultError(
            f"{path} cannot be used ({type(fault).__name__}): restore it, or remove it and make bearers again"
        ) from fault


def make(folder: Path, role: Role, name: str, now: datetime, token: str | None = None) -> str:
    """Keep the digest of a fresh token, or of `token`; the token itself is returned and kept nowhere.

    Raises BearerFaultError for a name that is taken and for a token too short to be secret.
    """
    known = load(folder)
    if any(bearer.name == name for bearer in known.bearers):
        raise BearerFaultError(
            f"there is a bearer {name!r} already: revoke it, or choose another name with --name"
        )
    token = token or f"cs_{secrets.token_urlsafe(32)}"
    if (
        not SHORTEST <= len(token) <= _LONGEST
        or not token.isascii()
        or not token.isprintable()
        or " " in token
    ):
        raise BearerFaultError(
            f"a bearer's token has {SHORTEST} to {_LONGEST} printable characters without spaces: leave the file out and one is made"
        )
    if known.of(token) is not None:
        raise BearerFaultError("this token is known already: each client has its own")
    try:
        made = Bearer(name=name, role=role, digest=_digest(token), made=instant(now))
    except ValidationError:
        raise BearerFaultError(
            f"{name!r} is no name for a bearer: small letters, digits and `-`, at most 63"
        ) from None
    _replace(folder, Bearers(bearers=(*known.bearers, made)))
    return token


def revoke(folder: Path, name: str) -> None:
    """Forget a bearer; its next request is turned away. Raises BearerFaultError when there is none."""
    known = load(folder)
    left = tuple(bearer for bearer in known.bearers if bearer.name != name)
    if len(left) == len(known.bearers):
        names = ", ".join(bearer.name for bearer in known.bearers) or "none"
        raise BearerFaultError(f"there is no bearer {name!r}; there are: {names}")
    _replace(folder, Bearers(bearers=left))


def read_token(path: Path) -> str:
    """The token in a file that only its owner may read. Raises BearerFaultError."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(_LONGEST + 2)
    except OSError as fault:
        raise BearerFaultError(f"the token file {path} cannot be read: {fault.strerror}") from fault
    if mode & 0o077:
        raise BearerFaultError(f"{path} can be read by others: `chmod 600` it, and make a new bearer")
    return data.decode("ascii", "replace").strip()


def write_token(path: Path, token: str) -> None:
    """A new file, 0600. Raises BearerFaultError when there is one."""
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as fault:
        raise BearerFaultError(f"{path} cannot be written: {fault.strerror}") from fault
    with os.fdopen(number, "w", encoding="ascii") as file:
        file.write(token + "\n")


def _digest(token: str) -> str:
    return "sha256:" + hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _replace(folder: Path, bearers: Bearers) -> None:
    draft = folder / f".{FILE}.{os.getpid()}"
    number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(number, "wb") as file:
        file.write(bearers.canonical())
        file.flush()
        os.fsync(number)
    draft.replace(folder / FILE)
