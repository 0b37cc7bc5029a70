"""Each way to falsify the journal is noticed when it is opened again."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tools.gate.chain import entry_of
from tools.gate.journal import Journal, JournalFaultError, JournalTamperedError


def clock() -> datetime:
    return datetime(2026, 11, 2, tzinfo=UTC)


def filled(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    journal = Journal(folder, clock)
    for n in range(3):
        journal.append("run-1", "denied", {"n": n})
        journal.spend("run-1", "sha256:a", n + 1, 1, {"grant": "github.push_commit"})
    journal.append("run-2", "denied", {"n": 9})
    journal.close()
    return folder


def sql(*statements: str | tuple[str, tuple[object, ...]]) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        db = sqlite3.connect(folder / "journal.sqlite3", isolation_level=None)
        for name in ("entries_no_UPDATE", "entries_no_DELETE", "spent_no_UPDATE", "spent_no_DELETE"):
            db.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            db.execute(*([statement] if isinstance(statement, str) else statement))
        db.close()

    return act


def rolled_back(folder: Path) -> None:
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    journal = Journal(folder, clock)
    journal.append("run-1", "denied", {"n": 10})
    journal.close()
    for path in folder.glob("journal.sqlite3*"):
        path.unlink()
    for path in copy.glob("journal.sqlite3*"):
        shutil.copy(path, folder / path.name)


def begun_anew(folder: Path) -> None:
    for path in folder.glob("journal.sqlite3*"):
        path.unlink()
    other = folder.with_name("other")
    other.mkdir()
    journal = Journal(other, clock)
    for n in range(9):
        journal.append("run-1", "denied", {"other": n})
    journal.close()
    shutil.copy(other / "journal.sqlite3", folder / "journal.sqlite3")


def rewritten(number: int) -> Callable[[Path], None]:
    """An entry with another body and the hash that fits it."""

    def act(folder: Path) -> None:
        db = sqlite3.connect(folder / "journal.sqlite3")
        row = db.execute("SELECT * FROM entries WHERE number = ?", (number,)).fetchone()
        db.close()
        other = replace(entry_of(row), body={"n": 99})
        change = "UPDATE entries SET body = ?, hash = ? WHERE number = ?"
        sql((change, ('{"n":99}', other.computed(), number)))(folder)

    return act


TAMPERINGS: list[tuple[str, Callable[[Path], None]]] = [
    ("a body edited", sql("""UPDATE entries SET body = '{"n":7}' WHERE number = 3""")),
    ("a body that is no JSON", sql("UPDATE entries SET body = 'x' WHERE number = 3")),
    ("a body spelled otherwise", sql("""UPDATE entries SET body = '{ "n": 1}' WHERE number = 3""")),
    ("a moment edited", sql("UPDATE entries SET at = '2020-01-01T00:00:00Z' WHERE number = 2")),
    ("a run renamed", sql("UPDATE entries SET run_id = 'run-9' WHERE number = 2")),
    ("a kind changed", sql("UPDATE entries SET kind = 'confirmed' WHERE number = 1")),
    ("a hash edited", sql("UPDATE entries SET hash = 'sha256:0' WHERE number = 4")),
    ("the first entry removed", sql("DELETE FROM entries WHERE number = 1")),
    ("one in the middle removed", sql("DELETE FROM entries WHERE number = 3")),
    ("one removed, the rest renumbered", sql("DELETE FROM entries WHERE number = 3", "UPDATE entries SET number = number - 1 WHERE number > 3")),
    ("two exchanged", sql("UPDATE entries SET number = -1 WHERE number = 2", "UPDATE entries SET number = 2 WHERE number = 3", "UPDATE entries SET number = 3 WHERE number = -1")),
    ("the last cut off", sql("DELETE FROM entries WHERE number = 7")),
    ("all cut off", sql("DELETE FROM entries", "DELETE FROM spent")),
    ("one in the middle rewritten with a hash that fits", rewritten(3)),
    ("the last rewritten with a hash that fits", rewritten(7)),
    ("a spent grant freed", sql("DELETE FROM spent WHERE seq = 2")),
    ("a grant spent by nobody", sql("INSERT INTO spent VALUES ('sha256:b', 1, 1, 7)")),
    ("an older copy put back", rolled_back),
    ("another journal in its place", begun_anew),
    ("the file overwritten", lambda f: (f / "journal.sqlite3").write_bytes(b"not a database " * 100)),
    ("the head overwritten", lambda f: (f / "journal.head").write_text("xyz")),
]  # fmt: skip


@pytest.mark.parametrize("tamper", [row[1] for row in TAMPERINGS], ids=[row[0] for row in TAMPERINGS])
def test_tampering_is_found(tmp_path: Path, tamper: Callable[[Path], None]) -> None:
    folder = filled(tmp_path / "gate")
    Journal(folder, clock).close()
    tamper(folder)
    with pytest.raises(JournalTamperedError, match="cannot be trusted"):
        Journal(folder, clock)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE entries SET kind = 'x'", "DELETE FROM entries", "UPDATE spent SET seq = 9", "DELETE FROM spent"],
)
def test_entries_are_append_only(tmp_path: Path, statement: str) -> None:
    folder = filled(tmp_path / "gate")
    db = sqlite3.connect(folder / "journal.sqlite3")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute(statement)
    db.close()


def test_a_head_that_lags_behind_is_no_fault(tmp_path: Path) -> None:
    folder = filled(tmp_path / "gate")
    before = (folder / "journal.head").read_bytes()
    journal = Journal(folder, clock)
    journal.append("run-1", "denied", {})
    journal.close()
    (folder / "journal.head").write_bytes(before)
    Journal(folder, clock).close()


def test_two_processes_append_to_one_chain(tmp_path: Path) -> None:
    one, two = Journal(tmp_path, clock), Journal(tmp_path, clock)
    for n in range(10):
        (one if n % 2 else two).append("run-1", "denied", {"n": n})
    one.verify()
    assert [e.body["n"] for e in two.entries("run-1")] == list(range(10))
    assert one.runs() == ("run-1",)
    one.close()
    two.close()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalFaultError, match="cannot be written"):
        Journal(tmp_path / "missing", clock)


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    folder = filled(tmp_path / "gate")
    journal = Journal(folder, clock)
    journal._db.execute("PRAGMA max_page_count = 1")
    with pytest.raises(JournalFaultError, match="disk has room"):
        journal.append("run-1", "denied", {"text": "x" * 100_000})
    journal.close()
    Journal(folder, clock).close()
