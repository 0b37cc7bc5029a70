"""Where the objects live: in memory, written through to SQLite, with one rising resourceVersion and a log for watches.

Stored objects are never changed in place: every write replaces the whole object, so a reader may keep what it got.
"""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tools.sandbox.cluster.kinds import Kind

Json = dict[str, Any]
_REMEMBERED = 5000
"""Changes that a watch may still go on from; an older resourceVersion gets 410."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    grp TEXT NOT NULL, plural TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, manifest TEXT NOT NULL,
    PRIMARY KEY (grp, plural, namespace, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counter (only INTEGER PRIMARY KEY CHECK (only = 1), revision INTEGER NOT NULL);
INSERT OR IGNORE INTO counter VALUES (1, 1);
"""


@dataclass(frozen=True)
class Change:
    """One line of the log."""

    revision: int
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    kind: Kind
    manifest: Json
    before: Json | None


class Store:
    """Objects by kind, namespace and name. `database` is a file, made if missing, or ":memory:"."""

    def __init__(self, database: Path | str) -> None:
        # Made in the thread that builds, used in the one that serves; never in both at once.
        self._connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)
        self.revision: int = self._connection.execute("SELECT revision FROM counter").fetchone()[0]
        self._objects: dict[tuple[str, str], dict[tuple[str, str], Json]] = {}
        for group, plural, namespace, name, manifest in self._connection.execute("SELECT * FROM objects"):
            self._objects.setdefault((group, plural), {})[namespace, name] = json.loads(manifest)
        self._log: deque[Change] = deque(maxlen=_REMEMBERED)
        self._oldest = self.revision
        self._listeners: list[Callable[[Change], None]] = []

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call `listener` after every write; returns how to stop that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """The object, not to be changed, or None."""
        return self._objects.get((kind.group, kind.plural), {}).get((namespace, name))

    def items(self, kind: Kind, namespace: str = "") -> list[Json]:
        """All objects of a kind, of one namespace if given, by namespace and name."""
        held = self._objects.get((kind.group, kind.plural), {})
        return [held[key] for key in sorted(held) if not namespace or key[0] == namespace]

    def put(self, kind: Kind, manifest: Json) -> Json:
        """Store an object under a new resourceVersion; the object as stored."""
        metadata = manifest["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        before = self.get(kind, *key)
        stored = manifest | {"metadata": metadata | {"resourceVersion": str(self.revision + 1)}}
        row = (kind.group, kind.plural, *key, json.dumps(stored, separators=(",", ":")))
        self._write("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)", row)
        self._objects.setdefault((kind.group, kind.plural), {})[key] = stored
        self._tell(Change(self.revision, "MODIFIED" if before else "ADDED", kind, stored, before))
        return stored

    def delete(self, kind: Kind, namespace: str, name: str) -> Json:
        """Forget an object; its last form under the resourceVersion of its deletion. KeyError if there is none."""
        before = self._objects[kind.group, kind.plural][namespace, name]
        self._write(
            "DELETE FROM objects WHERE grp = ? AND plural = ? AND namespace = ? AND name = ?",
            (kind.group, kind.plural, namespace, name),
        )
        del self._objects[kind.group, kind.plural][namespace, name]
        last = before | {"metadata": before["metadata"] | {"resourceVersion": str(self.revision)}}
        self._tell(Change(self.revision, "DELETED", kind, last, before))
        return last

    def since(self, kind: Kind, revision: int) -> Iterator[Change] | None:
        """The changes of a kind after a resourceVersion, or None when the log no longer reaches back so far."""
        if revision < self._oldest:
            return None
        return (change for change in list(self._log) if change.kind is kind and change.revision > revision)

    def last(self, number: int) -> list[Change]:
        """The latest changes."""
        return list(self._log)[-number:]

    def _write(self, statement: str, row: tuple[str, ...]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.execute(statement, row)
            self._connection.execute("UPDATE counter SET revision = ?", (self.revision + 1,))
        except sqlite3.Error:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
        self.revision += 1

    def _tell(self, change: Change) -> None:
        if len(self._log) == _REMEMBERED:
            self._oldest = self._log[0].revision
        self._log.append(change)
        for listener in tuple(self._listeners):
            listener(change)
