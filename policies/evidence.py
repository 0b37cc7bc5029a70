"""What the gate decides on: what was deposited, what was issued, and what it sees itself at this moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from pydantic import JsonValue

from policies import custody, signoff
from policies.change import ChangeSet, Content, Destination, Digest
from policies.profile import ApproverRole
from policies.signoff import Signoff
from policies.trust import Trust


@dataclass(frozen=True)
class Evidence:
    """What was deposited: the notary's bundle, other signers' bundles over the same payload, manifest and bytes.

    What bytes and keys alone decide is decided once and remembered, for these bytes cannot change. What time, journal
    and target decide is asked at each call, and a trust file that changed is asked anew.
    """

    bundle: str
    manifest: bytes
    content: Content
    cosigned: Sequence[str] = ()
    _read: dict[tuple[ApproverRole, ...], tuple[Trust, Signoff]] = field(
        init=False, default_factory=dict, repr=False, compare=False
    )
    _whole: dict[Digest, ChangeSet] = field(init=False, default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "content", MappingProxyType(dict(self.content)))
        object.__setattr__(self, "cosigned", tuple(self.cosigned))

    def signoff(self, trust: Trust, roles: Sequence[ApproverRole]) -> Signoff:
        """`policies.signoff.read` of these bundles. Raises a SignoffError."""
        known = self._read.get(tuple(roles))
        if known is None or known[0] != trust:
            found = signoff.read(self.bundle, trust=trust, required_roles=roles, cosigned=self.cosigned)
            known = self._read[tuple(roles)] = trust, found
        return known[1]

    def change(self, found: Signoff) -> ChangeSet:
        """`policies.custody.whole` of this evidence under its own sign-off. Raises GateError."""
        if found.digest not in self._whole:
            self._whole[found.digest] = custody.whole(found, self.manifest, self.content)
        return self._whole[found.digest]


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
