"""The gate's journal: append-only entries in SQLite, each durable before the next thing happens, in one hash chain.

An entry's hash covers its number, moment, run, kind, body and the hash before it. `journal.head` beside the
database remembers how far the chain had come, so that a cut-off tail or an older copy put back is noticed.
Whoever may write this folder could forge both: the folder is 0700, and the crew cannot even read it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from policies.change import canonical, digest_of
from policies.refusal import GateError
from policies.strict import decode
from policies.trust import instant

GENESIS = digest_of(b"countersign journal")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, run_id TEXT NOT NULL, kind TEXT NOT NULL,
    body TEXT NOT NULL, previous TEXT NOT NULL UNIQUE, hash TEXT NOT NULL UNIQUE) STRICT;
CREATE INDEX IF NOT EXISTS entries_by_run ON entries (run_id, number);
CREATE TABLE IF NOT EXISTS spent (
    signoff TEXT NOT NULL, seq INTEGER NOT NULL, attempt INTEGER NOT NULL, entry INTEGER NOT NULL UNIQUE,
    PRIMARY KEY (signoff, seq, attempt)) STRICT;
"""
_GUARDS = "".join(
    f"CREATE TRIGGER IF NOT EXISTS {table}_no_{act} BEFORE {act} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;"
    for table in ("entries", "spent")
    for act in ("UPDATE", "DELETE")
)


class JournalFaultError(Exception):
    """The journal cannot be used. Nothing may be submitted until a person has looked; the message says at what."""


class JournalTamperedError(JournalFaultError):
    """An entry was edited, removed, reordered or cut off, or the file is no journal any more."""


class AlreadySpentError(Exception):
    """Somebody else spent this attempt of the grant in the same moment."""


@dataclass(frozen=True)
class Entry:
    """One line of the journal. `body` is JSON."""

    number: int
    at: str
    run_id: str
    kind: str
    body: Mapping[str, Any]
    previous: str
    hash: str

    def computed(self) -> str:
        """The hash that the other fields demand."""
        covered = [self.number, self.at, self.run_id, self.kind, dict(self.body), self.previous]
        return digest_of(canonical(covered))


class Journal:
    """One open journal; safe to use from several threads, and from several processes at once."""

    def __init__(self, folder: Path, clock: Callable[[], datetime], *, checked: bool = True) -> None:
        """Open or begin the journal in `folder` and check it. Raises JournalFaultError.

        `checked=False` is for the kill switch alone: a stop is written down whatever else is wrong.
        """
        self._folder, self._clock = folder, clock
        self._lock = threading.RLock()
        with self._mended():
            self._db = sqlite3.connect(
                folder / "journal.sqlite3", isolation_level=None, check_same_thread=False, timeout=30
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA + _GUARDS)
        self._head_fd = self._open_head()
        if checked:
            self.verify()

    def append(self, run_id: str, kind: str, body: Mapping[str, Any]) -> Entry:
        """Write one entry; it is on disk when this returns. Raises JournalFaultError."""
        with self._transaction():
            entry = self._insert(run_id, kind, body)
        self._remember(entry)
        return entry

    def spend(self, run_id: str, signoff: str, seq: int, attempt: int, body: Mapping[str, Any]) -> Entry:
        """Write the intent of a call and spend its grant in one transaction.

        Raises AlreadySpentError when this attempt was spent before, JournalFaultError.
        """
        told = {**body, "signoff": signoff, "seq": seq, "attempt": attempt}
        try:
            with self._transaction():
                entry = self._insert(run_id, "intent", told)
                self._db.execute(
                    "INSERT INTO spent VALUES (?, ?, ?, ?)", (signoff, seq, attempt, entry.number)
                )
        except sqlite3.IntegrityError as fault:
            raise AlreadySpentError(f"grant {seq} is being submitted by another gate") from fault
        self._remember(entry)
        return entry

    def entries(self, run_id: str, after: int = 0) -> tuple[Entry, ...]:
        """The entries of a run with a higher number than `after`, oldest first. Raises JournalFaultError.

        JournalTamperedError for one that is not as it was written: what decides is checked when it is read.
        """
        with self._lock, self._mended():
            rows = self._db.execute(
                "SELECT * FROM entries WHERE run_id = ? AND number > ? ORDER BY number", (run_id, after)
            ).fetchall()
            found = tuple(map(_entry, rows))
            for entry in found:
                if entry.computed() != entry.hash:
                    raise self._tampered(f"entry {entry.number} is not as it was written")
            return found

    def runs(self) -> tuple[str, ...]:
        """Every run that has an entry, in the order of their first. Raises JournalFaultError."""
        with self._lock, self._mended():
            rows = self._db.execute(
                "SELECT run_id FROM entries GROUP BY run_id ORDER BY min(number)"
            ).fetchall()
            return tuple(row[0] for row in rows)

    def verify(self) -> None:
        """Walk the whole chain. Raises JournalTamperedError naming the first entry that does not fit."""
        with self._lock, self._mended():
            number, previous = 0, GENESIS
            told, seen = self._remembered(), (0, GENESIS)
            spent: set[int] = set()
            for entry in map(_entry, self._db.execute("SELECT * FROM entries ORDER BY number")):
                number += 1
                if entry.number != number or entry.previous != previous or entry.computed() != entry.hash:
                    raise self._tampered(f"entry {number} is missing or not as it was written")
                previous = entry.hash
                seen = (number, previous) if number == told[0] else seen
                if entry.kind == "intent":
                    spent.add(number)
            if told[0] and seen != told:
                raise self._tampered(
                    f"it had {told[0]} entries and has {number} now, or others in their place"
                )
            if spent != {row[0] for row in self._db.execute("SELECT entry FROM spent")}:
                raise self._tampered("the list of spent grants does not fit the intents")

    def close(self) -> None:
        """Close the files."""
        self._db.close()
        os.close(self._head_fd)

    def _insert(self, run_id: str, kind: str, body: Mapping[str, Any]) -> Entry:
        last = self._db.execute("SELECT number, hash FROM entries ORDER BY number DESC LIMIT 1").fetchone()
        number, previous = (last[0] + 1, last[1]) if last else (1, GENESIS)
        text = canonical(dict(body)).decode()
        plain = Entry(
            number, instant(self._clock()), run_id, kind, decode(text.encode(), "the entry"), previous, ""
        )
        entry = Entry(**{**plain.__dict__, "hash": plain.computed()})
        self._db.execute(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)",
            (entry.number, entry.at, run_id, kind, text, previous, entry.hash),
        )
        return entry

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, self._mended():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _mended(self) -> Iterator[None]:
        """SQLite's faults in words that say what to do."""
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.OperationalError as fault:
            advice = "check that the folder is yours and writable and that the disk has room, then run again"
            raise JournalFaultError(
                f"the journal in {self._folder} cannot be written ({fault}): {advice}"
            ) from fault
        except sqlite3.DatabaseError as fault:
            raise self._tampered(str(fault)) from fault

    def _tampered(self, what: str) -> JournalTamperedError:
        advice = "nothing is submitted on it; keep the folder as evidence, move it aside and compare with the targets"
        return JournalTamperedError(f"the journal in {self._folder} cannot be trusted ({what}): {advice}")

    def _open_head(self) -> int:
        path = self._folder / "journal.head"
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as fault:
            raise JournalFaultError(f"{path} cannot be written: {fault.strerror}") from fault

    def _remember(self, entry: Entry) -> None:
        # One small write, not synced: after a power cut the head may lag behind the chain, which is no fault.
        os.pwrite(self._head_fd, f"{entry.number:020d} {entry.hash}\n".encode(), 0)

    def _remembered(self) -> tuple[int, str]:
        text = os.pread(self._head_fd, 200, 0).decode("ascii", "replace").strip()
        if not text:
            return 0, GENESIS
        number, _, told = text.partition(" ")
        if not number.isdigit():
            raise self._tampered("journal.head is unreadable")
        return int(number), told


def _entry(row: tuple[Any, ...]) -> Entry:
    return Entry(row[0], row[1], row[2], row[3], _body(row[4]), row[5], row[6])


def _body(text: str) -> Mapping[str, Any]:
    """A body that is no canonical JSON any more gets a hash that fits nothing."""
    try:
        value = decode(text.encode(), "the entry")
    except GateError as fault:
        return {"unreadable": str(fault)}
    return value if isinstance(value, dict) else {"unreadable": text}
