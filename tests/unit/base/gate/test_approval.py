"""Release waits for the approving review of an allowed person on the very commit that was signed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from policies import approval
from policies.approval import GivenReview, ReviewedPull
from policies.change import Phase
from policies.refusal import GateError
from policies.trust import Trust
from tests.fakes.gate import World, trusted
from tests.fakes.targets import TREE
from tools.gate import states
from tools.gate.approval import Approvals, hint_file
from tools.gate.words import AwaitReview, RunRef
from tools.tool import Role, ToolRefusedError

HEAD, OTHER = "a" * 40, "b" * 40
PULL = ReviewedPull(
    number=7, url="http://127.0.0.1/7", author="countersign", head=HEAD, base="main", state="open", reviews=()
)
REVIEWER = {"approval": "reviewer", "reviewers": ("platform-lead", "security-lead", "acme/security")}


def said(*words: tuple[str, str] | tuple[str, str, str | None]) -> tuple[GivenReview, ...]:
    return tuple(
        GivenReview(login=w[0], state=w[1], commit=w[2] if len(w) == 3 else HEAD)  # type: ignore[misc]
        for w in words
    )


YES, NO, REMARK, GONE = "APPROVED", "CHANGES_REQUESTED", "COMMENTED", "DISMISSED"
LEAD, SECURITY = "platform-lead", "security-lead"
STANDINGS: dict[str, tuple[str, Any]] = {
    "nobody": ("waiting", {}),
    "an allowed person": ("approved", {"reviews": said((LEAD, YES))}),
    "in other letters": ("approved", {"reviews": said(("Platform-Lead", YES))}),
    "a merged one": ("approved", {"reviews": said((LEAD, YES)), "state": "merged"}),
    "a remark after it": ("approved", {"reviews": said((LEAD, YES), (LEAD, REMARK))}),
    "after all": ("approved", {"reviews": said((LEAD, NO), (LEAD, YES))}),
    "a stranger": ("waiting", {"reviews": said(("mallory", YES))}),
    "a team is no person": ("waiting", {"reviews": said(("acme/security", YES))}),
    "its author": ("waiting", {"reviews": said((LEAD, YES)), "author": LEAD}),
    "its author in other letters": ("waiting", {"reviews": said((LEAD, YES)), "author": "PLATFORM-lead"}),
    "a remark only": ("waiting", {"reviews": said((LEAD, REMARK))}),
    "one that is not sent yet": ("waiting", {"reviews": said((LEAD, "PENDING"))}),
    "of an earlier commit": ("waiting", {"reviews": said((LEAD, YES, OTHER))}),
    "of no commit": ("waiting", {"reviews": said((LEAD, YES, None))}),
    "dismissed": ("waiting", {"reviews": said((LEAD, GONE))}),
    "the later of two dismissed": ("waiting", {"reviews": said((LEAD, YES), (LEAD, GONE))}),
    "the same person changed their mind": ("waiting", {"reviews": said((LEAD, YES), (LEAD, NO))}),
    "another allowed person objects": ("waiting", {"reviews": said((LEAD, YES), (SECURITY, NO))}),
    "a word that nobody knows": ("waiting", {"reviews": said((LEAD, YES), (LEAD, "RETRACTED"))}),
    "a new commit": ("void", {"reviews": said((LEAD, YES)), "head": OTHER}),
    "a new commit approved": ("void", {"reviews": said((LEAD, YES, OTHER)), "head": OTHER}),
    "another base": ("void", {"reviews": said((LEAD, YES)), "base": "release"}),
    "closed": ("void", {"reviews": said((LEAD, YES)), "state": "closed"}),
}  # fmt: skip


@pytest.mark.parametrize("what", STANDINGS)
def test_what_counts_as_approved(what: str) -> None:
    state, edit = STANDINGS[what]
    pull = PULL.model_copy(update=edit)
    found = approval.standing(pull, HEAD, "main", ("platform-lead", "security-lead"), never=())
    assert found.state == state, found


def test_who_asked_for_the_change_does_not_approve_it_and_nobody_left_is_no() -> None:
    pull = PULL.model_copy(update={"reviews": said((LEAD, YES))})
    assert (
        approval.standing(pull, HEAD, "main", (LEAD, SECURITY), never=("Platform-Lead",)).state == "waiting"
    )
    assert approval.standing(pull, HEAD, "main", (LEAD,), never=(LEAD,)).state == "void"
    assert approval.standing(pull, HEAD, "main", (), never=()).state == "void"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A run that has published commit HEAD as pull request 7, under a profile that asks for a reviewer."""
    world = World(tmp_path / "gate", asks=REVIEWER)
    world.push().facts = lambda _: {"commit": HEAD, "tree": TREE}
    publish(world)
    world.repository.pull = PULL
    return world


def publish(world: World, **edits: Any) -> None:
    signed = world.signed(**edits)
    for seq in (1, 2, 3):
        assert world.submit(signed.signoff, seq).state == "done"


def release(world: World, before: tuple[str, ...] = ("previous_done", "review_approved")) -> str:
    opened = world.open(Phase.RELEASE)
    base = opened.destination.repository.base_commit
    moved = {"branch": "main", "from": base, "to": HEAD}
    change = world.change(opened, {}, [("github", "advance_base", moved, before)])
    return world.desk.deposit(world.sign(change, {})).signoff


def approve(world: World, *words: Any, **edit: Any) -> None:
    world.repository.pull = PULL.model_copy(update={"reviews": said(*(words or ((LEAD, YES),))), **edit})


def advanced(world: World) -> int:
    return len(world.repository.all["github.advance_base"].performed)


def test_the_base_moves_only_after_the_approval(world: World) -> None:
    signoff = release(world)
    waiting = world.submit(signoff, 1)
    assert (waiting.state, advanced(world)) == ("waiting", 0)
    assert "no approving review" in waiting.detail
    told = states.run_record(world.room, Role.PERSON, RunRef(run_id="run-1"))
    assert told.status == "awaiting_review"
    assert "pull request 7" in told.waits_for
    approve(world)
    assert world.submit(signoff, 1).state == "done"
    assert advanced(world) == 1
    assert [e.body["state"] for e in world.journal.entries("run-1") if e.kind == "review"] == [
        "waiting",
        "approved",
    ]


@pytest.mark.parametrize(
    "words", [((LEAD, YES), (LEAD, GONE)), ((LEAD, YES), (LEAD, NO))], ids=["dismissed", "changed"]
)
def test_the_approval_is_asked_for_again_right_before_the_call(world: World, words: Any) -> None:
    approve(world)
    signoff = release(world)
    assert Approvals(world.room).wait(AwaitReview()).state == "approved"
    approve(world, *words)
    assert (world.submit(signoff, 1).state, advanced(world)) == ("waiting", 0)


def test_a_new_commit_ends_it(world: World) -> None:
    approve(world, head=OTHER)
    signoff = release(world)
    with pytest.raises(ToolRefusedError) as refusal:
        world.submit(signoff, 1)
    assert (refusal.value.name, advanced(world)) == ("review-void", 0)


def test_a_manifest_that_waits_for_no_review_is_refused(world: World) -> None:
    approve(world)
    signoff = release(world, before=("previous_done",))
    with pytest.raises(GateError, match="demands the precondition review_approved") as refusal:
        world.submit(signoff, 1)
    assert (refusal.value.name, advanced(world)) == ("call-mismatch", 0)


def test_the_other_phases_do_as_well(world: World) -> None:
    """Objects are applied without a release when a goal has none: they too wait for the review."""
    opened = world.open(Phase.DEPLOY, namespaces=("web",))
    change = world.change(
        opened,
        {"o.json": b"{}"},
        [("kubernetes", "apply", {"object": {"$artifact": "o.json"}}, ("previous_done",))],
    )
    signoff = world.desk.deposit(world.sign(change, {"o.json": b"{}"})).signoff
    with pytest.raises(GateError, match="demands the precondition review_approved"):
        world.submit(signoff, 1)
    assert world.cluster.all["kubernetes.apply"].performed == []


def test_a_profile_whose_reviewers_are_nobody_signs_and_does_nothing(tmp_path: Path) -> None:
    world = World(tmp_path / "gate", asks={"approval": "reviewer", "reviewers": ("acme/security",)})
    signed = world.signed()
    with pytest.raises(GateError, match="lists no login in reviewers"):
        world.submit(signed.signoff, 1)
    assert world.all_effects() == 0


def test_an_expired_sign_off_is_not_waited_for(world: World) -> None:
    signoff = release(world)
    world.clock.sleep(3600)
    with pytest.raises(GateError) as refusal:
        world.submit(signoff, 1)
    assert refusal.value.name == "expired"


def test_before_anything_is_published_there_is_nothing_to_approve(tmp_path: Path) -> None:
    world = World(tmp_path / "gate", asks=REVIEWER)
    for prepare in (lambda: None, world.signed):
        prepare()
        with pytest.raises(ToolRefusedError) as refusal:
            Approvals(world.room).wait(AwaitReview())
        assert refusal.value.name == "nothing-to-review"


def test_a_profile_that_asks_for_no_reviewer_does_not_ask_github(tmp_path: Path) -> None:
    world = World(tmp_path / "gate")
    publish(world)
    assert Approvals(world.room).wait(AwaitReview(seconds=9)).state == "not_needed"
    assert world.repository.asked == 0


def test_the_owner_of_the_key_that_asked_does_not_approve(tmp_path: Path) -> None:
    asker = CryptoSigner.generate_ed25519()
    world = World(tmp_path / "gate", asks=REVIEWER, person=asker)
    mine = trusted(asker, rehearsal=True, roles=("person",)).model_copy(update={"owner": "Platform-Lead"})
    world.trust(Trust(keys=(trusted(world.signer, rehearsal=True), mine)))
    world.push().facts = lambda _: {"commit": HEAD, "tree": TREE}
    publish(world)
    approve(world)
    assert Approvals(world.room).wait(AwaitReview()).state == "waiting"
    approve(world, (SECURITY, YES))
    assert Approvals(world.room).wait(AwaitReview()).state == "approved"


def test_waiting_ends_with_the_hint_and_asks_github_itself(world: World) -> None:
    hint = hint_file(world.folder, "Acme/Platform")

    def delivered(seconds: float) -> None:
        world.clock.slept.append(seconds)
        hint.parent.mkdir(exist_ok=True)
        hint.write_bytes(b"")
        approve(world)

    object.__setattr__(world.room, "sleep", delivered)
    found = Approvals(world.room).wait(AwaitReview(seconds=60))
    assert (found.state, found.by, found.number) == ("approved", (LEAD,), 7)
    assert len(world.clock.slept) == 1


def test_a_hint_alone_approves_nothing_and_the_waiting_has_an_end(world: World) -> None:
    hint = hint_file(world.folder, "acme/platform")
    hint.parent.mkdir()
    hint.write_bytes(b'{"review": {"state": "approved"}}')
    os.utime(hint, ns=(1, 1))
    assert Approvals(world.room).wait(AwaitReview(seconds=3)).state == "waiting"
    assert sum(world.clock.slept) == 3
    assert world.repository.asked == 2
