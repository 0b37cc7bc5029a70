"""Subjects == manifest == bytes: the exact set that one sign-off covers."""

from __future__ import annotations

from policies.change import EMPTY_DIGEST, ChangeSet, Content, Operation
from policies.denials import BytesMismatchError
from policies.signoff import Signoff, grant_lines, subjects_of
from policies.strict import parse


def whole(signoff: Signoff, manifest: bytes, content: Content) -> ChangeSet:
    """The manifest, when subjects == manifest == bytes as an exact set. Raises GateError."""
    change = parse(ChangeSet, manifest, "the manifest")
    if signoff.subjects != subjects_of(change, manifest):
        raise BytesMismatchError("the manifest is not the signed one.")
    said = signoff.predicate
    same = (said.change_id, said.run_id, said.phase, said.profile, said.goal_digest, said.destination)
    if same != (
        change.change_id,
        change.run_id,
        change.phase,
        change.profile,
        change.goal_digest,
        change.destination,
    ):
        raise BytesMismatchError("the predicate speaks of another change than the manifest.")
    if said.grants != grant_lines(change):
        raise BytesMismatchError("the predicate lists other grants than the manifest.")
    signed = {a.digest for a in change.artifacts if a.operation is not Operation.DELETE}
    if odd := [
        a.path for a in change.artifacts if a.operation is Operation.DELETE and a.digest != EMPTY_DIGEST
    ]:
        raise BytesMismatchError(f"a deleted file has bytes: {odd[0]}.")
    if missing := change.missing(content):
        raise BytesMismatchError(f"bytes are missing or other: {', '.join(missing[:5])}.")
    if extra := set(content) - signed:
        raise BytesMismatchError(f"{len(extra)} files are not signed, such as {min(extra)[:80]}.")
    return change
