"""The tree that a change results in: the base tree that the gate fetched, plus the change, or a refusal."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from policies.change import EMPTY_DIGEST, ChangeSet, Content, Operation, Phase, canonical, digest_of
from tools.tool import ToolRefusedError

ADVICE = "Draft the change again on the base tree of now."


def resulting(change: ChangeSet, content: Content, base: Mapping[str, bytes]) -> dict[str, bytes]:
    """Path -> bytes after the change. A deploy's tree is its own objects. Raises ToolRefusedError."""
    _exact(change, content)
    tree = {} if change.phase is Phase.DEPLOY else dict(base)
    for artifact in change.artifacts:
        _fits(artifact.path, artifact.operation, artifact.digest, tree)
        if artifact.operation is Operation.DELETE:
            del tree[artifact.path]
        else:
            tree[artifact.path] = content[artifact.digest]
    _one_file_per_name(tree)
    return tree


def tree_digest(tree: Mapping[str, bytes]) -> str:
    """sha256 of the canonical JSON of path -> digest."""
    return digest_of(canonical({path: digest_of(data) for path, data in tree.items()}))


def _exact(change: ChangeSet, content: Content) -> None:
    if missing := change.missing(content):
        raise ToolRefusedError(
            "bytes-missing",
            f"bytes are missing or other: {', '.join(missing[:5])}.",
            "Send the bytes of every artifact.",
        )
    signed = {a.digest for a in change.artifacts if a.operation is not Operation.DELETE}
    if extra := set(content) - signed:
        raise ToolRefusedError(
            "bytes-extra",
            f"{len(extra)} files belong to no artifact.",
            "Send the bytes of the artifacts and no others.",
        )


def _fits(path: str, operation: Operation, digest: str, tree: Mapping[str, bytes]) -> None:
    there = tree.get(path)
    if operation is Operation.ADD and there is not None:
        raise ToolRefusedError("already-there", f"{path} is added and exists already.", ADVICE)
    if operation is not Operation.ADD and there is None:
        raise ToolRefusedError("not-there", f"{path} is to be {operation} and does not exist.", ADVICE)
    if operation is Operation.MODIFY and there is not None and digest_of(there) == digest:
        raise ToolRefusedError(
            "not-changed", f"{path} is modified into what it is.", "Leave it out of the change."
        )
    if operation is Operation.DELETE and digest != EMPTY_DIGEST:
        raise ToolRefusedError(
            "bytes-extra",
            f"{path} is deleted and has bytes.",
            "A delete carries the digest of the empty string.",
        )


def _one_file_per_name(tree: Mapping[str, bytes]) -> None:
    """No path may be a folder of another, nor differ from another by case or Unicode spelling alone: checkouts would merge them."""
    folded: dict[str, str] = {}
    folders: set[str] = set()
    for path in tree:
        name = unicodedata.normalize("NFKC", path).casefold()
        if (other := folded.setdefault(name, path)) != path:
            raise ToolRefusedError(
                "path-clash", f"{path} and {other} differ by case or spelling alone.", "Rename one of them."
            )
        parts = path.split("/")[:-1]
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    if clash := folders & set(tree):
        raise ToolRefusedError("path-clash", f"{min(clash)} is a file and a folder.", "Rename one of them.")
