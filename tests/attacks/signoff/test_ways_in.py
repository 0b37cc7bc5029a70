"""One valid question to the gate, and one edit per row; each row is a way in that stays shut, under its own name."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from policies.change import Destination, canonical, digest_of
from policies.gate import GateError
from policies.trust import Trust
from tests.fakes.signed import (
    BASE,
    CHANGE_ID,
    CLUSTER,
    COMMIT,
    DEFAULT,
    FILES,
    NOW,
    OBJECT,
    PERSON,
    REPOSITORY,
    SANDBOX,
    Case,
    change_of,
    deploy,
    entry,
    payload_of,
    publish,
    publish_grants,
    release,
    seal_raw,
)

Edit = Callable[[Case], Case]
OTHER = CryptoSigner.generate_ed25519()


def flip(text: str, at: int) -> str:
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


def in_bundle(edit: Callable[[dict[str, Any]], Any]) -> Edit:
    """Edit the outer JSON and write it canonically again."""

    def edited(case: Case) -> Case:
        outer = json.loads(case.bundle)
        edit(outer)
        return case.but(bundle=canonical(outer).decode())

    return edited


def in_payload(**fields: Any) -> Edit:
    """Fields of the predicate, under a good signature."""

    def edited(case: Case) -> Case:
        payload = case.payload()
        payload["predicate"].update(fields)
        return case.resealed(payload)

    return edited


def outer_text(old: str, new: str) -> Edit:
    return lambda case: case.but(bundle=case.bundle.replace(old, new, 1))


def inner_text(old: bytes, new: bytes) -> Edit:
    return lambda case: case.resealed(payload_of(case.bundle).replace(old, new, 1))


def other_bytes(path: str) -> Edit:
    digest = digest_of(FILES[path])
    return lambda case: case.but(content={**case.content, digest: FILES[path] + b" "})


def live(**edits: Any) -> Edit:
    repository = REPOSITORY.model_copy(update=edits)
    return lambda case: case.when(destination=Destination(repository=repository, cluster=CLUSTER))


def issued(**edits: Any) -> Edit:
    return lambda case: case.when(issued=replace(case.facts.issued, **edits))


def trusting(*keys: Any, **edits: Any) -> Edit:
    return lambda case: case.but(
        trust=Trust(keys=tuple(key(case) if callable(key) else key for key in keys), **edits)
    )


def signature(edit: Callable[[dict[str, Any]], Any]) -> Edit:
    return in_bundle(lambda outer: edit(outer["dsseEnvelope"]["signatures"][0]))


def subjects(edit: Callable[[list[Any]], Any]) -> Edit:
    def edited(case: Case) -> Case:
        payload = case.payload()
        edit(payload["subject"])
        return case.resealed(payload)

    return edited


ENVELOPE: list[tuple[str, Edit, str]] = [
    (
        "payload-byte",
        in_bundle(lambda o: o["dsseEnvelope"].update(payload=flip(o["dsseEnvelope"]["payload"], 100))),
        "signature-invalid",
    ),
    ("signature-byte", signature(lambda s: s.update(sig=flip(s["sig"], 10))), "signature-invalid"),
    ("signature-empty", signature(lambda s: s.update(sig="")), "signature-invalid"),
    (
        "payload-type-byte",
        in_bundle(lambda o: o["dsseEnvelope"].update(payloadType="application/json")),
        "signature-invalid",
    ),
    (
        "payload-type-signed",
        lambda c: c.resealed(payload_of(c.bundle), payload_type="application/json"),
        "payload-type",
    ),
    ("key-id", signature(lambda s: s.update(keyid="0" * 64)), "unknown-shape"),
    (
        "own-key-id-twice",
        lambda c: signature(lambda s: s.update(keyid=c.signer.public_key.keyid))(c),
        "unknown-shape",
    ),
    (
        "hint-of-another-trusted-key",
        in_bundle(lambda o: o["verificationMaterial"]["publicKey"].update(hint=PERSON.public_key.keyid)),
        "signature-invalid",
    ),
    (
        "key-hint",
        in_bundle(lambda o: o["verificationMaterial"]["publicKey"].update(hint="0" * 64)),
        "unknown-key",
    ),
    (
        "media-type",
        in_bundle(lambda o: o.update(mediaType="application/vnd.dev.sigstore.bundle.v0.2+json")),
        "unknown-shape",
    ),
    ("no-signature", in_bundle(lambda o: o["dsseEnvelope"].update(signatures=[])), "unknown-shape"),
    (
        "two-signatures",
        in_bundle(lambda o: o["dsseEnvelope"]["signatures"].append(o["dsseEnvelope"]["signatures"][0])),
        "unknown-shape",
    ),
    (
        "certificate",
        in_bundle(lambda o: o["verificationMaterial"].update(certificate={"rawBytes": ""})),
        "unknown-shape",
    ),
    ("unknown-field", in_bundle(lambda o: o.update(approved=True)), "unknown-shape"),
    ("base64-unpadded", signature(lambda s: s.update(sig=s["sig"].rstrip("="))), "unknown-shape"),
    ("base64-urlsafe", signature(lambda s: s.update(sig="-_" + s["sig"][2:])), "unknown-shape"),
    (
        "base64-trailing-bits",
        signature(lambda s: s.update(sig=s["sig"][:-3] + chr(ord(s["sig"][-3]) + 1) + "==")),
        "unknown-shape",
    ),
    (
        "base64-newline",
        in_bundle(lambda o: o["dsseEnvelope"].update(payload=o["dsseEnvelope"]["payload"] + "\n")),
        "unknown-shape",
    ),
    ("duplicate-key", outer_text('"mediaType"', '"mediaType":"x","mediaType"'), "malformed"),
    ("white-space", outer_text(":", ": "), "not-canonical"),
    ("newline-at-end", lambda c: c.but(bundle=c.bundle + "\n"), "not-canonical"),
    ("escape-spelling", outer_text("mediaType", "\\u006dediaType"), "not-canonical"),
    ("nan", outer_text('"dsseEnvelope":{', '"dsseEnvelope":{"a":NaN,'), "malformed"),
    ("infinity", outer_text('"dsseEnvelope":{', '"dsseEnvelope":{"a":-Infinity,'), "malformed"),
    ("surrogate-escaped", outer_text('"dsseEnvelope":{', '"dsseEnvelope":{"a":"\\ud800",'), "malformed"),
    ("surrogate-raw", lambda c: c.but(bundle=c.bundle.replace("mediaType", "media\ud800", 1)), "malformed"),
    ("byte-order-mark", lambda c: c.but(bundle="\ufeff" + c.bundle), "malformed"),
    ("two-documents", lambda c: c.but(bundle=c.bundle * 2), "malformed"),
    ("empty", lambda c: c.but(bundle=""), "malformed"),
    ("deep", lambda c: c.but(bundle="[" * 100_000), "malformed"),
    ("huge-number", lambda c: c.but(bundle="1" * 5000), "malformed"),
    ("null", lambda c: c.but(bundle="null"), "unknown-shape"),
    ("oversize", lambda c: c.but(bundle='"' + "a" * 5_000_000 + '"'), "oversize"),
]

KEYS: list[tuple[str, Edit, str]] = [
    ("key-not-trusted", trusting(entry(OTHER)), "unknown-key"),
    ("no-key-trusted", trusting(), "unknown-key"),
    ("key-revoked", trusting(lambda c: entry(c.signer, revoked=True)), "unknown-key"),
    ("waiver-key", trusting(lambda c: entry(c.signer, "waiver")), "wrong-role"),
    ("person-key", trusting(lambda c: entry(c.signer, "person")), "wrong-role"),
    (
        "key-expired-when-signing",
        trusting(lambda c: entry(c.signer, not_after="2026-11-01T09:00:00Z")),
        "wrong-role",
    ),
    (
        "key-younger-than-signature",
        trusting(lambda c: entry(c.signer, not_before="2026-11-03T09:00:00Z")),
        "wrong-role",
    ),
    ("real-key-signs-rehearsal", trusting(lambda c: entry(c.signer, rehearsal=False)), "wrong-role"),
    (
        "requester-approves",
        lambda c: in_payload(requester=c.signer.public_key.keyid)(c),
        "requester-approves",
    ),
    (
        "threshold-of-two",
        lambda c: c.but(trust=Trust(keys=c.trust.keys, thresholds={"security": 2})),
        "role-missing",
    ),
    ("key-of-another-signs", lambda c: c.but(bundle=seal_raw(payload_of(c.bundle), OTHER)), "unknown-key"),
    (
        "revoked-in-trust",
        lambda c: c.but(trust=Trust(keys=c.trust.keys, revoked=(digest_of(payload_of(c.bundle)),))),
        "revoked",
    ),
    ("superseded", lambda c: c.when(revoked={digest_of(payload_of(c.bundle)): "superseded"}), "revoked"),
]

STATEMENT: list[tuple[str, Edit, str]] = [
    ("statement-type", inner_text(b"Statement/v1", b"Statement/v0.1"), "statement-type"),
    ("plan-verdict", inner_text(b"signoff/v1", b"plan-verdict/v1"), "statement-type"),
    ("waiver", inner_text(b"dev/signoff/v1", b"dev/waiver/v1"), "statement-type"),
    ("reject", in_payload(decision="reject"), "statement-type"),
    ("approve-in-capitals", in_payload(decision="APPROVE"), "statement-type"),
    ("decision-list", in_payload(decision=["approve"]), "statement-type"),
    ("payload-list", lambda c: c.resealed(b"[]"), "statement-type"),
    ("window-turned-round", in_payload(expires="2026-11-02T08:00:00Z"), "statement-type"),
    ("no-such-day", in_payload(expires="2026-13-02T08:00:00Z"), "statement-type"),
    ("payload-field", in_payload(approved_by="me"), "unknown-shape"),
    (
        "payload-field-missing",
        lambda c: c.resealed(
            {**c.payload(), "predicate": {k: v for k, v in c.payload()["predicate"].items() if k != "nonce"}}
        ),
        "unknown-shape",
    ),
    ("rehearsal-as-text", in_payload(rehearsal="true"), "not-canonical"),
    ("rehearsal-as-number", in_payload(rehearsal=1), "not-canonical"),
    ("time-with-zone", in_payload(expires="2026-11-02T09:30:00+00:00"), "unknown-shape"),
    (
        "payload-duplicate",
        inner_text(b'"decision":"approve"', b'"decision":"approve","decision":"approve"'),
        "malformed",
    ),
    ("payload-space", inner_text(b'"decision":', b'"decision": '), "not-canonical"),
    ("payload-nan", inner_text(b'"waivers":[]', b'"waivers":NaN'), "malformed"),
    ("no-approvers", in_payload(approvers=[]), "unknown-shape"),
    ("not-yet", lambda c: c.when(now=NOW - timedelta(seconds=31)), "not-yet-valid"),
    ("expired", lambda c: c.when(now=NOW + timedelta(minutes=30)), "expired"),
    ("clock-jumped", lambda c: c.when(now=NOW + timedelta(days=400)), "expired"),
    ("long-window", in_payload(expires="2026-11-02T10:00:01Z"), "profile-mismatch"),
    ("other-approvers", in_payload(approvers=["security", "person"]), "profile-mismatch"),
    ("profile-edited", in_payload(profile_digest=digest_of(b"")), "profile-mismatch"),
    (
        "profile-wider-now",
        lambda c: c.but(profile=SANDBOX.model_copy(update={"rounds": 5})),
        "profile-mismatch",
    ),
]

PLACE: list[tuple[str, Edit, str]] = [
    ("sandbox-signoff-at-real-target", lambda c: c.but(rehearsal=False), "rehearsal-mismatch"),
    ("sandbox-profile-at-real-target", lambda c: c.but(profile=DEFAULT), "rehearsal-mismatch"),
    ("other-repository-id", live(repository_id=8), "destination-mismatch"),
    ("other-host", live(host="github.evil"), "destination-mismatch"),
    ("other-name", live(full_name="acme/other"), "destination-mismatch"),
    ("other-clone-url", live(clone_url="https://github.evil/acme/platform.git"), "destination-mismatch"),
    ("other-base-branch", live(base_branch="production"), "destination-mismatch"),
    ("no-repository", lambda c: c.when(destination=Destination()), "destination-mismatch"),
    ("change-of-another-run", issued(run_id="run-2"), "not-issued"),
    ("change-never-issued", issued(change_id="cs-ffffffffffffffff"), "not-issued"),
    ("issued-for-another-phase", issued(phase="deploy"), "not-issued"),
    ("issued-for-another-goal", issued(goal_digest=digest_of(b"other")), "not-issued"),
    ("issued-under-another-profile", issued(profile="default"), "not-issued"),
]

BYTES: list[tuple[str, Edit, str]] = [
    *((f"byte-of-{path}", other_bytes(path), "bytes-mismatch") for path in FILES),
    ("manifest-space", lambda c: c.but(manifest=c.manifest + b" "), "not-canonical"),
    ("manifest-other", lambda c: c.but(manifest=c.manifest.replace(b'"m"', b'"n"', 1)), "bytes-mismatch"),
    (
        "manifest-duplicate",
        lambda c: c.but(manifest=c.manifest.replace(b'"version":1', b'"version":1,"version":1')),
        "malformed",
    ),
    (
        "manifest-field",
        lambda c: c.but(manifest=canonical({**json.loads(c.manifest), "x": 1})),
        "unknown-shape",
    ),
    ("manifest-of-another-change", lambda c: c.but(manifest=release().canonical()), "bytes-mismatch"),
    (
        "file-missing",
        lambda c: c.but(content={d: b for d, b in c.content.items() if d != min(c.content)}),
        "bytes-mismatch",
    ),
    ("file-extra", lambda c: c.but(content={**c.content, digest_of(b"x"): b"x"}), "bytes-mismatch"),
    (
        "file-filed-wrongly",
        lambda c: c.but(content=dict(zip(c.content, reversed(c.content.values()), strict=True))),
        "bytes-mismatch",
    ),
    ("no-bytes", lambda c: c.but(content={}), "bytes-mismatch"),
    ("subject-missing", subjects(lambda s: s.pop()), "bytes-mismatch"),
    (
        "subject-extra",
        subjects(lambda s: s.append({"name": "x", "digest": {"sha256": "0" * 64}})),
        "bytes-mismatch",
    ),
    ("subject-twice", subjects(lambda s: s.append(s[-1])), "bytes-mismatch"),
    ("subjects-reordered", subjects(lambda s: s.reverse()), "bytes-mismatch"),
    ("subject-of-another-hash", subjects(lambda s: s[0].update(digest={"md5": "0" * 32})), "unknown-shape"),
    (
        "predicate-grants-fewer",
        lambda c: in_payload(grants=c.payload()["predicate"]["grants"][:1])(c),
        "bytes-mismatch",
    ),
    (
        "predicate-destination-other",
        lambda c: in_payload(destination={"cluster": None, "repository": None})(c),
        "destination-mismatch",
    ),
    ("predicate-change-id", in_payload(change_id="cs-ffffffffffffffff"), "not-issued"),
]

GRANT: list[tuple[str, Edit, str]] = [
    ("grant-beyond", lambda c: c.but(seq=4), "not-granted"),
    ("grant-zero", lambda c: c.but(seq=0), "not-granted"),
    ("grant-negative", lambda c: c.but(seq=-1), "not-granted"),
    ("grant-out-of-order", lambda c: c.but(seq=2), "out-of-order"),
    ("grant-skipped", lambda c: c.but(seq=3).when(receipts={1: {}}), "out-of-order"),
    ("grant-after-open-intent", lambda c: c.but(seq=2).when(spent=frozenset({1})), "out-of-order"),
    ("grant-spent", lambda c: c.when(spent=frozenset({1})), "spent"),
    ("grant-done", lambda c: c.when(receipts={1: {"commit": BASE}}), "spent"),
    ("person-not-asked", lambda c: c.but(ask_person=True), "confirmation-missing"),
    ("receipt-without-fact", lambda c: c.but(seq=3).when(receipts={1: {}, 2: {"url": "x"}}), "unresolved"),
]

ROWS = [*ENVELOPE, *KEYS, *STATEMENT, *PLACE, *BYTES, *GRANT]


def test_the_unedited_question_is_answered_with_yes() -> None:
    permit = Case.publish().ask()
    assert permit.change_id == CHANGE_ID
    assert permit.content == {digest_of(data): data for data in FILES.values()}


@pytest.mark.parametrize(("edit", "name"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_each_edit_is_a_named_no(edit: Edit, name: str) -> None:
    case = edit(Case.publish())
    with pytest.raises(GateError) as no:
        case.ask()
    assert no.value.name == name, no.value
    assert no.value.advice


def scoped(**scope: Any) -> Edit:
    """A narrower profile under which everything was signed anew: clean, signed, and outside."""
    narrow = SANDBOX.model_copy(update={"scope": SANDBOX.scope.model_copy(update=scope)})
    return lambda _: Case.of(publish(), FILES, narrow)


@pytest.mark.parametrize(
    "edit",
    [
        scoped(repositories=("acme/other",)),
        scoped(repositories=()),
        scoped(paths=("infra/*",)),
        scoped(paths=("manifests/web.yaml", "infra/main")),
        scoped(verbs=("github.push_commit",)),
        scoped(verbs=()),
    ],
)
def test_a_clean_and_signed_change_outside_the_scope_is_still_no(edit: Edit) -> None:
    with pytest.raises(GateError) as no:
        edit(Case.publish()).ask()
    assert no.value.name == "out-of-scope"


def test_a_star_does_not_mean_the_control_planes_namespaces() -> None:
    cluster = CLUSTER.model_copy(update={"namespaces": ("argocd", "kube-system", "web")})
    there = Destination(repository=REPOSITORY, cluster=cluster)
    change, files = deploy(destination=there)
    with pytest.raises(GateError) as no:
        Case.of(change, files).when(destination=there).ask()
    assert no.value.name == "out-of-scope"
    named = SANDBOX.scope.model_copy(update={"namespaces": ("*", "kube-system")})
    wider = SANDBOX.model_copy(update={"scope": named})
    assert Case.of(change, files, wider).when(destination=there).ask()


def arguments(seq: int, **edits: Any) -> Case:
    calls = publish_grants()
    name, was = calls[seq - 1]
    calls[seq - 1] = (name, {**was, **edits})
    done = {n: {"number": 4} for n in range(1, seq)}
    return Case.of(change_of(publish().phase, FILES, calls), FILES).but(seq=seq).when(receipts=done)


FILE_ROWS = publish_grants()[0][1]["files"]
CALLS: list[tuple[str, Callable[[], Case]]] = [
    ("another-branch", lambda: arguments(1, branch="main")),
    ("branch-of-another-change", lambda: arguments(1, branch="countersign/cs-ffffffffffffffff")),
    ("another-base", lambda: arguments(1, base_commit="3" * 40)),
    ("a-file-less", lambda: arguments(1, files=FILE_ROWS[:1])),
    ("a-file-twice", lambda: arguments(1, files=[*FILE_ROWS, FILE_ROWS[0]])),
    ("a-file-executable", lambda: arguments(1, files=[{**FILE_ROWS[0], "mode": "100755"}, FILE_ROWS[1]])),
    (
        "a-file-under-another-name",
        lambda: arguments(1, files=[{**FILE_ROWS[0], "path": "infra/x.tf"}, FILE_ROWS[1]]),
    ),
    (
        "a-file-with-anothers-bytes",
        lambda: arguments(1, files=[{**FILE_ROWS[0], "file": FILE_ROWS[1]["file"]}, FILE_ROWS[1]]),
    ),
    ("a-file-typed-out", lambda: arguments(1, files=[{"path": "infra/main.tf", "text": "x"}, FILE_ROWS[1]])),
    ("files-no-list", lambda: arguments(1, files={"$artifact": "infra/main.tf"})),
    ("an-unsigned-artifact", lambda: arguments(1, message={"$artifact": "infra/secret.tf"})),
    ("pull-request-of-another-head", lambda: arguments(2, head="main")),
    ("pull-request-to-another-base", lambda: arguments(2, base="production")),
    ("unlisted-reviewer", lambda: arguments(3, reviewers=["mallory"])),
    ("unlisted-team", lambda: arguments(3, reviewers=[], team_reviewers=["mallory"])),
    ("no-reviewer", lambda: arguments(3, reviewers=[])),
]


@pytest.mark.parametrize("make", [row[1] for row in CALLS], ids=[row[0] for row in CALLS])
def test_signed_arguments_must_say_what_the_verb_may_be_called_with(make: Callable[[], Case]) -> None:
    with pytest.raises(GateError) as no:
        make().ask()
    assert no.value.name == "call-mismatch", no.value


def released(seq: int = 1, **edits: Any) -> Case:
    calls = [("github.advance_base", {"branch": "main", "from": BASE, "to": "2" * 40, **edits})]
    return Case.of(change_of(release().phase, {}, calls), {}).but(seq=seq)


def test_the_base_is_advanced_only_from_where_it_was_signed() -> None:
    assert released().ask().arguments["to"] == "2" * 40
    moved = released().when(
        destination=Destination(repository=REPOSITORY.model_copy(update={"base_commit": "3" * 40}))
    )
    with pytest.raises(GateError) as no:
        moved.ask()
    assert no.value.name == "base-moved"


def test_a_branch_at_the_signed_base_does_not_mind_a_moved_base() -> None:
    assert live(base_commit="3" * 40)(Case.publish()).ask()


@pytest.mark.parametrize(
    "case",
    [
        released(to="2" * 39),
        released(to="main"),
        released(to="3" * 40),
        released().when(expected_commit=None),
        released(branch="production"),
        released(**{"from": "3" * 40}),
    ],
)
def test_the_base_is_advanced_only_to_the_published_commit(case: Case) -> None:
    with pytest.raises(GateError) as no:
        case.ask()
    assert no.value.name == "call-mismatch"


PLAN = {"change_id": CHANGE_ID, "commit": COMMIT, "mode": "plan"}
OF_PLAN = {
    "plan_run_id": {"$receipt": {"seq": 1, "fact": "run_id"}},
    "plan_sha256": {"$receipt": {"seq": 1, "fact": "plan_sha256"}},
}
JUDGED = ("previous_done", "workflow_succeeded", "plan_of_record_clean")


def dispatched(**edits: Any) -> Case:
    call = {"workflow": "terraform.yml", "ref": "main", "inputs": PLAN, **edits}
    return Case.of(change_of(release().phase, {}, [("github.dispatch_workflow", call)]), {})


def applied(
    inputs: dict[str, Any] | None = None, before: tuple[str, ...] = JUDGED, planned: Any = PLAN, **edits: Any
) -> Case:
    """The second grant applies what the first planned; everything that it waits for is met."""
    plan = {"workflow": "terraform.yml", "ref": "main", "inputs": planned}
    apply = plan | {"inputs": {**PLAN, "mode": "apply", **OF_PLAN, **(inputs or {})}} | edits
    change = change_of(release().phase, {}, [("github.dispatch_workflow", call) for call in (plan, apply)])
    grants = (change.grants[0], change.grants[1].model_copy(update={"preconditions": before}))
    facts = {"satisfied": frozenset(JUDGED), "receipts": {1: {"run_id": "7", "plan_sha256": "ab"}}}
    return Case.of(change.model_copy(update={"grants": grants}), {}).but(seq=2).when(**facts)


def test_a_dispatch_carries_the_change_and_runs_on_its_base() -> None:
    assert dispatched().ask()
    for case in (
        dispatched(inputs={}),
        dispatched(inputs={"change_id": "cs-ffffffffffffffff"}),
        dispatched(inputs=PLAN | {"change_id": "cs-ffffffffffffffff"}),
        dispatched(ref="production"),
        dispatched(inputs=PLAN | {"commit": "3" * 40}),
        dispatched(inputs={k: v for k, v in PLAN.items() if k != "commit"}),
        dispatched(inputs={k: v for k, v in PLAN.items() if k != "commit"}).when(expected_commit=None),
        dispatched(workflow="destroy.yml"),
        dispatched(workflow=".github/workflows/destroy.yml"),
        dispatched(inputs=PLAN | {"mode": "apply"}),
    ):
        with pytest.raises(GateError) as no:
            case.ask()
        assert no.value.name == "call-mismatch"


APPLIES: dict[str, dict[str, Any]] = {
    "without waiting for the judgement": {"before": ("previous_done", "workflow_succeeded")},
    "without waiting for the run": {"before": ("previous_done", "plan_of_record_clean")},
    "the plan of another run": {"inputs": {"plan_run_id": "8"}},
    "another plan": {"inputs": {"plan_sha256": "cd"}},
    "no plan": {"inputs": {"plan_sha256": ""}},
    "another fact for the plan": {"inputs": {"plan_sha256": {"$receipt": {"seq": 1, "fact": "run_id"}}}},
    "what another workflow planned": {"workflow": ".github/workflows/terraform.yml"},
    "another commit": {"inputs": {"commit": "3" * 40}},
    "in a mode that nobody knows": {"inputs": {"mode": "destroy", "plan_run_id": "8"}},
    "after no plan": {"planned": PLAN | {"mode": "apply"}},
}


def test_the_apply_names_the_judged_plan_of_the_dispatch_before_it() -> None:
    assert applied().ask().arguments["inputs"] == PLAN | {
        "mode": "apply",
        "plan_run_id": "7",
        "plan_sha256": "ab",
    }


@pytest.mark.parametrize("what", APPLIES)
def test_an_apply_of_anything_else_is_not_admitted(what: str) -> None:
    with pytest.raises(GateError) as no:
        applied(**APPLIES[what]).ask()
    assert no.value.name == "call-mismatch"


def deployed(body: Any) -> Case:
    change, files = deploy(body if isinstance(body, bytes) else canonical(body))
    return Case.of(change, files)


def with_metadata(**edits: Any) -> dict[str, Any]:
    return {**OBJECT, "metadata": {**OBJECT["metadata"], **edits}}


NAMESPACE = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "web", "annotations": OBJECT["metadata"]["annotations"]},
}


def gitops(kind: str, **spec: Any) -> dict[str, Any]:
    """A GitOps object in its place; what it makes goes where its spec says."""
    return {
        **with_metadata(namespace="argocd"),
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": kind,
        "spec": spec,
    }


OBJECTS: list[tuple[str, Any]] = [
    ("without-mark", with_metadata(annotations={})),
    ("mark-of-another-change", with_metadata(annotations={"countersign/change": "cs-ffffffffffffffff"})),
    ("another-namespace", with_metadata(namespace="kube-system")),
    (
        "no-namespace",
        {**OBJECT, "metadata": {k: v for k, v in OBJECT["metadata"].items() if k != "namespace"}},
    ),
    ("another-namespace-object", {**NAMESPACE, "metadata": {**NAMESPACE["metadata"], "name": "kube-system"}}),
    ("kind-out-of-scope", {**OBJECT, "kind": "ClusterRole", "apiVersion": "rbac.authorization.k8s.io/v1"}),
    ("kind-of-another-group", {**OBJECT, "apiVersion": "apps.evil/v1"}),
    ("list-of-objects", [OBJECT, OBJECT]),
    ("application-that-reaches-elsewhere", gitops("Application", destination={"namespace": "kube-system"})),
    ("application-that-reaches-anywhere", gitops("Application", destination={"server": "x"})),
    (
        "project-that-reaches-elsewhere",
        gitops("AppProject", destinations=[{"namespace": "web"}, {"namespace": "kube-system"}]),
    ),
    ("project-that-reaches-anywhere", gitops("AppProject", destinations=[{"namespace": "*"}])),
    ("kind-list", {"apiVersion": "v1", "kind": "List", "metadata": NAMESPACE["metadata"], "items": [OBJECT]}),
    ("generated-name", with_metadata(generateName="x-")),
    ("yaml", b"kind: Deployment\n"),
    ("two-documents", canonical(OBJECT) + b"\n" + canonical(OBJECT)),
    ("not-canonical", json.dumps(OBJECT).encode()),
    ("duplicate-key", canonical(OBJECT).replace(b'"kind":', b'"kind":"x","kind":', 1)),
]


@pytest.mark.parametrize("body", [row[1] for row in OBJECTS], ids=[row[0] for row in OBJECTS])
def test_only_one_marked_object_in_its_place_is_applied(body: Any) -> None:
    assert deployed(OBJECT).ask()
    assert deployed(NAMESPACE).ask()
    assert deployed(gitops("Application", destination={"namespace": "web"})).ask()
    assert deployed(gitops("AppProject", destinations=[{"namespace": "web"}])).ask()
    with pytest.raises(GateError) as no:
        deployed(body).ask()
    assert no.value.name == "call-mismatch", no.value


@pytest.mark.parametrize("edit", [{"uid": "uid-2"}, None])
def test_another_cluster_is_not_the_signed_one(edit: dict[str, str] | None) -> None:
    cluster = CLUSTER.model_copy(update=edit) if edit else None
    with pytest.raises(GateError) as no:
        deployed(OBJECT).when(destination=Destination(repository=REPOSITORY, cluster=cluster)).ask()
    assert no.value.name == "destination-mismatch"


@pytest.mark.parametrize(
    "edit", [{"revision": "main"}, {"revision": "3" * 40}, {"namespace": "other"}, {"revision": None}]
)
def test_an_application_is_synced_only_to_the_published_commit(edit: dict[str, Any]) -> None:
    change, files = deploy()
    call = {"namespace": "argocd", "name": "web", "revision": "2" * 40}
    phase = change.phase
    assert Case.of(change_of(phase, files, [("kubernetes.sync_application", call)]), files).ask()
    with pytest.raises(GateError) as no:
        Case.of(change_of(phase, files, [("kubernetes.sync_application", {**call, **edit})]), files).ask()
    assert no.value.name == "call-mismatch"


@pytest.mark.parametrize(
    ("make", "call"),
    [
        (deploy()[0].phase, publish_grants()[0]),
        (publish().phase, ("kubernetes.apply", {"object": {"$artifact": "infra/main.tf"}})),
        (publish().phase, ("github.advance_base", {"from": BASE, "to": "2" * 40})),
        (release().phase, publish_grants()[0]),
    ],
)
def test_a_verb_of_another_phase_was_judged_on_another_tree(make: Any, call: Any) -> None:
    with pytest.raises(GateError) as no:
        Case.of(change_of(make, FILES, [call]), FILES).ask()
    assert no.value.name in {"call-mismatch", "out-of-scope"}


def test_a_sandbox_key_never_counts_on_a_real_target_even_when_it_says_real() -> None:
    change = publish(profile="default")
    narrow = DEFAULT.model_copy(update={"reviewers": ("platform-lead",)})
    case = Case.of(change, FILES, narrow)
    assert case.ask()
    with pytest.raises(GateError) as no:
        case.but(trust=Trust(keys=(entry(case.signer, rehearsal=True),))).ask()
    assert no.value.name == "wrong-role"


def test_a_signoff_that_calls_itself_a_rehearsal_unlocks_nothing_real() -> None:
    narrow = DEFAULT.model_copy(update={"reviewers": ("platform-lead",)})
    case = Case.of(publish(profile="default"), FILES, narrow, rehearsal=True)
    with pytest.raises(GateError) as no:
        case.but(trust=Trust(keys=(entry(case.signer, rehearsal=True),))).ask()
    assert no.value.name == "rehearsal-mismatch"


def test_production_waits_for_a_second_key_that_is_not_the_first() -> None:
    person = CryptoSigner.generate_ecdsa()
    strict = DEFAULT.model_copy(update={"signers": ("security", "person"), "reviewers": ("platform-lead",)})
    case = Case.of(publish(profile="default"), FILES, strict)
    asks = entry(PERSON, "person", rehearsal=False)
    both = Trust(keys=(asks, entry(case.signer, rehearsal=False), entry(person, "person", rehearsal=False)))
    alone = Trust(keys=(asks, entry(case.signer, "security", "person", rehearsal=False)))
    second = seal_raw(payload_of(case.bundle), person)
    assert case.but(trust=both, cosigned=(second,)).ask()
    other = seal_raw(canonical({**case.payload(), "subject": case.payload()["subject"][:1]}), person)
    rows = [
        (case.but(trust=both), "role-missing"),
        (case.but(trust=alone), "role-missing"),
        (case.but(trust=both, cosigned=(case.bundle,)), "role-missing"),
        (case.but(trust=both, cosigned=(other,)), "wrong-role"),
        (case.but(trust=both, cosigned=(seal_raw(payload_of(case.bundle), PERSON),)), "requester-approves"),
        (case.but(trust=both, cosigned=(base64.b64encode(second.encode()).decode(),)), "malformed"),
        (case.but(trust=both, bundle=second, cosigned=(case.bundle,)), "wrong-role"),
    ]
    for row, name in rows:
        with pytest.raises(GateError) as no:
            row.ask()
        assert no.value.name == name, no.value
