"""A run's signed folder checked by itself: envelope, manifest and files are exactly what was signed.

changeset.manifest.json   the manifest's canonical bytes
files/PATH                the bytes of each artifact
signoff.sigstore.json     the bundle
NAME.sigstore.json        other signers' bundles over the same payload
"""

from __future__ import annotations

import os
import stat
from datetime import datetime
from pathlib import Path

from policies import signoff
from policies.change import MANIFEST_NAME, Operation, Word, digest_of
from policies.custody import whole
from policies.denials import BytesMismatchError
from policies.refusal import GateError
from policies.strict import LIMIT
from policies.trust import SKEW, Trust, moment

BUNDLE_NAME = "signoff.sigstore.json"
BUNDLE_ENDING = ".sigstore.json"
FILE_LIMIT = 32 * 1024 * 1024


class VerifyReport(Word):
    """Whether the folder is what was signed. `refusal` is the name of the first thing that is not, `notes` are no failures."""

    ok: bool
    signoff: str | None = None
    change_id: str | None = None
    phase: str | None = None
    rehearsal: bool | None = None
    signers: tuple[str, ...] = ()
    files: int = 0
    refusal: str | None = None
    message: str = ""
    notes: tuple[str, ...] = ()


def verify_folder(bundle_path: Path, trust: Trust, now: datetime) -> VerifyReport:
    """Check a sign-off and the folder around it. Time is reported, not failed: this is asked later. Raises OSError."""
    folder = bundle_path.parent
    try:
        return _verified(bundle_path, folder, trust, now)
    except GateError as refusal:
        return VerifyReport(ok=False, refusal=refusal.name, message=str(refusal))


def _verified(bundle_path: Path, folder: Path, trust: Trust, now: datetime) -> VerifyReport:
    others = sorted(path for path in folder.glob(f"*{BUNDLE_ENDING}") if path.name != bundle_path.name)
    found = signoff.read(
        _text(bundle_path), trust=trust, required_roles=None, cosigned=[_text(path) for path in others]
    )
    files = _files(folder, {bundle_path.name, MANIFEST_NAME, *(path.name for path in others)})
    change = whole(
        found, _bytes(folder / MANIFEST_NAME, LIMIT), {digest_of(data): data for data in files.values()}
    )
    signed = {a.path: a.digest for a in change.artifacts if a.operation is not Operation.DELETE}
    if odd := sorted(set(signed) ^ set(files)) or [p for p, d in signed.items() if digest_of(files[p]) != d]:
        raise BytesMismatchError(f"the folder's files are not the signed ones: {', '.join(odd[:5])}.")
    return VerifyReport(
        ok=True,
        signoff=found.digest,
        change_id=change.change_id,
        phase=change.phase,
        rehearsal=found.predicate.rehearsal,
        signers=tuple(
            f"{role} {keyid[:12]}" for role, keyids in sorted(found.signers.items()) for keyid in keyids
        ),
        files=len(files),
        notes=tuple(_notes(found, trust, now)),
    )


def _notes(found: signoff.Signoff, trust: Trust, now: datetime) -> list[str]:
    said = found.predicate
    notes = []
    if now >= moment(said.expires):
        notes.append(f"it expired at {said.expires} and unlocks nothing any more")
    if now < moment(said.not_before) - SKEW:
        notes.append(f"it is not valid before {said.not_before}")
    if found.digest in trust.revoked:
        notes.append("it was revoked and unlocks nothing any more")
    if said.rehearsal:
        notes.append("it is a rehearsal and counts in the sandbox only")
    return notes


def _files(folder: Path, beside: set[str]) -> dict[str, bytes]:
    """Path -> bytes below files/. Links and anything else that is no plain file or folder are refused."""
    found: dict[str, bytes] = {}
    for where, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(where) / name
            relative = path.relative_to(folder)
            kind = path.lstat().st_mode
            if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
                raise BytesMismatchError(f"{relative} is no plain file.")
            if stat.S_ISDIR(kind):
                if relative.parts[0] != "files":
                    raise BytesMismatchError(f"{relative} does not belong to the signed folder.")
            elif relative.parts[0] == "files" and len(relative.parts) > 1:
                found[relative.relative_to("files").as_posix()] = _bytes(path, FILE_LIMIT)
            elif str(relative) not in beside:
                raise BytesMismatchError(f"{relative} does not belong to the signed folder.")
    return found


def _text(path: Path) -> str:
    return _bytes(path, LIMIT).decode("utf-8", "surrogateescape")


def _bytes(path: Path, limit: int) -> bytes:
    if not path.is_file():
        raise BytesMismatchError(f"{path.name} is missing.")
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise BytesMismatchError(f"{path.name} has more than {limit} bytes.")
    return data
