"""`countersign keys`: make, show, replace and revoke the keys that a gate trusts. Real keys and the sandbox's stay apart."""

from __future__ import annotations

import getpass
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from policies.trust import SignerRole, TrustedKey, moment
from tools.launch import folders
from tools.launch.commands import read_config
from tools.launch.config import ConfigFaultError
from tools.notary import trust_file
from tools.notary.keys import KeyFaultError, Scheme, key_path, load_signer, make_key, rotate_key

ROLES: dict[str, SignerRole] = {
    "notary": "security",
    "person": "person",
    "waiver": "waiver",
    "journal": "journal",
}
"""The word on the command line -> the role in the trust file."""
_NEEDED: tuple[SignerRole, ...] = ("security", "journal", "person")
_SIGNOFF = re.compile(r"sha256:[0-9a-f]{64}")


def init(
    role: str | None,
    *,
    sandbox: bool,
    p256: bool,
    owner: str | None,
    out: Path | None,
    public: Path | None,
    state_dir: Path | None,
) -> tuple[dict[str, Any], str]:
    """Make the keys that are missing, or trust a public key whose private half somebody else holds.

    Without a role: the notary's, the journal's and yours. `out` puts a private key where you say: an approver's own
    does not belong into the requester's folder. Raises ConfigFaultError, KeyFaultError, TrustFaultError, OSError.
    """
    folder = _folder(state_dir)
    if role is None:
        if out or public or owner:
            raise ConfigFaultError(
                "--owner, --out and --public need a role: `countersign keys init person ...`"
            )
        made = [_made(folder, kind, sandbox=sandbox, p256=p256) for kind in _NEEDED]
        return _answer(made)
    kind = _role(role)
    if public is not None:
        return _answer([(_trusted(folder, kind, public, owner, sandbox=sandbox), "trusted")])
    return _answer([_made(folder, kind, sandbox=sandbox, p256=p256, owner=owner, out=out)])


def show(state_dir: Path | None) -> tuple[dict[str, Any], str]:
    """Every key that was ever trusted here, and the sign-offs that were revoked. Raises TrustFaultError."""
    folder = _folder(state_dir)
    trust, held = trust_file.read(folder), _held(folder)
    rows = [_row(key, held.get(key.keyid)) for key in trust.keys]
    lines = [_line(row) for row in rows] or ["no key is trusted yet: `countersign keys init` makes them"]
    lines += [f"revoked sign-off {digest}" for digest in trust.revoked]
    return {"keys": rows, "thresholds": trust.thresholds, "revoked": list(trust.revoked)}, "\n".join(lines)


def rotate(role: str, *, sandbox: bool, p256: bool, state_dir: Path | None) -> tuple[dict[str, Any], str]:
    """A new key in the old one's place; the old one verifies what it signed and signs no more."""
    scheme: Scheme | None = "p256" if p256 else None
    old, new = rotate_key(
        _folder(state_dir), _role(role), rehearsal=sandbox, scheme=scheme, now=datetime.now(UTC)
    )
    return _answer([(old, "closed"), (new, "made")])


def revoke(what: str, state_dir: Path | None) -> tuple[dict[str, Any], str]:
    """Take back a key (by the beginning of its id) or one sign-off (by its whole digest); it counts at the next call."""
    folder = _folder(state_dir)
    if _SIGNOFF.fullmatch(what):
        trust_file.revoke_signoff(folder, what)
        return {"revoked": what}, f"sign-off {what} unlocks nothing any more"
    return _answer([(trust_file.revoke_key(folder, what), "revoked")])


def _made(
    folder: Path,
    role: SignerRole,
    *,
    sandbox: bool,
    p256: bool,
    owner: str | None = None,
    out: Path | None = None,
) -> tuple[TrustedKey, str]:
    name = owner or (getpass.getuser() if role in {"person", "waiver"} else None)
    scheme: Scheme = "p256" if p256 else "ed25519"
    key, made = make_key(folder, role, rehearsal=sandbox, owner=name, scheme=scheme, path=out)
    return key, "made" if made else "kept"


def _trusted(folder: Path, role: SignerRole, public: Path, owner: str | None, *, sandbox: bool) -> TrustedKey:
    if role not in {"person", "waiver"} or owner is None:
        raise ConfigFaultError(
            "--public trusts a person's or a waiver key of somebody else: say whose, with --owner"
        )
    try:
        pem = public.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise KeyFaultError(f"the public key {public} cannot be read: {fault}") from None
    entry = trust_file.entry_of(pem, (role,), owner=owner, rehearsal=sandbox, since=datetime.now(UTC))
    trust_file.add(folder, entry)
    return trust_file.find(folder, entry.keyid) or entry


def _held(folder: Path) -> dict[str, str]:
    """Key id -> file, of every private key in the gate's folder that can be read."""
    found = {}
    for role in get_args(SignerRole):
        for rehearsal in (False, True):
            path = key_path(folder, rehearsal, role)
            if path.is_file():
                found[load_signer(path).public_key.keyid] = path.name
    return found


def _row(key: TrustedKey, file: str | None) -> dict[str, Any]:
    now = datetime.now(UTC)
    state = "valid" if key.valid(now) else "over" if now >= moment(key.not_after) else "not yet"
    told = key.model_dump(mode="json", exclude={"revoked"})
    return {**told, "scheme": key.key.scheme, "state": "revoked" if key.revoked else state, "file": file}


def _line(row: dict[str, Any]) -> str:
    kind = "sandbox" if row["rehearsal"] else "real"
    return (
        f"{row['keyid'][:12]}  {','.join(row['roles']):9} {kind:8} {row['state']:8} "
        f"{row['not_before']} .. {row['not_after']}  {row['owner']}  {row['file'] or 'private half elsewhere'}"
    )


def _answer(done: list[tuple[TrustedKey, str]]) -> tuple[dict[str, Any], str]:
    rows = [{**_row(key, None), "done": what} for key, what in done]
    lines = [
        f"{what}: {','.join(key.roles)} key {key.keyid[:12]} of {key.owner}, until {key.not_after}"
        + (" (sandbox)" if key.rehearsal else "")
        for key, what in done
    ]
    return {"keys": rows}, "\n".join(lines)


def _role(word: str) -> SignerRole:
    if word not in ROLES:
        raise ConfigFaultError(f"there is no role {word!r}: {', '.join(ROLES)}")
    return ROLES[word]


def _folder(state_dir: Path | None) -> Path:
    return folders.private(read_config(state_dir).state_dir)
