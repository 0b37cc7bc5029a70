from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from policies import signoff, waiver
from policies.change import EMPTY_DIGEST, Artifact, Operation, Phase, canonical, digest_of
from policies.envelope import unseal
from policies.finding import Severity
from policies.gate import Evidence, Facts, Gate, Issued
from policies.review import Decision
from policies.strict import parse
from policies.trust import Trust
from tests.fakes.notary import FakeScan, World, issued_for
from tests.fakes.signed import (
    CHANGE_ID,
    CLUSTER,
    COMMIT,
    DEFAULT,
    FILES,
    NOW,
    PERSON,
    REPOSITORY,
    SANDBOX,
    change_of,
    deploy,
    entry,
    publish,
    publish_grants,
    release,
    request_of,
)
from tests.unit.base.signoff.test_waiver import finding, written
from tools.gate.words import JudgePlan, PlanStatement
from tools.tool import ToolRefusedError


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(ToolRefusedError) as no:
        call()
    assert no.value.advice
    return no.value.name


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "state")


def test_what_is_clean_and_approved_is_signed_and_deposited(world: World) -> None:
    signed = world.sign()
    [deposit] = world.gate.deposits
    assert deposit.bundle == signed.bundle
    assert deposit.manifest == world.change.canonical()
    found = signoff.verify(signed.bundle, trust=world.trust(), now=world.now, required_roles=("security",))
    assert found.digest == signed.signoff
    assert found.predicate.rehearsal
    assert found.predicate.tree_digest == signed.judgement.tree_digest
    assert found.predicate.scanners == ("fake@1",)


def test_the_gate_admits_what_the_notary_signed(world: World) -> None:
    signed = world.sign()
    evidence = Evidence(signed.bundle, world.change.canonical(), {digest_of(b): b for b in FILES.values()})
    issued = Issued(CHANGE_ID, "run-1", "publish", "sandbox", world.change.goal_digest)
    gate = Gate(world.trust(), SANDBOX, rehearsal=True, ask_person=False, request=world.request)
    assert gate.admit(1, evidence, Facts(NOW, issued, world.change.destination)).signoff == signed.signoff


def test_judging_signs_nothing(world: World) -> None:
    assert world.judge().clean
    assert world.gate.deposits == []


@pytest.mark.parametrize("decision", [Decision.REJECT, Decision.ESCALATE])
def test_security_can_veto(world: World, decision: Decision) -> None:
    assert refused(lambda: world.sign(decision=decision)) == "not-approved"
    assert world.gate.deposits == []


def test_a_verdict_on_other_bytes_counts_for_nothing(world: World) -> None:
    assert refused(lambda: world.sign(change_digest=digest_of(b"other"))) == "other-change"


def test_an_approving_model_cannot_overrule_a_finding(world: World) -> None:
    world.scan.findings = (finding(),)
    assert refused(world.sign) == "not-clean"
    assert not (world.folder / "notary").exists()


def test_findings_below_the_threshold_are_counted_and_signed(world: World) -> None:
    world.scan.findings = (finding(severity=Severity.LOW),)
    found = signoff.read(world.sign().bundle, trust=world.trust(), required_roles=None)
    assert found.predicate.findings.counts == {Severity.LOW: 1}


def test_without_a_whole_scan_nothing_is_signed(world: World) -> None:
    world.scan.fails = True
    assert refused(world.sign) == "scanner-failed"


@pytest.mark.parametrize(
    "edit",
    [
        {"run_id": "run-2"}, {"phase": Phase.RELEASE}, {"profile": "default"}, {"goal_digest": digest_of(b"x")},
        {"destination": publish().destination.model_copy(update={"cluster": CLUSTER})},
    ],
)  # fmt: skip
def test_the_manifest_must_carry_what_the_gate_issued(world: World, edit: dict[str, Any]) -> None:
    world.gate.issued = issued_for(world.change, **edit)
    assert refused(world.judge) == "not-as-issued"


def test_an_id_that_the_gate_never_issued_is_refused(world: World) -> None:
    world.gate.issued = issued_for(world.change, change_id="cs-ffffffffffffffff")
    assert refused(world.judge) == "unknown-change"


def test_the_profile_of_this_notary_is_the_only_one(tmp_path: Path) -> None:
    world = World(tmp_path / "state", change=publish(profile="default"))
    assert refused(world.judge) == "other-profile"


def modified(path: str, data: bytes, operation: Operation) -> tuple[Any, dict[str, bytes]]:
    digest = EMPTY_DIGEST if operation is Operation.DELETE else digest_of(data)
    artifact = Artifact(path=path, digest=digest, operation=operation)
    call = {
        **publish_grants()[0][1],
        "files": [{"path": path} if operation is Operation.DELETE else {"$artifact": path}],
    }
    change = change_of(Phase.PUBLISH, {}, [("github.push_commit", call)], artifacts=(artifact,))
    return change, {} if operation is Operation.DELETE else {path: data}


TREES: list[tuple[str, bytes, Operation, dict[str, bytes], str | None]] = [
    ("infra/a.tf", b"new", Operation.ADD, {}, None),
    ("infra/a.tf", b"new", Operation.ADD, {"infra/a.tf": b"old"}, "already-there"),
    ("infra/a.tf", b"new", Operation.MODIFY, {"infra/a.tf": b"old"}, None),
    ("infra/a.tf", b"new", Operation.MODIFY, {}, "not-there"),
    ("infra/a.tf", b"same", Operation.MODIFY, {"infra/a.tf": b"same"}, "not-changed"),
    ("infra/a.tf", b"", Operation.DELETE, {}, "not-there"),
    ("infra/A.tf", b"new", Operation.ADD, {"infra/a.tf": b"old"}, "path-clash"),
    ("infra/a.tf", b"new", Operation.ADD, {"infra/a.tf/b": b"old"}, "path-clash"),
    ("infra/a/b.tf", b"new", Operation.ADD, {"infra/a": b"old"}, "path-clash"),
]


@pytest.mark.parametrize(("path", "data", "operation", "base", "name"), TREES)
def test_the_resulting_tree_is_the_base_plus_the_change(
    tmp_path: Path, path: str, data: bytes, operation: Operation, base: dict[str, bytes], name: str | None
) -> None:
    change, files = modified(path, data, operation)
    world = World(tmp_path / "state", change=change, files=files, base={**base, "README.md": b"r"})
    if name:
        assert refused(world.judge) == name
        return
    assert world.judge().clean
    tree, changed, _ = world.scan.asked[0]
    assert tree == {**base, "README.md": b"r", path: data}
    assert changed == {path}


def test_a_delete_outside_the_profile_blocks(tmp_path: Path) -> None:
    change, files = modified("infra/a.tf", b"", Operation.DELETE)
    world = World(tmp_path / "state", change=change, files=files, base={"infra/a.tf": b"old"})
    assert [f.rule for f in world.judge().blocking] == ["scope/delete"]
    assert world.scan.asked[0][0] == {}


def test_the_tree_of_a_deploy_is_its_own_objects(tmp_path: Path) -> None:
    change, files = deploy()
    world = World(tmp_path / "state", change=change, files=files, base={"README.md": b"r"})
    assert world.judge().clean
    tree, _, context = world.scan.asked[0]
    assert tree == files
    assert (context.clone_url, context.expected_commit) == (REPOSITORY.clone_url, COMMIT)


def test_publishing_asks_which_workflows_it_starts_and_a_deploy_does_not(
    world: World, tmp_path: Path
) -> None:
    change, files = deploy()
    later = World(tmp_path / "later", change=change, files=files, base={})
    later.judge()
    assert later.scan.asked[0][2].starts == {}
    world.judge()
    assert world.scan.asked[0][2].starts == {
        "push": f"countersign/{world.change.change_id}",
        "create": "",
        "pull_request": REPOSITORY.base_branch,
        "pull_request_target": REPOSITORY.base_branch,
    }


def test_what_the_gate_would_refuse_is_never_signed(tmp_path: Path) -> None:
    change = release()
    world = World(tmp_path / "state", change=change, files={})
    assert world.judge().clean
    world.gate.issued = issued_for(change, expected_commit="3" * 40)
    # both calls of the release name the published commit
    assert [f.rule for f in world.judge().blocking] == ["scope/call"] * 2
    assert refused(world.sign) == "not-clean"


@pytest.mark.parametrize("files", [{}, {**FILES, "x": b"x"}, {**FILES, "infra/main.tf": b"other"}])
def test_exactly_the_bytes_of_the_artifacts_are_judged(world: World, files: dict[str, bytes]) -> None:
    assert refused(lambda: world.judge(world.draft(files=files))) in {"bytes-missing", "bytes-extra"}


def test_judging_again_on_the_same_bytes_scans_once(world: World) -> None:
    world.judge()
    world.sign()
    assert len(world.scan.asked) == 1
    world.gate.issued = issued_for(world.change, {"infra/variables.tf": b"moved"})
    world.judge()
    assert len(world.scan.asked) == 2


def test_the_same_manifest_gets_the_same_signoff_also_from_a_new_process(world: World) -> None:
    first = world.sign()
    world.now += timedelta(minutes=5)
    world.room = world.open()
    assert world.sign().bundle == first.bundle
    assert len(world.gate.deposits) == 2


def test_a_change_id_is_signed_once(world: World) -> None:
    world.sign()
    calls = publish_grants()
    calls[1][1]["title"] = "another"
    other = change_of(Phase.PUBLISH, FILES, calls)
    assert refused(lambda: world.sign(world.draft(other))) == "already-signed"
    world.room = world.open()
    assert refused(lambda: world.sign(world.draft(other))) == "already-signed"


def test_an_expired_signature_leaves_its_place(world: World) -> None:
    first = world.sign()
    world.now += timedelta(minutes=61)
    second = world.sign()
    assert second.signoff != first.signoff
    kept = sorted(path.name for path in (world.folder / "notary").iterdir())
    assert len(kept) == 2


def test_a_corrupted_record_is_not_taken_for_none(world: World) -> None:
    world.sign()
    [path] = (world.folder / "notary").iterdir()
    path.write_text("{")
    assert refused(world.sign) == "record-unreadable"


def trusting(**edits: Any) -> Callable[[World], None]:
    def edit(world: World) -> None:
        keys = (entry(PERSON, "person"), entry(world.signer, **edits))
        (world.folder / "trust.json").write_bytes(Trust(keys=keys).canonical())

    return edit


@pytest.mark.parametrize(
    ("edit", "name"),
    [
        (trusting(rehearsal=False), "key-not-trusted"),
        (trusting(revoked=True), "key-not-trusted"),
        (trusting(not_after="2026-11-02T08:00:00Z"), "key-not-trusted"),
        (trusting(roles=("waiver",)), "key-not-trusted"),
    ],
)
def test_a_key_that_the_gate_would_not_accept_signs_nothing(
    world: World, edit: Callable[[World], None], name: str
) -> None:
    edit(world)
    assert refused(world.sign) == name
    assert world.gate.deposits == []


def test_the_requester_does_not_sign(world: World) -> None:
    keys = (entry(PERSON, "person"), entry(world.signer, "security", "person"))
    (world.folder / "trust.json").write_bytes(Trust(keys=keys).canonical())
    world.request = request_of(signer=world.signer)
    world.room = world.open()
    assert refused(world.sign) == "requester-signs"


@pytest.mark.parametrize(
    "profile",
    [SANDBOX.model_copy(update={"signers": ("person",)}), DEFAULT.model_copy(update={"name": "sandbox"})],
)
def test_a_profile_that_asks_for_another_signer_gets_none(tmp_path: Path, profile: Any) -> None:
    world = World(tmp_path / "state", profile=profile.model_copy(update={"reviewers": ("platform-lead",)}))
    assert refused(world.sign) == "profile-refuses"


def with_waiver(world: World, **edits: Any) -> None:
    holder = CryptoSigner.generate_ed25519()
    kept = world.trust()
    (world.folder / "trust.json").write_bytes(
        kept.model_copy(update={"keys": (*kept.keys, entry(holder, "waiver"))}).canonical()
    )
    (world.folder / "waivers").mkdir()
    (world.folder / "waivers" / "one.json").write_text(waiver.sign(written(**edits), holder))


def test_a_waived_finding_is_signed_with_the_waivers_name(world: World) -> None:
    world.scan.findings = (finding(),)
    with_waiver(world)
    signed = world.sign()
    [waived] = signoff.read(signed.bundle, trust=world.trust(), required_roles=None).predicate.waivers
    assert (waived.rule, waived.owner) == ("terraform/open-ingress", "kim")
    assert signed.judgement.waived == ("terraform/open-ingress at infra/main.tf aws_security_group.web",)


@pytest.mark.parametrize("how", ["its key is revoked", "its time is over"])
def test_a_waiver_that_ended_between_judging_and_signing_excuses_nothing(world: World, how: str) -> None:
    world.scan.findings = (finding(),)
    with_waiver(world, expires="2026-11-02T09:10:00Z")
    assert world.judge().clean
    if how == "its key is revoked":
        trusted = world.trust()
        gone = tuple(
            key.model_copy(update={"revoked": "waiver" in key.roles or key.revoked}) for key in trusted.keys
        )
        (world.folder / "trust.json").write_bytes(trusted.model_copy(update={"keys": gone}).canonical())
    else:
        world.now += timedelta(minutes=10)
    assert refused(world.sign) == "not-clean"
    assert world.gate.deposits == []


def test_a_waiver_that_does_not_count_is_said_aloud(world: World) -> None:
    world.scan.findings = (finding(),)
    with_waiver(world, expires="2026-11-01T00:00:00Z")
    judgement = world.judge()
    assert [f.rule for f in judgement.blocking] == ["terraform/open-ingress"]
    assert [f.resource for f in judgement.findings if f.rule == "scope/waiver-refused"] == ["waiver-expired"]


PLAN: dict[str, Any] = {"format_version": "1.2", "resource_changes": []}
DESTROY = {
    **PLAN,
    "resource_changes": [{"address": "aws_vpc.main", "type": "aws_vpc", "change": {"actions": ["delete"]}}],
}
DIGEST = digest_of(b"plan file")


@pytest.mark.parametrize(
    ("plan", "digest", "clean"),
    [
        (PLAN, DIGEST, True),
        (DESTROY, DIGEST, False),
        ({}, DIGEST, False),
        (None, DIGEST, False),
        (PLAN, None, False),
        (None, None, True),
        ([], DIGEST, False),
    ],
)
def test_a_plan_of_record_gets_a_signed_word(
    tmp_path: Path, plan: Any, digest: str | None, *, clean: bool
) -> None:
    world = World(tmp_path / "state", change=release(), files={})
    signed = world.sign()
    asked = JudgePlan(change_id=CHANGE_ID, signoff=signed.signoff, plan_sha256=digest, plan=plan)
    verdict = world.room.judge_plan(asked)
    sealed = unseal(verdict.envelope.encode(), world.trust())
    said = parse(PlanStatement, sealed.payload, "the plan verdict").predicate
    assert (verdict.clean, said.clean, said.plan_sha256, said.signoff) == (
        clean,
        clean,
        digest,
        signed.signoff,
    )
    assert said.findings_digest == digest_of(canonical([f.model_dump(mode="json") for f in verdict.findings]))


def test_a_plan_of_a_release_that_was_not_signed_here_gets_none(world: World) -> None:
    world.sign()
    asked = JudgePlan(change_id=CHANGE_ID, signoff=digest_of(b"x"), plan_sha256=DIGEST, plan=PLAN)
    assert refused(lambda: world.room.judge_plan(asked)) == "unknown-signoff"


def test_a_real_target_is_not_content_without_a_plan(tmp_path: Path) -> None:
    change = release(profile="default")
    world = World(tmp_path / "state", change=change, files={}, profile=DEFAULT, rehearsal=False)
    signed = world.sign()
    asked = JudgePlan(change_id=CHANGE_ID, signoff=signed.signoff, plan_sha256=None)
    assert not world.room.judge_plan(asked).clean


def test_a_fake_scan_is_asked_about_the_profile(world: World) -> None:
    world.judge()
    context = world.scan.asked[0][2]
    assert context.allowed_registries == frozenset(SANDBOX.scope.registries)
    assert context.rehearsal is SANDBOX.rehearsal_pins
    assert isinstance(world.scan, FakeScan)
