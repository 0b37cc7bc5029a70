"""A whole gate in one folder: real journal, real signatures, real decision point, fake targets and a clock that we turn."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.signer import CryptoSigner

from policies import profile, request, signoff
from policies.change import Artifact, ChangeSet, Grant, Operation, Phase, canonical, digest_of
from policies.signoff import FindingsSummary, Predicate, grant_lines
from policies.trust import Trust, TrustedKey, instant
from tests.fakes.signed import PERSON
from tests.fakes.targets import FakeCluster, FakeRepository
from tools.gate.content import ContentStore
from tools.gate.issue import Desk
from tools.gate.journal import Journal
from tools.gate.plan import PlanOfRecord
from tools.gate.room import Room
from tools.gate.submit import Submission
from tools.gate.targets import Targets
from tools.gate.words import Deposit, OpenChange, OpenedChange, PlanVerdict, SignoffState, Submit

ROOT = Path(__file__).resolve().parent.parent.parent
START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
GOAL = digest_of(b"goal")
FILES = {"infra/main.tf": b"# signed\n", "manifests/web.json": b"{}"}


class Clock:
    """A moment that only moves when told, or slept on."""

    def __init__(self) -> None:
        self.now = START
        self.slept: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)


def no_notary(asked: Any) -> PlanVerdict:
    raise AssertionError(f"nobody should be asked: {asked}")


def trusted(
    signer: CryptoSigner,
    *,
    rehearsal: bool,
    revoked: bool = False,
    roles: Any = ("security",),
    days: int = 3650,
) -> TrustedKey:
    return TrustedKey(
        keyid=signer.public_key.keyid,
        public=signer.public_key._crypto_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        roles=roles, owner="test", rehearsal=rehearsal, revoked=revoked,
        not_before=instant(START - timedelta(days=1)), not_after=instant(START + timedelta(days=days)),
    )  # fmt: skip


@dataclass
class World:
    """Everything that a test needs to sign and submit. `another()` is a second gate on the same folder."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    repository: FakeRepository = field(default_factory=FakeRepository)
    cluster: FakeCluster = field(default_factory=FakeCluster)
    signer: CryptoSigner = field(default_factory=CryptoSigner.generate_ed25519)
    person: CryptoSigner = PERSON
    judge: Any = no_notary
    ask_person: bool = False
    dry_run: bool = False
    rehearsal: bool = True
    run_id: str = "run-1"
    limits: profile.Limits = field(default_factory=profile.Limits)
    asks: dict[str, Any] = field(default_factory=dict)
    """Edits of the profile."""

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True, mode=0o700)
        if not (self.folder / "trust.json").exists():
            self.trust(Trust(keys=self.keys()))
        edits = {"limits": self.limits} | self.asks
        self.profile = replace_profile(rehearsal=self.rehearsal).model_copy(update=edits)
        self.journal = Journal(self.folder, self.clock)
        self.room = Room(
            run_id=self.run_id, profile=self.profile, rehearsal=self.rehearsal, isolation="none", ask_person=self.ask_person,
            dry_run=self.dry_run, state_dir=self.folder, journal=self.journal, content=ContentStore(self.folder / "content"),
            targets=Targets(self.repository, self.cluster), clock=self.clock, sleep=self.clock.sleep,
            request=self.request(),
        )  # fmt: skip
        self.desk = Desk(self.room)
        self.submission = Submission(self.room, PlanOfRecord(self.room, self.judge))

    def keys(self, **edits: Any) -> tuple[TrustedKey, ...]:
        """The notary's key, edited, and the person's."""
        return (
            trusted(self.signer, **{"rehearsal": self.rehearsal, **edits}),
            trusted(self.person, rehearsal=self.rehearsal, roles=("person",)),
        )

    def request(self, **edits: Any) -> str:
        """The goal of these tests, signed by the person who asks for it."""
        said: dict[str, Any] = dict(
            goal_digest=GOAL, run_id=self.run_id, profile=self.profile.name, rehearsal=self.rehearsal, requested_at=instant(START)
        )  # fmt: skip
        return request.sign(request.Request(**{**said, **edits}), self.person)

    def trust(self, trust: Trust) -> None:
        (self.folder / "trust.json").write_bytes(trust.canonical())

    def another(self, **changes: Any) -> World:
        return replace(self, **changes)

    def open(self, phase: Phase = Phase.PUBLISH, **asked: Any) -> OpenedChange:
        return self.desk.open_change(OpenChange(phase=phase, goal_digest=GOAL, **asked))

    def publish(self, opened: OpenedChange, files: dict[str, bytes] | None = None) -> ChangeSet:
        """push a commit, open a pull request, ask for reviewers."""
        files = FILES if files is None else files
        branch = f"countersign/{opened.change_id}"
        base = opened.destination.repository.base_commit
        grants = [
            (
                "push_commit",
                {
                    "branch": branch,
                    "base_commit": base,
                    "message": "m",
                    "files": [{"$artifact": path} for path in sorted(files)],
                },
            ),
            ("open_pull_request", {"head": branch, "base": "main", "title": "t", "body": "b"}),
            (
                "request_reviewers",
                {"number": {"$receipt": {"seq": 2, "fact": "number"}}, "reviewers": ["platform-lead"]},
            ),
        ]
        return self.change(
            opened, files, [("github", verb, arguments, ("previous_done",)) for verb, arguments in grants]
        )

    def change(
        self,
        opened: OpenedChange,
        files: dict[str, bytes],
        grants: list[tuple[str, str, dict[str, Any], tuple[str, ...]]],
    ) -> ChangeSet:
        return ChangeSet(
            change_id=opened.change_id, run_id=opened.run_id, phase=opened.phase, goal_digest=GOAL, profile=opened.profile,
            artifacts=tuple(Artifact(path=p, digest=digest_of(b), operation=Operation.ADD) for p, b in sorted(files.items())),
            destination=opened.destination,
            grants=tuple(
                Grant(seq=n, server=server, verb=verb, arguments=arguments, effect_key=f"{opened.change_id}/{opened.phase}/{n}", preconditions=before)
                for n, (server, verb, arguments, before) in enumerate(grants, 1)
            ),
        )  # fmt: skip

    def predicate(self, change: ChangeSet, **edits: Any) -> Predicate:
        said: dict[str, Any] = dict(
            phase=change.phase, change_id=change.change_id, run_id=change.run_id, decision="approve", nonce="0" * 32,
            not_before=instant(self.clock.now), expires=instant(self.clock.now + timedelta(minutes=30)), requester=self.person.public_key.keyid,
            approvers=("security",), destination=change.destination, grants=grant_lines(change), isolation="none", rehearsal=self.rehearsal,
            profile=change.profile, profile_digest=self.profile.sha256(), policy_digest=digest_of(b"p"), scanners=("test@1",),
            findings=FindingsSummary(counts={}, digest=digest_of(b"[]")), waivers=(), transcript_digest=digest_of(b"t"),
            tree_digest=digest_of(b"tree"), goal_digest=change.goal_digest, trace_id="0" * 32,
        )  # fmt: skip
        return Predicate(**{**said, **edits})

    def sign(self, change: ChangeSet, files: dict[str, bytes] | None = None, **edits: Any) -> Deposit:
        files = FILES if files is None else files
        bundle = signoff.sign(signoff.statement(change, self.predicate(change, **edits)), self.signer)
        return deposit_of(bundle, change.canonical(), {digest_of(data): data for data in files.values()})

    def signed(self, **edits: Any) -> SignoffState:
        """A deposited publish phase."""
        return self.desk.deposit(self.sign(self.publish(self.open()), **edits))

    def published(self) -> str:
        """The commit of a publish phase that is done; its effects are not counted from here on."""
        signed = self.signed()
        for seq in (1, 2, 3):
            assert self.submit(signed.signoff, seq).state == "done"
        for verb in self.repository.all.values():
            verb.performed.clear()
        return self.repository.pushed()

    def submit(self, signoff_digest: str, seq: int) -> Any:
        return self.submission.submit(Submit(signoff=signoff_digest, seq=seq))

    def all_effects(self) -> int:
        """Effects counted at the targets."""
        return sum(
            len(verb.performed) for target in (self.repository, self.cluster) for verb in target.all.values()
        )

    def push(self) -> Any:
        return self.repository.all["github.push_commit"]


def deposit_of(bundle: str, manifest: bytes, content: dict[str, bytes]) -> Deposit:
    return Deposit.model_construct(bundle=bundle, manifest=manifest, content=content)


def replace_profile(*, rehearsal: bool) -> profile.Profile:
    return profile.load(ROOT / "policies/profiles/sandbox.toml").model_copy(update={"rehearsal": rehearsal})


__all__ = ["FILES", "GOAL", "START", "Clock", "World", "canonical", "deposit_of", "no_notary", "trusted"]
