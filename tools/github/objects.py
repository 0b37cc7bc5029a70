"""git's object ids, computed here: what a commit must be called when it holds exactly the signed bytes.

Pure. Trees are read through a function, one folder at a time, so that only the folders which a change touches are read.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import AwareDatetime

FOLDER = "040000"


@dataclass(frozen=True)
class Entry:
    """One line of a tree: octal mode, name without slash, object id."""

    mode: str
    name: str
    sha: str


Change = tuple[str, str] | None
"""Mode and blob id, or None to remove."""


class PathFaultError(ValueError):
    """A change speaks of a path that its base has otherwise: a file where a folder is, or nothing to remove."""


def blob_sha(data: bytes) -> str:
    """The id of a blob with these bytes."""
    return _sha("blob", data)


def tree_sha(entries: Sequence[Entry]) -> str:
    """The id of a tree with these lines, in git's order: a folder sorts as if its name ended in a slash."""
    ordered = sorted(entries, key=lambda e: e.name.encode() + (b"/" if e.mode == FOLDER else b""))
    return _sha("tree", b"".join(_line(entry) for entry in ordered))


def commit_sha(tree: str, parents: Sequence[str], author: tuple[str, str], date: AwareDatetime, message: str) -> str:
    """The id of a commit whose author and committer are the same (name, address) at `date`, in UTC."""
    who = f"{author[0]} <{author[1]}> {int(date.timestamp())} +0000"
    head = [f"tree {tree}", *(f"parent {parent}" for parent in parents), f"author {who}", f"committer {who}"]
    return _sha("commit", "\n".join([*head, "", message]).encode())


def changed_tree(read: Callable[[str], Sequence[Entry]], base: str | None, changes: Mapping[str, Change]) -> str | None:
    """The id of tree `base` with path -> change laid over it; None when nothing is left. Raises PathFaultError."""
    entries = {entry.name: entry for entry in (read(base) if base else ())}
    below: defaultdict[str, dict[str, Change]] = defaultdict(dict)
    for path, change in changes.items():
        head, slash, rest = path.partition("/")
        if slash:
            below[head][rest] = change
        elif change is None:
            if head not in entries or entries[head].mode == FOLDER:
                raise PathFaultError(f"there is no file {head} to remove")
            del entries[head]
        else:
            if head in entries and entries[head].mode == FOLDER:
                raise PathFaultError(f"{head} is a folder")
            entries[head] = Entry(change[0], head, change[1])
    for name, inner in below.items():
        held = entries.get(name)
        if held is not None and held.mode != FOLDER:
            raise PathFaultError(f"{name} is a file, not a folder")
        sha = changed_tree(read, held.sha if held else None, inner)
        if sha is None:
            entries.pop(name, None)
        else:
            entries[name] = Entry(FOLDER, name, sha)
    return tree_sha(list(entries.values())) if entries else None


def full_tree(files: Mapping[str, tuple[str, str]]) -> str | None:
    """The id of the tree that holds exactly path -> (mode, blob id)."""
    return changed_tree(lambda _: (), None, files)


def _line(entry: Entry) -> bytes:
    return f"{entry.mode.lstrip('0')} {entry.name}".encode() + b"\0" + bytes.fromhex(entry.sha)


def _sha(kind: str, data: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()
