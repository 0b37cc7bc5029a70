"""A whole notary without processes: real signatures and registry, a scan that says what it is told, a gate that keeps what it gets."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from policies import pins, trust
from policies.change import ChangeSet, Destination, digest_of
from policies.finding import Finding
from policies.profile import Profile
from policies.review import Decision, Verdict
from policies.scan import ScanContext, ScanResult
from policies.scanner.client import ScannerFaultError
from policies.trust import TrustedKey
from tests.fakes.signed import (
    CHANGE_ID,
    COMMIT,
    FILES,
    GOAL,
    NOW,
    PERSON,
    REPOSITORY,
    ROOT,
    SANDBOX,
    entry,
    payload_of,
    publish,
    request_of,
)
from tools.gate.words import Deposit, FetchChange, IssuedChange, SignoffState
from tools.notary.judging import Bench
from tools.notary.keys import TRUST_FILE, ensure_keys, key_path, load_signer
from tools.notary.opening import read_waivers
from tools.notary.registry import Registry
from tools.notary.room import Room
from tools.notary.words import Draft, Judge, Sign, Signed
from tools.tool import ToolRefusedError


@dataclass
class FakeScan:
    """Answers with the findings it was given, and remembers what it was asked."""

    findings: tuple[Finding, ...] = ()
    fails: bool = False
    asked: list[tuple[dict[str, bytes], frozenset[str], ScanContext]] = field(default_factory=list)

    def __call__(
        self,
        tree: Mapping[str, bytes],
        changed: AbstractSet[str],
        *,
        context: ScanContext,
        base: Mapping[str, bytes] | None = None,
    ) -> ScanResult:
        if self.fails:
            raise ScannerFaultError("the scanner died before it answered")
        self.asked.append((dict(tree), frozenset(changed), context))
        return ScanResult(findings=self.findings, engines=("fake@1",), judged=tuple(sorted(changed)))


@dataclass
class FakeGate:
    """Issues one change and keeps deposits."""

    issued: IssuedChange
    deposits: list[Deposit] = field(default_factory=list)

    def fetch_change(self, asked: FetchChange) -> IssuedChange:
        if asked.change_id != self.issued.change_id:
            raise ToolRefusedError(
                "unknown-change", f"{asked.change_id} was not issued.", "Call open_change."
            )
        return self.issued

    def deposit(self, given: Deposit) -> SignoffState:
        self.deposits.append(given)
        digest = digest_of(payload_of(given.bundle))
        return SignoffState(
            signoff=digest,
            change_id=self.issued.change_id,
            phase=self.issued.phase,
            state="open",
            expires="",
            grants=(),
        )


def issued_for(change: ChangeSet, base: Mapping[str, bytes] | None = None, **edits: Any) -> IssuedChange:
    said: dict[str, Any] = {
        "change_id": CHANGE_ID, "run_id": "run-1", "phase": change.phase, "profile": change.profile,
        "destination": change.destination, "goal_digest": GOAL, "base_tree": dict(base or {}), "expected_commit": COMMIT,
    }  # fmt: skip
    return IssuedChange.model_construct(**{**said, **edits})


@dataclass
class World:
    """Edit a field, then ask `judge` or `sign`."""

    folder: Path
    change: ChangeSet = field(default_factory=publish)
    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    base: dict[str, bytes] = field(default_factory=dict)
    profile: Profile = SANDBOX
    scan: FakeScan = field(default_factory=FakeScan)
    now: datetime = NOW
    rehearsal: bool = True
    request: str | None = ""
    """Empty: the goal of these tests, signed by the person of tests.fakes.signed."""

    def __post_init__(self) -> None:
        ensure_keys(self.folder, self.rehearsal)
        self.signer = load_signer(key_path(self.folder, self.rehearsal))
        self.valid_from(NOW - timedelta(days=1))
        if self.request == "":
            self.request = request_of(self.profile)
        self.gate = FakeGate(issued_for(self.change, self.base))
        self.room = self.open()

    def valid_from(self, since: datetime) -> None:
        """The keys were made in real time; the tests' clock is another."""
        path = self.folder / TRUST_FILE
        kept = trust.load(path)
        moved = tuple(
            TrustedKey(**{**key.model_dump(), "not_before": trust.instant(since)}) for key in kept.keys
        )
        person = entry(PERSON, "person", rehearsal=self.profile.rehearsal)
        path.write_bytes(kept.model_copy(update={"keys": (*moved, person)}).canonical())

    def open(self) -> Room:
        """A notary process, as it would be started anew on the same folder."""
        bench = Bench(
            profile=self.profile, pins=pins.load(ROOT / "knowledge/pins.toml"), scan=self.scan, trust=self.trust,
            waivers=lambda: read_waivers(self.folder / "waivers"), clock=lambda: self.now, request=self.request,
        )  # fmt: skip
        return Room(
            bench=bench, signer=self.signer, registry=Registry(self.folder / "notary"), gate=self.gate, trust=self.trust,
            clock=lambda: self.now, rehearsal=self.rehearsal, isolation="none",
        )  # fmt: skip

    def trust(self) -> trust.Trust:
        return trust.load(self.folder / TRUST_FILE)

    def draft(self, change: ChangeSet | None = None, files: dict[str, bytes] | None = None) -> Draft:
        given = self.files if files is None else files
        return Draft.model_construct(
            change=change or self.change, content={digest_of(data): data for data in given.values()}
        )

    def judge(self, draft: Draft | None = None) -> Any:
        return self.room.judge(Judge.model_construct(draft=draft or self.draft()))

    def sign(self, draft: Draft | None = None, **verdict: Any) -> Signed:
        given = draft or self.draft()
        said = {"decision": Decision.APPROVE, "change_digest": given.change.sha256()}
        return self.room.sign(
            Sign.model_construct(
                draft=given,
                verdict=Verdict(**{**said, **verdict}),
                transcript_digest=digest_of(b"t"),
                trace_id="0" * 32,
            )
        )


__all__ = ["REPOSITORY", "Destination", "FakeGate", "FakeScan", "World", "issued_for"]
