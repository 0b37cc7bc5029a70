"""What is wrong with a journal: each entry that was edited, removed, reordered, cut off, forked or rolled back, by its number.

Reads, changes nothing, and goes on after the first flaw. What it cannot see alone is a whole folder that was put back
to an earlier state, or grown anew with its own key: that takes a checkpoint which was kept elsewhere (`witnesses`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from policies.change import Word
from policies.refusal import GateError
from policies.trust import Trust
from tools.gate.chain import GENESIS, Entry, Row, entry_of
from tools.gate.checkpoints import SEALED, read

FlawName = Literal[
    "edited",
    "missing",
    "reordered",
    "forked",
    "truncated",
    "rolled-back",
    "spent",
    "checkpoint",
    "unsigned",
    "unreadable",
]


class Flaw(Word):
    """One thing that is not as it was written; `entry` is its number, where it has one."""

    name: FlawName
    entry: int | None
    what: str


@dataclass(frozen=True)
class Snapshot:
    """A journal as it was read: rows in the order of their numbers, and what stands beside them."""

    rows: Sequence[Row]
    spent: Sequence[int]
    """Numbers of the intents whose grants the journal holds for spent."""
    checkpoints: Sequence[tuple[int, str, str]]
    """number, digest, bundle; in the order of their numbers."""
    head: str
    """What journal.head says, read before the rows."""


@dataclass
class _Walk:
    entries: dict[int, Entry] = field(default_factory=dict)
    odd: list[Entry] = field(default_factory=list)
    last: int = 0


def examine(there: Snapshot, trust: Trust | None, witnesses: Mapping[str, str]) -> list[Flaw]:
    """Every flaw. Without a trust file signatures are not looked at. `witnesses`: where it was kept -> a checkpoint's bundle."""
    walk = _Walk()
    found = [*_chain(there.rows, walk), *_moved(walk), *_head(there.head, walk)]
    intents = {n for n, entry in walk.entries.items() if entry.kind == "intent"}
    found += [
        Flaw(name="spent", entry=number, what="an intent whose grant counts as free")
        for number in sorted(intents - set(there.spent))
    ]
    found += [
        Flaw(name="spent", entry=number, what="a grant spent by an entry that is no intent")
        for number in sorted(set(there.spent) - intents)
    ]
    if trust is not None:
        found += [*_checkpoints(there.checkpoints, walk, trust)]
        for where, bundle in witnesses.items():
            found += _witness(where, bundle, walk, trust)
    return found


def continues(rows: Iterable[Row], number: int, head: str) -> Iterator[Flaw]:
    """Flaws of the rows after entry `number`, whose hash is `head`."""
    walk = _Walk(last=number)
    yield from _chain(rows, walk, head)


def _chain(rows: Iterable[Row], walk: _Walk, head: str = GENESIS) -> Iterator[Flaw]:
    fits = {head}
    for row in rows:
        entry = entry_of(row)
        number, expected = entry.number, walk.last + 1
        if number != expected:
            gone = (
                f"entries {expected} to {number - 1} are" if number > expected + 1 else f"entry {expected} is"
            )
            yield Flaw(name="missing", entry=expected, what=f"{gone} not there")
        if not entry.whole:
            walk.odd.append(entry)
            yield Flaw(name="edited", entry=number, what=f"a {entry.kind} entry is not as it was written")
        elif number == expected and entry.previous not in fits:
            what = f"it was written after another entry {number - 1} than the one that is there"
            yield Flaw(name="forked", entry=number, what=what)
        walk.entries[number], walk.last = entry, number
        fits = {entry.hash, entry.computed()}  # of an edited entry one of the two is what it was


def _moved(walk: _Walk) -> Iterator[Flaw]:
    """Of what is not as it was written: entries that were, under another number."""
    numbers = {entry.number for entry in walk.odd[:64]}
    for entry in walk.odd[:64]:
        for number in sorted(numbers - {entry.number}):
            if entry.computed(number) == entry.hash:
                yield Flaw(name="reordered", entry=entry.number, what=f"it was written as entry {number}")


def _head(text: str, walk: _Walk) -> Iterator[Flaw]:
    told, _, hashed = text.strip().partition(" ")
    if not told:
        return
    if not (told.isascii() and told.isdigit()):
        yield Flaw(name="unreadable", entry=None, what="journal.head is not what it was")
        return
    number = int(told)
    if number > walk.last:
        what = f"journal.head knows entry {number}, the last that is there is {walk.last}"
        yield Flaw(name="truncated", entry=walk.last + 1, what=what)
    elif number in walk.entries and walk.entries[number].hash != hashed:
        yield Flaw(name="forked", entry=number, what="journal.head knows another entry of this number")


def _checkpoints(kept: Sequence[tuple[int, str, str]], walk: _Walk, trust: Trust) -> Iterator[Flaw]:
    previous = GENESIS
    for number, digest, bundle in kept:
        try:
            seen = read(bundle, trust)
        except GateError as fault:
            yield Flaw(
                name="checkpoint", entry=number, what=f"its checkpoint does not count: {fault.message}"
            )
            previous = digest
            continue
        said = seen.checkpoint
        if said.number != number or seen.digest != digest or said.previous != previous:
            yield Flaw(name="checkpoint", entry=number, what="its checkpoint stands in the place of another")
        yield from _held(said.number, said.head, "a signed checkpoint", walk, "truncated")
        previous = seen.digest
    numbers = {number for number, _, _ in kept}
    first = min(numbers, default=0)
    if walk.entries and not numbers:
        yield Flaw(name="unsigned", entry=walk.last, what="no checkpoint was ever signed over it")
    for number, entry in walk.entries.items():
        if entry.kind in SEALED and number >= first > 0 and number not in numbers:
            yield Flaw(
                name="checkpoint", entry=number, what=f"the checkpoint of a {entry.kind} entry is not there"
            )


def _witness(where: str, bundle: str, walk: _Walk, trust: Trust) -> Iterator[Flaw]:
    try:
        said = read(bundle, trust).checkpoint
    except GateError as fault:
        yield Flaw(name="checkpoint", entry=None, what=f"what {where} kept does not count: {fault.message}")
        return
    yield from _held(said.number, said.head, where, walk, "rolled-back")


def _held(number: int, head: str, where: str, walk: _Walk, short: FlawName) -> Iterator[Flaw]:
    """Whether the chain still has what was said of it."""
    if number > walk.last:
        what = f"{where} knows entry {number}, the last that is there is {walk.last}"
        yield Flaw(name=short, entry=walk.last + 1, what=what)
    elif number in walk.entries and walk.entries[number].hash != head:
        yield Flaw(name="forked", entry=number, what=f"{where} knows another entry of this number")
