"""What was read back is compared with the whole custody: another commit, tree, file or plan is an alarm and ends the sign-off."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from policies.change import Phase
from tests.fakes.gate import FILES, World
from tests.fakes.targets import WORKFLOW
from tests.unit.base.gate.test_plan import ENDED, FILE, PLAN, Notary, release
from tools.tool import ToolRefusedError

OTHER = "9" * 40


@pytest.fixture
def world(tmp_path: Path) -> World:
    first = World(tmp_path / "gate")
    return first.another(judge=Notary(first.signer))


def diverged(world: World, signoff: str, seq: int, words: str) -> None:
    """The grant ends as a difference with an alarm, and nothing more of the sign-off is submitted."""
    found = world.submit(signoff, seq)
    assert (found.state, words in found.detail) == ("diverged", True), found
    assert [f.rule for _, f in world.room.ledger().alarms] == ["gate/diverged"]
    with pytest.raises(ToolRefusedError) as refusal:
        world.submit(signoff, seq)
    assert refusal.value.name == "diverged"


@pytest.mark.parametrize("head", [OTHER, None], ids=["another commit", "none told"])
def test_a_pull_request_of_another_commit_than_was_pushed(world: World, head: str | None) -> None:
    """One commit on the right base, and not the one whose tree was signed: a forced push in between."""
    signed = world.signed()
    world.submit(signed.signoff, 1)
    world.repository.all["github.open_pull_request"].facts = lambda _: {"number": 7, "head_sha": head}
    diverged(world, signed.signoff, 2, "the pull request's head is")


def advance(world: World) -> str:
    commit, opened = world.published(), world.open(Phase.RELEASE)
    moved = {"branch": "main", "from": opened.destination.repository.base_commit, "to": commit}
    change = world.change(opened, {}, [("github", "advance_base", moved, ("previous_done",))])
    return world.desk.deposit(world.sign(change, {})).signoff


def test_a_base_with_another_tree_than_was_signed(world: World) -> None:
    signoff = advance(world)
    world.repository.all["github.advance_base"].facts = lambda call: {
        "commit": call.arguments["to"],
        "tree": OTHER,
    }
    diverged(world, signoff, 1, "the base's tree is")


def test_a_base_as_signed_is_done(world: World) -> None:
    assert world.submit(advance(world), 1).state == "done"


def test_a_workflow_run_at_another_commit(world: World) -> None:
    signoff = release(world)
    world.repository.all["github.dispatch_workflow"].facts = lambda _: {"run_id": 77, "head_sha": OTHER}
    diverged(world, signoff, 1, "the workflow runs at")


def test_a_workflow_with_other_bytes_than_at_the_signed_base(world: World) -> None:
    signoff = release(world)
    world.repository.workflow[world.repository.pushed()] = b"name: evil"
    diverged(world, signoff, 1, WORKFLOW)


def publish_the_workflow(world: World, data: bytes) -> None:
    files = FILES | {WORKFLOW: data}
    change = world.publish(world.open(), files)
    signed = world.desk.deposit(world.sign(change, files))
    for seq in (1, 2, 3):
        assert world.submit(signed.signoff, seq).state == "done"


@pytest.mark.parametrize(("there", "state"), [(b"name: signed", "waiting"), (b"name: terraform", "diverged")])
def test_a_workflow_that_the_change_brought_has_the_signed_bytes(
    world: World, there: bytes, state: str
) -> None:
    world.published = lambda: publish_the_workflow(world, b"name: signed") or world.repository.pushed()  # type: ignore[method-assign,func-returns-value]
    signoff = release(world)
    world.repository.workflow[world.repository.pushed()] = there
    assert world.submit(signoff, 1).state == state


SWAPS: dict[str, Callable[[World], Any]] = {
    "another plan file": lambda w: w.repository.artifacts.update(plan=PLAN | {"tfplan": b"swapped"}),
    "no plan file any more": lambda w: w.repository.artifacts.clear(),
}


@pytest.mark.parametrize("what", SWAPS)
def test_a_plan_that_was_swapped_after_it_was_judged(world: World, what: str) -> None:
    signoff = release(world)
    world.submit(signoff, 1)
    world.repository.outcome, world.repository.artifacts = ENDED, {"plan": dict(PLAN)}
    dispatch = world.repository.all["github.dispatch_workflow"]
    dispatch.faults["after"] = lambda: SWAPS[what](world)
    diverged(world, signoff, 2, hashlib.sha256(FILE).hexdigest())
