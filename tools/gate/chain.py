"""The journal's entries as a hash chain: what an entry is, and the hash that it must have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policies.change import canonical, digest_of
from policies.refusal import GateError
from policies.strict import decode

GENESIS = digest_of(b"countersign journal")
Row = Sequence[Any]
"""number, at, run_id, kind, body as text, previous, hash."""


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

    def computed(self, number: int | None = None) -> str:
        """The hash that the other fields demand, under its own number or another."""
        number = self.number if number is None else number
        return digest_of(canonical([number, self.at, self.run_id, self.kind, dict(self.body), self.previous]))

    @property
    def whole(self) -> bool:
        """Whether it is as it was written."""
        return self.computed() == self.hash


def entry_of(row: Row) -> Entry:
    """An entry from its row. A body that is no canonical JSON any more gets a hash that fits nothing."""
    number, at, run_id, kind, text, previous, hashed = row
    return Entry(number, str(at), str(run_id), str(kind), _body(str(text)), str(previous), str(hashed))


def _body(text: str) -> Mapping[str, Any]:
    try:
        value = decode(text.encode("utf-8", "surrogatepass"), "the entry")
    except GateError as fault:
        return {"unreadable": str(fault)}
    return value if isinstance(value, dict) else {"unreadable": "no object"}
