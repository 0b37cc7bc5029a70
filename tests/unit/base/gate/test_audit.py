"""A thousand random tamperings of a signed journal are all found, each by the audit and by name; what is benign is clean."""

# ruff: noqa: S311, S608 - a seeded dice, and the names of our own columns

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from policies.trust import Trust
from tests.fakes.gate import trusted
from tools.gate.audit import Flaw, examine
from tools.gate.chain import GENESIS, entry_of
from tools.gate.checkpoints import Checkpoint, Pen
from tools.gate.journal import Journal, JournalFaultError, JournalTamperedError, snapshot
from tools.gate.stop import stop
from tools.launch import audit

TAMPERINGS = 1000
SEED = int(os.environ.get("COUNTERSIGN_SEED", "20261126"))
ENTRIES = 60
KINDS = ("opened", "deposited", "denied", "alarm", "never")
TRIGGERS = [f"{t}_no_{act}" for t in ("entries", "spent", "checkpoints") for act in ("UPDATE", "DELETE")]


def clock() -> datetime:
    return datetime(2026, 11, 2, tzinfo=UTC)


def pen_of(*roles: str) -> Pen:
    signer = CryptoSigner.generate_ed25519()
    return Pen(signer, Trust(keys=(trusted(signer, rehearsal=False, roles=roles or ("journal",)),)))


def written(folder: Path, pen: Pen | None, entries: int = ENTRIES, start: int = 0) -> Path:
    """Intents with their effects, and whatever else."""
    folder.mkdir(exist_ok=True)
    journal = Journal(folder, clock, pen)
    for n in range(start, start + entries // 3):
        run = f"run-{n % 3}"
        journal.append(run, KINDS[n % len(KINDS)], {"n": n, "text": "x" * (n % 7)})
        journal.spend(run, "sha256:" + "a" * 64, n + 1, 1, {"grant": "github.push_commit"})
        told = {"signoff": "sha256:" + "a" * 64, "seq": n + 1, "attempt": 1, "facts": {"commit": str(n)}}
        journal.append(run, "effect", told)
    journal.close()
    return folder


def opened(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / "journal.sqlite3", isolation_level=None)


def flaws(folder: Path, trust: Trust, witnesses: dict[str, str] | None = None) -> list[Flaw]:
    db = opened(folder)
    db.text_factory = lambda data: data.decode("utf-8", "replace")
    try:
        return examine(snapshot(db, (folder / "journal.head").read_text()), trust, witnesses or {})
    finally:
        db.close()


@dataclass
class Hand:
    """Whoever may write the folder and does not hold the journal's key."""

    folder: Path
    db: sqlite3.Connection
    dice: random.Random

    def number(self, first: int = 1) -> int:
        return self.dice.randint(first, ENTRIES)

    def head(self, number: int) -> None:
        """Make journal.head say that the chain ends here."""
        row = self.db.execute("SELECT hash FROM entries WHERE number = ?", (number,)).fetchone()
        text = f"{number:020d} {row[0]}\n" if row else ""
        (self.folder / "journal.head").write_text(text)

    def rehashed(self, first: int) -> None:
        """Give every entry from `first` on the number, predecessor and hash that fit."""
        rows = self.db.execute("SELECT * FROM entries WHERE number >= ? ORDER BY number", (first,)).fetchall()
        before = self.db.execute("SELECT hash FROM entries WHERE number = ?", (first - 1,)).fetchone()
        previous, number = before[0] if before else GENESIS, first
        self.db.execute("DELETE FROM entries WHERE number >= ?", (first,))
        for row in rows:
            made = replace(entry_of(row), number=number, previous=previous)
            made = replace(made, hash=made.computed())
            self.db.execute(
                "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", (number, *row[1:5], previous, made.hash)
            )
            previous, number = made.hash, number + 1
        intents = [r[0] for r in self.db.execute("SELECT number FROM entries WHERE kind = 'intent'")]
        self.db.execute("DELETE FROM spent")
        for seq, entry in enumerate(intents, 1):
            self.db.execute("INSERT INTO spent VALUES ('sha256:x', ?, 1, ?)", (seq, entry))
        self.head(number - 1)


def edited(hand: Hand) -> None:
    column = hand.dice.choice(["at", "run_id", "kind", "body", "previous", "hash"])
    number = hand.number()
    text = hand.db.execute(f"SELECT {column} FROM entries WHERE number = ?", (number,)).fetchone()[0]
    at = hand.dice.randrange(len(text))
    other = chr((ord(text[at]) + hand.dice.randint(1, 90)) % 0x250 or 1)
    hand.db.execute(
        f"UPDATE entries SET {column} = ? WHERE number = ?", (text[:at] + other + text[at + 1 :], number)
    )


def rewritten(hand: Hand) -> None:
    """One body replaced and its hash made to fit."""
    number = hand.number()
    row = list(hand.db.execute("SELECT * FROM entries WHERE number = ?", (number,)).fetchone())
    row[4] = json.dumps({"n": hand.dice.randrange(10**6)})
    row[4] = row[4].replace(" ", "")
    made = entry_of(row)
    hand.db.execute(
        "UPDATE entries SET body = ?, hash = ? WHERE number = ?", (row[4], made.computed(), number)
    )
    if hand.dice.random() < 0.5:
        hand.head(ENTRIES)


def rewritten_to_the_end(hand: Hand) -> None:
    """One body replaced, and the whole chain after it made to fit, journal.head too."""
    number = hand.number()
    hand.db.execute("""UPDATE entries SET body = '{"n":-1}' WHERE number = ?""", (number,))
    hand.rehashed(number)


def removed(hand: Hand) -> None:
    first = hand.number()
    last = min(ENTRIES, first + hand.dice.randrange(4))
    hand.db.execute("DELETE FROM entries WHERE number BETWEEN ? AND ?", (first, last))


def removed_and_closed_up(hand: Hand) -> None:
    """An entry removed, those after it renumbered, and sometimes hashed anew."""
    number = hand.number(1)
    hand.db.execute("DELETE FROM entries WHERE number = ?", (number,))
    if hand.dice.random() < 0.5:
        hand.rehashed(number)
    else:
        hand.db.execute("UPDATE entries SET number = -number WHERE number > ?", (number,))
        hand.db.execute("UPDATE entries SET number = -number - 1 WHERE number < 0")


def exchanged(hand: Hand) -> None:
    one, two = hand.dice.sample(range(1, ENTRIES + 1), 2)
    for old, new in ((one, -1), (two, one), (-1, two)):
        hand.db.execute("UPDATE entries SET number = ? WHERE number = ?", (new, old))


def cut_off(hand: Hand) -> None:
    """The tail; sometimes with all that stands beside it but the checkpoints."""
    number = hand.number()
    hand.db.execute("DELETE FROM entries WHERE number >= ?", (number,))
    if hand.dice.random() < 0.7:
        hand.db.execute("DELETE FROM spent WHERE entry >= ?", (number,))
        hand.head(number - 1)


def inserted(hand: Hand) -> None:
    """An entry of one's own at the end, well hashed; an effect that never was, or a confirmation."""
    last = hand.db.execute("SELECT * FROM entries ORDER BY number DESC LIMIT 1").fetchone()
    kind = hand.dice.choice(["effect", "confirmed", "concluded"])
    made = replace(entry_of(last), number=last[0] + 1, kind=kind, body={"forged": 1}, previous=last[6])
    row = (made.number, made.at, made.run_id, kind, '{"forged":1}', made.previous, made.computed())
    hand.db.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    hand.head(made.number)


def freed(hand: Hand) -> None:
    hand.db.execute("DELETE FROM spent WHERE seq = ?", (hand.dice.randint(1, ENTRIES // 3),))


def spent_by_nobody(hand: Hand) -> None:
    number = hand.dice.choice([n for n in range(1, ENTRIES + 1) if n % 3 != 2])
    hand.db.execute("INSERT INTO spent VALUES ('sha256:z', 1, 1, ?)", (number,))


def head_changed(hand: Hand) -> None:
    path = hand.folder / "journal.head"
    text = path.read_text()
    at = hand.dice.randrange(21, len(text.strip()))
    path.write_text(text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :])


def checkpoint_changed(hand: Hand) -> None:
    """Any character of a bundle, or the digest it is filed under."""
    number = hand.dice.randint(1, ENTRIES // 3) * 3
    column = hand.dice.choice(["digest", "bundle"])
    text = hand.db.execute(f"SELECT {column} FROM checkpoints WHERE number = ?", (number,)).fetchone()[0]
    at = hand.dice.randrange(len(text))
    other = hand.dice.choice([c for c in "abcXYZ0189" if c != text[at]])
    hand.db.execute(
        f"UPDATE checkpoints SET {column} = ? WHERE number = ?", (text[:at] + other + text[at + 1 :], number)
    )


def checkpoint_removed(hand: Hand) -> None:
    hand.db.execute("DELETE FROM checkpoints WHERE number = ?", (hand.dice.randint(1, ENTRIES // 3) * 3,))


def checkpoints_removed(hand: Hand) -> None:
    hand.db.execute("DELETE FROM checkpoints")
    if hand.dice.random() < 0.5:
        rewritten_to_the_end(hand)


def checkpoints_exchanged(hand: Hand) -> None:
    one, two = (n * 3 for n in hand.dice.sample(range(1, ENTRIES // 3 + 1), 2))
    for old, new in ((one, -1), (two, one), (-1, two)):
        hand.db.execute("UPDATE checkpoints SET number = ? WHERE number = ?", (new, old))


def signed_by_another(hand: Hand) -> None:
    """A fork under checkpoints of a key that is not in the trust file, or not for this."""
    rewritten_to_the_end(hand)
    head = hand.db.execute("SELECT hash FROM entries WHERE number = ?", (ENTRIES,)).fetchone()[0]
    hand.db.execute("DELETE FROM checkpoints WHERE number = ?", (ENTRIES,))
    said = Checkpoint(number=ENTRIES, head=head, at="2026-11-02T00:00:00Z", previous=GENESIS)
    bundle, digest = pen_of().write(said)
    hand.db.execute("INSERT INTO checkpoints VALUES (?, ?, ?)", (ENTRIES, digest, bundle))


def rolled_back(hand: Hand) -> None:
    """Everything in the folder as it was some entries ago, in itself without a flaw."""
    number = hand.dice.randrange(3, ENTRIES, 3)
    hand.db.execute("DELETE FROM entries WHERE number > ?", (number,))
    hand.db.execute("DELETE FROM spent WHERE entry > ?", (number,))
    hand.db.execute("DELETE FROM checkpoints WHERE number > ?", (number,))
    hand.head(number)


HANDS: list[Callable[[Hand], None]] = [
    edited, rewritten, rewritten_to_the_end, removed, removed_and_closed_up, exchanged, cut_off, inserted, freed, spent_by_nobody,
    head_changed, checkpoint_changed, checkpoint_removed, checkpoints_removed, checkpoints_exchanged, signed_by_another, rolled_back,
]  # fmt: skip


@pytest.fixture(scope="module")
def pen() -> Pen:
    return pen_of()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, pen: Pen) -> Path:
    """A finished journal with a checkpoint at each effect."""
    folder = written(tmp_path_factory.mktemp("journal") / "gate", pen)
    db = opened(folder)
    db.execute("PRAGMA journal_mode=DELETE")  # one file to copy
    db.close()
    return folder


def newest(folder: Path) -> str:
    db = opened(folder)
    bundle = db.execute("SELECT bundle FROM checkpoints ORDER BY number DESC LIMIT 1").fetchone()[0]
    db.close()
    return str(bundle)


def tampered(model: Path, folder: Path, act: Callable[[Hand], None], dice: random.Random) -> None:
    """A copy of the model after `act`, with the guards back in place."""
    shutil.copytree(model, folder)
    db = opened(folder)
    db.execute("PRAGMA synchronous=OFF")
    guards = [r[0] for r in db.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'")]
    db.execute("BEGIN")
    for name in TRIGGERS:
        db.execute(f"DROP TRIGGER {name}")
    act(Hand(folder, db, dice))
    for guard in guards:
        db.execute(guard)
    db.execute("COMMIT")
    db.close()


def test_a_thousand_random_tamperings_are_all_found(model: Path, pen: Pen, tmp_path: Path) -> None:
    print(f"COUNTERSIGN_SEED={SEED}")
    kept = {"elsewhere": newest(model)}
    missed = []
    for n in range(TAMPERINGS):
        dice = random.Random(f"{SEED}/{n}")
        act = HANDS[n % len(HANDS)]
        folder = tmp_path / "copy"
        tampered(model, folder, act, dice)
        found = flaws(folder, pen.trust, kept)
        if not found or not any(f.entry is not None or f.name in {"checkpoint", "unreadable"} for f in found):
            missed.append((n, act.__name__))
        shutil.rmtree(folder)
    assert not missed, f"seed {SEED}: {missed}"


NAMED = [
    (edited, {"edited", "forked"}), (removed, {"missing", "truncated"}), (exchanged, {"reordered"}), (cut_off, {"truncated"}),
    (rewritten_to_the_end, {"forked"}), (freed, {"spent"}), (rolled_back, {"rolled-back"}), (checkpoints_removed, {"unsigned"}),
    (signed_by_another, {"checkpoint"}), (inserted, {"checkpoint"}), (head_changed, {"forked"}),
]  # fmt: skip


@pytest.mark.parametrize(("act", "names"), NAMED, ids=[act.__name__ for act, _ in NAMED])
def test_it_is_called_by_its_name(
    model: Path, pen: Pen, tmp_path: Path, act: Callable[[Hand], None], names: set[str]
) -> None:
    for n in range(8):
        tampered(model, tmp_path / str(n), act, random.Random(f"{SEED}/name/{n}"))
        found = {flaw.name for flaw in flaws(tmp_path / str(n), pen.trust, {"elsewhere": newest(model)})}
        assert found & names, (n, found)


def test_the_entry_is_named(model: Path, pen: Pen, tmp_path: Path) -> None:
    def act(hand: Hand) -> None:
        hand.db.execute("UPDATE entries SET run_id = 'run-9' WHERE number = 17")
        hand.db.execute("DELETE FROM entries WHERE number BETWEEN 30 AND 33")

    tampered(model, tmp_path / "copy", act, random.Random(1))
    found = [
        (f.name, f.entry) for f in flaws(tmp_path / "copy", pen.trust) if f.name in {"edited", "missing"}
    ]
    assert found == [("edited", 17), ("missing", 30)]


def test_a_tail_that_no_checkpoint_covers_yet_is_missed_by_the_head(
    model: Path, pen: Pen, tmp_path: Path
) -> None:
    folder = tmp_path / "gate"
    shutil.copytree(model, folder)
    journal = Journal(folder, clock, pen)
    journal.append("run-1", "denied", {"n": 1})
    journal.close()
    tampered(
        folder,
        tmp_path / "cut",
        lambda hand: hand.db.execute("DELETE FROM entries WHERE number > 60") and None,
        random.Random(1),
    )
    assert [(f.name, f.entry) for f in flaws(tmp_path / "cut", pen.trust)] == [("truncated", 61)]


def test_a_fork_with_the_journals_own_key_is_seen_by_who_kept_a_checkpoint(
    model: Path, pen: Pen, tmp_path: Path
) -> None:
    """Two machines went on from one copy: each is flawless in itself."""
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, start in ((one, 100), (two, 200)):
        shutil.copytree(model, folder)
        written(folder, pen, 9, start)
    assert flaws(one, pen.trust) == flaws(two, pen.trust) == []
    told = flaws(two, pen.trust, {"one": newest(one)})
    assert [(f.name, f.entry) for f in told] == [("forked", ENTRIES + 9)]


def test_a_checkpoint_of_a_key_with_another_role_does_not_count(model: Path, pen: Pen) -> None:
    (key,) = pen.trust.keys
    notary = Trust(keys=(key.model_copy(update={"roles": ("security",)}),))
    assert {f.name for f in flaws(model, notary)} == {"checkpoint"}


def benign_appends(folder: Path, pen: Pen) -> None:
    written(folder, pen, 30, 500)


def benign_head_that_lags(folder: Path, pen: Pen) -> None:
    before = (folder / "journal.head").read_bytes()
    written(folder, pen, 6, 500)
    (folder / "journal.head").write_bytes(before)


def benign_two_writers(folder: Path, pen: Pen) -> None:
    one, two = Journal(folder, clock, pen), Journal(folder, clock, pen)
    for n in range(20):
        (one, two)[n % 2].append("run-7", "effect", {"n": n})
    one.close()
    two.close()


def benign_kill(folder: Path, pen: Pen) -> None:
    """A process that ends without a word."""
    if (child := os.fork()) == 0:
        journal = Journal(folder, clock, pen)
        journal.append("run-8", "effect", {"n": 1})
        os._exit(0)
    os.waitpid(child, 0)


def benign_vacuum(folder: Path, _: Pen) -> None:
    db = opened(folder)
    db.execute("VACUUM")
    db.close()


def benign_stop(folder: Path, _: Pen) -> None:
    """The kill switch writes without the journal's key."""
    journal = Journal(folder, clock, checked=False)
    stop(journal, "run-1", person="kim", reason="")
    journal.close()


def benign_denials(folder: Path, pen: Pen) -> None:
    journal = Journal(folder, clock, pen)
    for n in range(200):
        journal.append("run-1", "denied", {"n": n})
    journal.close()


BENIGN = [
    benign_appends, benign_head_that_lags, benign_two_writers, benign_kill, benign_vacuum, benign_stop, benign_denials,
]  # fmt: skip


@pytest.mark.parametrize("act", BENIGN, ids=[act.__name__ for act in BENIGN])
def test_what_is_benign_is_clean_and_opens_again(
    model: Path, pen: Pen, tmp_path: Path, act: Callable[[Path, Pen], None]
) -> None:
    folder = tmp_path / "gate"
    shutil.copytree(model, folder)
    kept = {"before": newest(folder)}
    act(folder, pen)
    Journal(folder, clock, pen).close()
    assert flaws(folder, pen.trust, kept) == []


def test_a_checkpoint_is_never_further_away_than_sixty_four_entries(pen: Pen, tmp_path: Path) -> None:
    journal = Journal(tmp_path, clock, pen)
    for n in range(200):
        journal.append("run-1", "denied", {"n": n})
    journal.close()
    db = opened(tmp_path)
    assert [r[0] for r in db.execute("SELECT number FROM checkpoints ORDER BY number")] == [64, 128, 192]
    db.close()


REOPENED: list[tuple[str, str]] = [
    ("an entry after the checkpoint edited", "UPDATE entries SET kind = 'never' WHERE number = 62"),
    ("the entry under the checkpoint edited", "UPDATE entries SET run_id = 'x' WHERE number = 60"),
    ("one long before it removed", "DELETE FROM entries WHERE number = 4"),
    ("a grant spent long before it freed", "DELETE FROM spent WHERE entry = 5"),
    ("a grant spent by nobody", "INSERT INTO spent VALUES ('sha256:z', 1, 1, 4)"),
    ("a grant spent by another entry", "UPDATE spent SET entry = 4 WHERE entry = 5"),
    ("the tail cut off", "DELETE FROM entries WHERE number > 61"),
]


@pytest.mark.parametrize("statement", [row[1] for row in REOPENED], ids=[row[0] for row in REOPENED])
def test_opening_checks_what_came_after_the_last_checkpoint_and_that_nothing_is_gone(
    model: Path, pen: Pen, tmp_path: Path, statement: str
) -> None:
    folder = tmp_path / "gate"
    shutil.copytree(model, folder)
    journal = Journal(folder, clock, pen)
    for n in range(4):
        journal.append("run-1", "denied", {"n": n})
    journal.close()
    db = opened(folder)
    for name in TRIGGERS:
        db.execute(f"DROP TRIGGER {name}")
    db.execute(statement)
    db.close()
    with pytest.raises(JournalTamperedError):
        Journal(folder, clock, pen)


def test_a_run_is_checked_when_it_is_read_wherever_its_entries_stand(
    model: Path, pen: Pen, tmp_path: Path
) -> None:
    folder = tmp_path / "gate"
    shutil.copytree(model, folder)
    db = opened(folder)
    for name in TRIGGERS:
        db.execute(f"DROP TRIGGER {name}")
    db.execute("""UPDATE entries SET body = '{"n":7}' WHERE number = 1""")
    db.close()
    journal = Journal(folder, clock, pen)
    assert journal.entries("run-1")
    with pytest.raises(JournalTamperedError, match="entry 1"):
        journal.entries("run-0")
    with pytest.raises(JournalTamperedError, match="entry 1"):
        journal.verify()
    journal.close()


def test_after_a_new_key_the_first_opening_walks_all_of_it(model: Path, pen: Pen, tmp_path: Path) -> None:
    folder = tmp_path / "gate"
    shutil.copytree(model, folder)
    signer = CryptoSigner.generate_ed25519()
    both = Pen(signer, Trust(keys=(*pen.trust.keys, trusted(signer, rehearsal=False, roles=("journal",)))))
    Journal(folder, clock, both).close()
    revoked = tuple(k.model_copy(update={"revoked": True}) for k in pen.trust.keys)
    rotated = replace(both, trust=both.trust.model_copy(update={"keys": (*revoked, both.trust.keys[-1])}))
    with pytest.raises(JournalTamperedError, match="checkpoint"):
        Journal(folder, clock, rotated)


def test_a_checkpoint_from_outside_its_keys_life_does_not_count(model: Path, pen: Pen) -> None:
    (key,) = pen.trust.keys
    young = key.model_copy(update={"not_before": "2026-11-03T00:00:00Z"})
    assert {f.name for f in flaws(model, Trust(keys=(young,)))} == {"checkpoint"}


@pytest.mark.parametrize(
    "edits",
    [{"revoked": True}, {"roles": ("security",)}, {"not_after": "2026-11-01T12:00:00Z"}],
    ids=["revoked", "of another role", "expired"],
)
def test_a_key_that_does_not_count_signs_nothing_and_the_entry_is_not_written(
    pen: Pen, tmp_path: Path, edits: dict[str, Any]
) -> None:
    """It would close the journal for ever: no later opening could trust it."""
    (key,) = pen.trust.keys
    journal = Journal(tmp_path, clock, replace(pen, trust=Trust(keys=(key.model_copy(update=edits),))))
    with pytest.raises(JournalFaultError, match="keys rotate journal"):
        journal.append("run-1", "effect", {})
    assert journal.entries("run-1") == ()
    journal.close()


# -- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def home(model: Path, pen: Pen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder with a finished journal and one run whose document kept a checkpoint."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(model, tmp_path / "gate")
    (tmp_path / "gate/trust.json").write_bytes(pen.trust.canonical())
    run = tmp_path / "runs/20261102-000000-0001"
    run.mkdir(parents=True)
    (run / "run.json").write_text("{}")
    told = {"journal": {"head": "h", "checkpoint": newest(model)}}
    (run / "document.json").write_text(json.dumps(told))
    return tmp_path


def told(home: Path, checkpoint: Path | None = None) -> dict[str, Any]:
    return audit.verify(home, checkpoint)[0]


def test_the_command_says_yes_and_hands_out_a_checkpoint_to_keep(home: Path) -> None:
    document, text = audit.verify(home, None)
    assert (document["valid"], document["entries"], document["flaws"]) == (True, ENTRIES, [])
    assert document["witnesses"] == ["run 20261102-000000-0001"]
    assert text.startswith("yes: 60 entries")
    (home / "kept.json").write_text(document["checkpoint"])
    assert told(home, home / "kept.json")["valid"]


def test_the_command_finds_a_rollback_by_the_documents_of_the_runs(home: Path) -> None:
    tampered(home / "gate", home / "old", rolled_back, random.Random(3))
    shutil.rmtree(home / "gate")
    (home / "old").rename(home / "gate")
    assert {f["name"] for f in told(home)["flaws"]} == {"rolled-back"}


def test_a_checkpoint_kept_elsewhere_is_enough(home: Path) -> None:
    kept = home / "kept.json"
    (home / "runs/20261102-000000-0001/document.json").rename(kept)
    tampered(home / "gate", home / "old", rolled_back, random.Random(3))
    shutil.rmtree(home / "gate")
    (home / "old").rename(home / "gate")
    assert told(home)["valid"], "the folder alone cannot know"
    assert not told(home, kept)["valid"]


def test_a_file_that_is_no_journal_any_more_is_a_flaw_and_no_fault(home: Path) -> None:
    (home / "gate/journal.sqlite3").write_bytes(b"not a database " * 100)
    assert [f["name"] for f in told(home)["flaws"]] == ["unreadable"]
