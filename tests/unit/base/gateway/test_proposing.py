"""A proposal becomes a change under our own words; what is unsafe comes back as objections and reaches no target."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from policies.change import CHANGE_ANNOTATION, digest_of
from policies.refusal import GateError
from policies.signoff import read
from tests.fakes.gate import World
from tests.fakes.proposed import proposing
from tools.gateway.proposing import Proposing
from tools.gateway.words import Proposal, ProposeChange
from tools.tool import ToolRefusedError

GOAL = "goal"
SETTINGS = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "hello", "namespace": "web"},
    "data": {"colour": "blue"},
}
PRIVILEGED = {
    "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "web"},
    "spec": {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "image": "nginx", "securityContext": {"privileged": True}}]}}},
}  # fmt: skip
FILE = {"path": "manifests/hello.json", "text": json.dumps(SETTINGS)}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "gate")


@pytest.fixture
def desk(world: World, tmp_path: Path) -> Proposing:
    return proposing(world, tmp_path / "notary")


def propose(desk: Proposing, **asked: Any) -> Proposal:
    return desk.propose(ProposeChange.model_validate({"goal": GOAL, **asked}))


def refused(desk: Proposing, **asked: Any) -> str:
    with pytest.raises(ToolRefusedError) as no:
        propose(desk, **asked)
    return no.value.name


def test_what_is_unsafe_comes_back_as_objections_and_mended_it_is_signed_and_done_once(
    desk: Proposing, world: World
) -> None:
    first = propose(desk, phase="deploy", objects=[PRIVILEGED])
    assert (first.signed, first.signoff, first.grants) == (False, None, ())
    found = {objection.rule: objection for objection in first.objections}
    assert "pod-security/privileged" in found
    assert all(o.where and o.why and o.remedy for o in found.values())
    mended = propose(desk, phase="deploy", objects=[SETTINGS])
    assert (mended.signed, mended.state, mended.objections) == (True, "open", ())
    assert mended.change_id == first.change_id, "the same goal's phase goes on under its change id"
    assert [(g.verb, g.state) for g in mended.grants] == [("apply", "unspent")]
    assert world.all_effects() == 0
    assert world.submit(mended.signoff, 1).state == "done"
    assert world.submit(mended.signoff, 1).state == "done"
    [call] = world.cluster.all["kubernetes.apply"].performed
    applied = json.loads(next(iter(call.content.values())))
    assert applied["data"] == SETTINGS["data"]
    assert applied["metadata"]["annotations"] == {CHANGE_ANNOTATION: mended.change_id}


def test_the_agent_types_neither_change_id_nor_destination_nor_calls(desk: Proposing) -> None:
    for field, value in {
        "change_id": "cs-0000000000000000",
        "destination": {},
        "grants": [],
        "effect_key": "x",
        "role": "security",
    }.items():
        with pytest.raises(ValidationError, match="Extra inputs"):
            propose(desk, phase="deploy", objects=[SETTINGS], **{field: value})


def test_a_claimed_annotation_is_written_over(desk: Proposing) -> None:
    claims = {
        **SETTINGS,
        "metadata": {**SETTINGS["metadata"], "annotations": {CHANGE_ANNOTATION: "cs-ffffffffffffffff"}},
    }
    assert propose(desk, phase="deploy", objects=[claims]).signed


def test_files_are_added_modified_and_deleted_as_the_base_has_them(desk: Proposing, world: World) -> None:
    world.repository.files = {
        "README.md": b"base\n",
        "manifests/hello.json": b"{}",
        "manifests/old.json": b"{}",
    }
    signed = propose(desk, phase="publish", title="say hello", files=[FILE])
    assert [g.verb for g in signed.grants] == ["push_commit", "open_pull_request", "request_reviewers"]
    [kept] = world.room.ledger().live()
    change = world.room.change(kept)
    assert [(a.path, a.operation) for a in change.artifacts] == [("manifests/hello.json", "modify")]
    assert change.goal_digest == digest_of(GOAL.encode())
    deletes = propose(desk, phase="publish", files=[{"path": "manifests/old.json"}])
    assert [o.rule for o in deletes.objections if o.rule.startswith("scope/")] == ["scope/delete"]


def test_a_delete_that_the_profile_lists_is_signed(tmp_path: Path) -> None:
    world = World(tmp_path / "gate")
    scope = world.profile.scope.model_copy(update={"deletes": ("manifests/*",)})
    allowed = world.profile.model_copy(update={"scope": scope})
    world.profile = allowed
    object.__setattr__(world.room, "profile", allowed)
    world.repository.files = {
        "manifests/old.json": b"{}",
        "manifests/kept.json": json.dumps(SETTINGS).encode(),
    }
    signed = propose(
        proposing(world, tmp_path / "n"), phase="publish", files=[{"path": "manifests/old.json"}]
    )
    assert signed.signed, signed.objections
    assert world.submit(signed.signoff, 1).state == "done"


def test_security_stands_on_the_notarys_own_judgement_and_nothing_else(desk: Proposing, world: World) -> None:
    propose(desk, phase="deploy", objects=[PRIVILEGED])
    assert [tool for tool, _ in desk.security.asked] == ["judge"], (
        "nothing is asked to be signed that is not clean"
    )
    signed = propose(desk, phase="deploy", objects=[SETTINGS])
    assert [tool for tool, _ in desk.security.asked] == ["judge", "judge", "sign"]
    asked = desk.security.asked[-1][1]
    assert asked["verdict"]["change_digest"] == digest_of(
        world.room.change(world.room.ledger().live()[0]).canonical()
    )
    bundle = world.room.content.read(world.room.ledger().live()[0].bundle).decode()
    trusted = world.room.gate().trust
    assert read(bundle, trust=trusted, required_roles=("security",), cosigned=()).digest == signed.signoff


def test_a_person_is_asked_where_the_gate_demands_one(tmp_path: Path) -> None:
    world = World(tmp_path / "gate", ask_person=True)
    signed = propose(proposing(world, tmp_path / "n"), phase="deploy", objects=[SETTINGS])
    assert (signed.signed, signed.state) == (True, "awaiting_person")
    with pytest.raises(GateError, match="confirmation-missing"):
        world.submit(signed.signoff, 1)
    assert world.all_effects() == 0


def test_release_names_the_commit_that_the_gate_read_back(desk: Proposing, world: World) -> None:
    published = propose(desk, phase="publish", files=[FILE])
    assert refused(desk, phase="release", published=published.signoff) == "not-published"
    done = world.submit(published.signoff, 1)
    release = propose(desk, phase="release", published=published.signoff, steps=["advance_base"])
    assert release.signed, release.objections
    [_, kept] = world.room.ledger().live()
    [grant] = world.room.change(kept).grants
    assert (grant.verb, grant.arguments["to"]) == ("advance_base", done.receipt["commit"])


def test_a_goal_that_nobody_signed_gets_no_change_id(desk: Proposing, world: World) -> None:
    with pytest.raises(ToolRefusedError, match="request-mismatch"):
        desk.propose(
            ProposeChange.model_validate({"goal": "another", "phase": "deploy", "objects": [SETTINGS]})
        )
    assert world.room.ledger().opened == {}


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (dict(phase="deploy"), "nothing-proposed"),
        (dict(phase="publish"), "nothing-proposed"),
        (dict(phase="deploy", files=[FILE], objects=[SETTINGS]), "not-of-this-phase"),
        (dict(phase="publish", files=[FILE], objects=[SETTINGS]), "not-of-this-phase"),
        (dict(phase="release", files=[FILE]), "not-of-this-phase"),
        (dict(phase="release"), "published-missing"),
        (dict(phase="release", published="sha256:" + "0" * 64), "unknown-signoff"),
        (dict(phase="publish", files=[FILE], steps=["apply"]), "not-of-this-phase"),
        (dict(phase="publish", files=[FILE], steps=["open_pull_request"]), "steps-apart"),
        (dict(phase="publish", files=[FILE], steps=["push_commit", "request_reviewers"]), "steps-apart"),
        (dict(phase="publish", files=[FILE, FILE]), "proposal-refused"),
        (dict(phase="publish", files=[{"path": "manifests/none.json"}]), "not-there"),
        (dict(phase="deploy", objects=[SETTINGS, SETTINGS]), "object-twice"),
        (dict(phase="deploy", objects=[{**SETTINGS, "data": {"n": 2**60}}]), "object-refused"),
        (dict(phase="deploy", objects=[SETTINGS], goal="turn\u202eback"), "goal-refused"),
    ],
    ids=str,
)
def test_a_proposal_that_cannot_be_one_is_refused_by_name(
    desk: Proposing, world: World, asked: dict[str, Any], name: str
) -> None:
    assert refused(desk, **asked) == name
    assert world.all_effects() == 0


@pytest.mark.parametrize(
    "found",
    [
        {}, {"apiVersion": "v1", "kind": "ConfigMap"}, {**SETTINGS, "metadata": {"generateName": "x-"}},
        {**SETTINGS, "metadata": {"name": "x", "generateName": "x-"}}, {**SETTINGS, "kind": "../x"},
        {**SETTINGS, "metadata": {"name": "x", "namespace": "Web/.."}}, {**SETTINGS, "apiVersion": 1},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_object_with_a_fixed_name_does_not_get_in(found: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ProposeChange.model_validate({"goal": GOAL, "phase": "deploy", "objects": [found]})


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", ".git/config", "a\\b", "a\x00b", "-"[:0]])
def test_a_path_that_leaves_the_repository_does_not_get_in(path: str) -> None:
    with pytest.raises(ValidationError):
        ProposeChange.model_validate(
            {"goal": GOAL, "phase": "publish", "files": [{"path": path, "text": ""}]}
        )


def test_two_namespaces_may_hold_the_same_name(desk: Proposing) -> None:
    other = {**SETTINGS, "metadata": {"name": "hello", "namespace": "api"}}
    signed = propose(desk, phase="deploy", objects=[SETTINGS, other])
    assert [g.verb for g in signed.grants] == ["apply", "apply"], signed.objections
