"""One valid signed change of each phase, with everything that a test may want to edit before asking again."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

from policies import profile, request, signoff
from policies.change import (
    CHANGE_ANNOTATION,
    EMPTY_DIGEST,
    Artifact,
    ChangeSet,
    ClusterTarget,
    Destination,
    Grant,
    Operation,
    Phase,
    RepositoryTarget,
    canonical,
    digest_of,
)
from policies.envelope import PAYLOAD_TYPE, bundled
from policies.gate import Evidence, Facts, Gate, Issued, Permit
from policies.profile import Profile
from policies.request import Request
from policies.signoff import FindingsSummary, Predicate, SignoffStatement, grant_lines, subjects_of
from policies.trust import Trust, TrustedKey, instant
from tools.notary.keys import trusted

ROOT = Path(__file__).resolve().parent.parent.parent
NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
CHANGE_ID = "cs-0123456789abcdef"
BRANCH = f"countersign/{CHANGE_ID}"
BASE, COMMIT = "1" * 40, "2" * 40
GOAL = digest_of(b"goal")
FILES = {"infra/main.tf": b"# signed\n", "manifests/web.yaml": b"kind: Service\n"}
REPOSITORY = RepositoryTarget(
    host="github.example",
    repository_id=7,
    full_name="acme/platform",
    clone_url="https://github.example/acme/platform.git",
    base_branch="main",
    base_commit=BASE,
)
CLUSTER = ClusterTarget(uid="uid-1", server="https://cluster.example", namespaces=("argocd", "web"))
OBJECT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "nginx", "namespace": "web", "annotations": {CHANGE_ANNOTATION: CHANGE_ID}},
    "spec": {"replicas": 3},
}
PERSON = CryptoSigner(Ed25519PrivateKey.from_private_bytes(b"person of these tests 0123456789"))
"""Whoever asks for the changes of these tests; the same in every process."""
SANDBOX = profile.load(ROOT / "policies/profiles/sandbox.toml")
DEFAULT = profile.load(ROOT / "policies/profiles/default.toml")


def entry(signer: CryptoSigner, *roles: Any, **edits: Any) -> TrustedKey:
    said: dict[str, Any] = {"owner": "test", "rehearsal": True, "since": NOW - timedelta(days=1)}
    own = {key: edits.pop(key) for key in list(edits) if key in said}
    return trusted(signer, roles or ("security",), **{**said, **own}).model_copy(update=edits)


def request_of(active: Profile = SANDBOX, signer: CryptoSigner = PERSON, **edits: Any) -> str:
    """The goal of these tests, signed by the person who asks for it."""
    said: dict[str, Any] = {
        "goal_digest": GOAL, "run_id": "run-1", "profile": active.name, "rehearsal": active.rehearsal, "requested_at": instant(NOW),
    }  # fmt: skip
    return request.sign(Request(**{**said, **edits}), signer)


def seal_raw(payload: bytes, signer: CryptoSigner, *, payload_type: str = PAYLOAD_TYPE) -> str:
    """Any payload at all in a well-formed bundle with a good signature: what a stolen pen could write."""
    envelope = Envelope(payload, payload_type, {})
    envelope.sign(signer)
    return bundled(envelope, signer.public_key.keyid).decode()


def payload_of(bundle: str) -> bytes:
    return base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"])


def publish_grants() -> list[tuple[str, dict[str, Any]]]:
    files = [
        {"path": path, "operation": "add", "mode": "100644", "file": {"$artifact": path}}
        for path in sorted(FILES)
    ]
    return [
        ("github.push_commit", {"branch": BRANCH, "base_commit": BASE, "message": "m", "files": files}),
        ("github.open_pull_request", {"head": BRANCH, "base": "main", "title": "t", "body": "b"}),
        (
            "github.request_reviewers",
            {
                "number": {"$receipt": {"seq": 2, "fact": "number"}},
                "reviewers": ["platform-lead"],
                "team_reviewers": [],
            },
        ),
    ]


def release_grants() -> list[tuple[str, dict[str, Any]]]:
    inputs = {"change_id": CHANGE_ID, "commit": COMMIT, "mode": "plan"}
    return [
        ("github.advance_base", {"branch": "main", "from": BASE, "to": COMMIT}),
        ("github.dispatch_workflow", {"workflow": "terraform.yml", "ref": "main", "inputs": inputs}),
    ]


def deploy_grants() -> list[tuple[str, dict[str, Any]]]:
    return [
        ("kubernetes.apply", {"object": {"$artifact": "objects/nginx.json"}, "namespace": "web"}),
        ("kubernetes.sync_application", {"namespace": "argocd", "name": "web", "revision": COMMIT}),
    ]


def artifacts(files: dict[str, bytes], deleted: tuple[str, ...] = ()) -> tuple[Artifact, ...]:
    made = [Artifact(path=p, digest=digest_of(b), operation=Operation.ADD) for p, b in files.items()]
    made += [Artifact(path=p, digest=EMPTY_DIGEST, operation=Operation.DELETE) for p in deleted]
    return tuple(sorted(made, key=lambda artifact: artifact.path))


def change_of(
    phase: Phase, files: dict[str, bytes], calls: list[tuple[str, dict[str, Any]]], **edits: Any
) -> ChangeSet:
    said: dict[str, Any] = {
        "change_id": CHANGE_ID,
        "run_id": "run-1",
        "phase": phase,
        "goal_digest": GOAL,
        "profile": "sandbox",
        "artifacts": artifacts(files),
        "destination": Destination(repository=REPOSITORY, cluster=CLUSTER if phase is Phase.DEPLOY else None),
        "grants": tuple(
            Grant(
                seq=n,
                server=name.split(".")[0],
                verb=name.split(".")[1],
                arguments=arguments,
                effect_key=f"effect {n}",
            )
            for n, (name, arguments) in enumerate(calls, 1)
        ),
    }
    return ChangeSet(**{**said, **edits})


def publish(**edits: Any) -> ChangeSet:
    return change_of(Phase.PUBLISH, FILES, publish_grants(), **edits)


def release(**edits: Any) -> ChangeSet:
    return change_of(Phase.RELEASE, {}, release_grants(), **edits)


def deploy(data: bytes | None = None, **edits: Any) -> tuple[ChangeSet, dict[str, bytes]]:
    files = {"objects/nginx.json": canonical(OBJECT) if data is None else data}
    return change_of(Phase.DEPLOY, files, deploy_grants(), **edits), files


def predicate_of(change: ChangeSet, active: Profile = SANDBOX, **edits: Any) -> Predicate:
    said: dict[str, Any] = {
        "phase": change.phase,
        "change_id": change.change_id,
        "run_id": change.run_id,
        "decision": "approve",
        "nonce": "0" * 32,
        "not_before": instant(NOW),
        "expires": instant(NOW + timedelta(minutes=30)),
        "requester": PERSON.public_key.keyid,
        "approvers": active.signers,
        "destination": change.destination,
        "grants": grant_lines(change),
        "isolation": "none",
        "rehearsal": active.rehearsal,
        "profile": change.profile,
        "profile_digest": active.sha256(),
        "policy_digest": digest_of(b"p"),
        "scanners": ("test@1",),
        "findings": FindingsSummary(counts={}, digest=digest_of(b"[]")),
        "waivers": (),
        "transcript_digest": digest_of(b"t"),
        "tree_digest": digest_of(b"tree"),
        "goal_digest": change.goal_digest,
        "trace_id": "0" * 32,
    }
    return Predicate(**{**said, **edits})


@dataclass(frozen=True)
class Case:
    """A valid question to the gate. Edit one field with `but`, then `ask`."""

    signer: CryptoSigner
    change: ChangeSet
    files: dict[str, bytes]
    trust: Trust
    bundle: str
    manifest: bytes
    facts: Facts
    profile: Profile = SANDBOX
    rehearsal: bool = True
    ask_person: bool = False
    seq: int = 1
    cosigned: tuple[str, ...] = ()
    request: str | None = None
    content: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        change: ChangeSet,
        files: dict[str, bytes],
        active: Profile = SANDBOX,
        signer: CryptoSigner | None = None,
        **edits: Any,
    ) -> Case:
        """Signed as the notary signs; `edits` go into the predicate."""
        signer = signer or CryptoSigner.generate_ed25519()
        predicate = predicate_of(change, active, **edits)
        statement = SignoffStatement(subject=subjects_of(change), predicate=predicate)
        issued = Issued(
            change.change_id, change.run_id, change.phase.value, change.profile, change.goal_digest
        )
        return cls(
            signer=signer,
            change=change,
            files=files,
            trust=Trust(
                keys=(
                    entry(signer, rehearsal=active.rehearsal),
                    entry(PERSON, "person", rehearsal=active.rehearsal),
                )
            ),
            bundle=signoff.sign(statement, signer),
            manifest=change.canonical(),
            facts=Facts(
                NOW, issued, Destination(repository=REPOSITORY, cluster=CLUSTER), expected_commit=COMMIT
            ),
            profile=active,
            rehearsal=active.rehearsal,
            content={digest_of(data): data for data in files.values()},
            request=request_of(active),
        )

    @classmethod
    def publish(cls, **edits: Any) -> Case:
        return cls.of(publish(), FILES, **edits)

    def but(self, **edits: Any) -> Case:
        return replace(self, **edits)

    def when(self, **facts: Any) -> Case:
        return replace(self, facts=replace(self.facts, **facts))

    def payload(self) -> dict[str, Any]:
        return json.loads(payload_of(self.bundle))

    def resealed(self, payload: bytes | dict[str, Any], **edits: Any) -> Case:
        """Another payload under a good signature of the same key."""
        data = payload if isinstance(payload, bytes) else canonical(payload)
        return self.but(bundle=seal_raw(data, self.signer, **edits))

    def gate(self) -> Gate:
        return Gate(self.trust, self.profile, self.rehearsal, self.ask_person, self.request)

    def evidence(self) -> Evidence:
        return Evidence(self.bundle, self.manifest, self.content, self.cosigned)

    def ask(self) -> Permit:
        return self.gate().admit(self.seq, self.evidence(), self.facts)
