"""What the gate decides on: what was deposited, what was issued, and what it sees itself at this moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import JsonValue

from policies.change import Content, Destination, Digest


@dataclass(frozen=True)
class Evidence:
    """What was deposited: the notary's bundle, other signers' bundles over the same payload, manifest and bytes."""

    bundle: str
    manifest: bytes
    content: Content
    cosigned: Sequence[str] = ()


@dataclass(frozen=True)
class Issued:
    """What this gate said under a change_id; from its journal."""

    change_id: str
    run_id: str
    phase: str
    profile: str
    goal_digest: Digest


@dataclass(frozen=True)
class Facts:
    """What the gate itself knows at this moment, from its clock, its journal and the live target."""

    now: datetime
    issued: Issued
    destination: Destination
    spent: frozenset[int] = frozenset()
    """Grants with an intent in the journal, done or not."""
    receipts: Mapping[int, Mapping[str, JsonValue]] = field(default_factory=dict)
    """seq -> facts of each grant that is done and read back as signed."""
    satisfied: frozenset[str] = frozenset()
    """Preconditions that the gate has seen met for this grant, besides `previous_done`."""
    revoked: Mapping[str, str] = field(default_factory=dict)
    confirmed: bool = False
    expected_commit: str | None = None
