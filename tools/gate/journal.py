"""The gate's journal: append-only entries in SQLite, each durable before the next thing happens, in one hash chain.

An entry's hash covers its number, moment, run, kind, body and the hash before it; signed checkpoints stand over the
chain, each written with the entry that it covers. `journal.head` beside the database remembers how far the chain had
come, so that a cut-off tail is noticed. Whoever may write this folder could forge all of it: the folder is 0700, the
crew cannot even read it, and a checkpoint that was kept elsewhere tells.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from policies.change import canonical
from policies.refusal import GateError
from policies.strict import decode
from policies.trust import instant
from tools.gate.audit import Snapshot, continues, examine
from tools.gate.chain import GENESIS, Entry, entry_of
from tools.gate.checkpoints import EVERY, SEALED, Checkpoint, Pen

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, run_id TEXT NOT NULL, kind TEXT NOT NULL,
    body TEXT NOT NULL, previous TEXT NOT NULL UNIQUE, hash TEXT NOT NULL UNIQUE) STRICT;
CREATE INDEX IF NOT EXISTS entries_by_run ON entries (run_id, number);
CREATE TABLE IF NOT EXISTS spent (
    signoff TEXT NOT NULL, seq INTEGER NOT NULL, attempt INTEGER NOT NULL, entry INTEGER NOT NULL UNIQUE,
    PRIMARY KEY (signoff, seq, attempt)) STRICT;
CREATE TABLE IF NOT EXISTS checkpoints (
    number INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, bundle TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS intents ON entries (number) WHERE kind = 'intent';
"""
_GUARDS = "".join(
    f"CREATE TRIGGER IF NOT EXISTS {table}_no_{act} BEFORE {act} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;"
    for table in ("entries", "spent", "checkpoints")
    for act in ("UPDATE", "DELETE")
)


_ROWS = "SELECT number, at, run_id, kind, body, previous, hash FROM entries "


class JournalFaultError(Exception):
    """The journal cannot be used. Nothing may be submitted until a person has looked; the message says at what."""


class JournalTamperedError(JournalFaultError):
    """An entry was edited, removed, reordered or cut off, or the file is no journal any more."""


class AlreadySpentError(Exception):
    """Somebody else spent this attempt of the grant in the same moment."""


class Journal:
    """One open journal; safe to use from several threads, and from several processes at once."""

    def __init__(
        self, folder: Path, clock: Callable[[], datetime], pen: Pen | None = None, *, checked: bool = True
    ) -> None:
        """Open or begin the journal in `folder` and check it. Raises JournalFaultError.

        `pen` signs checkpoints, and the newest that it can read spares what lies before it the check; without one all
        is checked. `checked=False` is for the kill switch alone: a stop is written down whatever else is wrong.
        """
        self._folder, self._clock, self._pen = folder, clock, pen
        self._lock = threading.RLock()
        with self._mended():
            self._db = sqlite3.connect(
                folder / "journal.sqlite3", isolation_level=None, check_same_thread=False, timeout=30
            )
            self._db.text_factory = _text
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA + _GUARDS)
        self._head_fd = self._open_head()
        if checked:
            self._check()

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
            found = tuple(map(entry_of, rows))
            for entry in found:
                if not entry.whole:
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
            for flaw in examine(self._snapshot(), self._pen.trust if self._pen else None, {}):
                if flaw.name != "unsigned":
                    raise self._tampered(f"{flaw.name}: entry {flaw.entry}: {flaw.what}")

    def checkpoint(self) -> str | None:
        """The newest checkpoint, which is one over the last entry now; None without a pen or an entry. Raises JournalFaultError."""
        with self._transaction():
            last = self._last()
            if self._pen is not None and last is not None and self._sealed()[0] < last[0]:
                self._seal(self._pen, *last)
            row = self._db.execute("SELECT bundle FROM checkpoints ORDER BY number DESC LIMIT 1").fetchone()
            return str(row[0]) if row else None

    def close(self) -> None:
        """Close the files."""
        self._db.close()
        os.close(self._head_fd)

    def _check(self) -> None:
        """All of it, or what came after the newest checkpoint of a key that still counts."""
        with self._lock, self._mended():
            row = self._db.execute("SELECT bundle FROM checkpoints ORDER BY number DESC LIMIT 1").fetchone()
            try:
                said = self._pen.read(row[0]).checkpoint if self._pen and row else None
            except GateError:
                said = None  # a key that was replaced since: the full walk says whether its signatures fit
            if said is None:
                self.verify()
                return
            head = self._remembered()
            rows = self._db.execute(_ROWS + "WHERE number >= ? ORDER BY number", (said.number,))
            first = entry_of(row) if (row := rows.fetchone()) else None
            if first is None or (first.number, first.hash) != (said.number, said.head) or not first.whole:
                raise self._tampered(f"entry {said.number} is not the one that a checkpoint was signed over")
            for flaw in continues(rows, said.number, said.head):
                raise self._tampered(f"{flaw.name}: entry {flaw.entry}: {flaw.what}")
            self._check_counts(head)

    def _check_counts(self, head: tuple[int, str]) -> None:
        """Nothing is missing before the checkpoint, the head is there, and each intent is spent."""
        last, count = self._db.execute("SELECT max(number), count(*) FROM entries").fetchone()
        known = self._db.execute("SELECT hash FROM entries WHERE number = ?", (head[0],)).fetchone()
        if last != count or (head[0] and (known is None or known[0] != head[1])):
            raise self._tampered(f"it had {head[0]} entries and has {count} now, or others in their place")
        unspent = "SELECT count(*) FROM entries LEFT JOIN spent ON entry = number WHERE kind = 'intent' AND entry IS NULL"
        counts = "SELECT (SELECT count(*) FROM spent), (SELECT count(*) FROM entries WHERE kind = 'intent')"
        spent, intents = self._db.execute(counts).fetchone()
        if spent != intents or self._db.execute(unspent).fetchone()[0]:
            raise self._tampered("the list of spent grants does not fit the intents")

    def _snapshot(self) -> Snapshot:
        head = os.pread(self._head_fd, 200, 0).decode("ascii", "replace")
        return snapshot(self._db, head)

    def _insert(self, run_id: str, kind: str, body: Mapping[str, Any]) -> Entry:
        number, previous = self._last() or (0, GENESIS)
        text = canonical(dict(body)).decode()
        at, told = instant(self._clock()), decode(text.encode(), "the entry")
        plain = Entry(number + 1, at, run_id, kind, told, previous, "")
        entry = replace(plain, hash=plain.computed())
        self._db.execute(
            "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)",
            (entry.number, entry.at, run_id, kind, text, previous, entry.hash),
        )
        if self._pen is not None and (kind in SEALED or entry.number - self._sealed()[0] >= EVERY):
            self._seal(self._pen, entry.number, entry.hash)
        return entry

    def _last(self) -> tuple[int, str] | None:
        row = self._db.execute("SELECT number, hash FROM entries ORDER BY number DESC LIMIT 1").fetchone()
        return (int(row[0]), str(row[1])) if row else None

    def _sealed(self) -> tuple[int, str]:
        """Number and digest of the newest checkpoint."""
        row = self._db.execute(
            "SELECT number, digest FROM checkpoints ORDER BY number DESC LIMIT 1"
        ).fetchone()
        return (int(row[0]), str(row[1])) if row else (0, GENESIS)

    def _seal(self, pen: Pen, number: int, head: str) -> None:
        said = Checkpoint(number=number, head=head, at=instant(self._clock()), previous=self._sealed()[1])
        if not pen.counts(said.at):
            raise JournalFaultError(
                "the journal's key is expired, revoked or not in the trust file: `countersign keys rotate journal`, then run again"
            )
        bundle, digest = pen.write(said)
        self._db.execute("INSERT INTO checkpoints VALUES (?, ?, ?)", (number, digest, bundle))

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


def snapshot(db: sqlite3.Connection, head: str) -> Snapshot:
    """A journal as one transaction sees it; `head` is what journal.head said before."""
    db.execute("BEGIN")
    try:
        return Snapshot(
            rows=db.execute(_ROWS + "ORDER BY number").fetchall(),
            spent=[row[0] for row in db.execute("SELECT entry FROM spent")],
            checkpoints=db.execute(
                "SELECT number, digest, bundle FROM checkpoints ORDER BY number"
            ).fetchall(),
            head=head,
        )
    finally:
        db.execute("ROLLBACK")


def _text(data: bytes) -> str:
    """Bytes that are no UTF-8 any more become a text whose hash fits nothing."""
    return data.decode("utf-8", "replace")
