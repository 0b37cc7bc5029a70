"""At most one effect per grant, counted at the target."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from policies.change import ChangeSet
from tests.fakes.gate import World
from tests.fakes.targets import lost
from tools.gate import states
from tools.gate.words import RunRef
from tools.tool import Role, ToolRefusedError
from tools.verbs import ConflictError, ForbiddenError, RateLimitedError, TargetError


class DiedError(BaseException):
    """The process is killed here."""


def die() -> None:
    raise DiedError


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "gate")


def record(world: World):
    return states.run_record(world.room, Role.PERSON, RunRef(run_id=world.run_id))


def test_a_signed_publish_phase_goes_through_in_its_order(world: World) -> None:
    signed = world.signed()
    for seq in (1, 2, 3):
        assert world.submit(signed.signoff, seq).state == "done"
    assert world.all_effects() == 3
    assert world.repository.all["github.request_reviewers"].performed[0].arguments["number"] == 7
    pushed = world.push().performed[0]
    assert [pushed.content[f["digest"]] for f in pushed.arguments["files"]] == [b"# signed\n", b"{}"]
    assert record(world).status == "applied"


def test_a_done_grant_answers_with_its_receipt_and_does_nothing(world: World) -> None:
    signed = world.signed()
    first = world.submit(signed.signoff, 1)
    assert world.submit(signed.signoff, 1) == first
    assert world.all_effects() == 1


@pytest.mark.parametrize("point", ["find", "before", "after"])
def test_a_process_killed_at_any_point_leaves_exactly_one_effect(world: World, point: str) -> None:
    """find: after the intent. before: on the way out. after: the answer was on its way back."""
    signed = world.signed()
    world.push().faults[point] = die
    with pytest.raises(DiedError):
        world.submit(signed.signoff, 1)
    world.journal.close()
    restarted = world.another()
    assert restarted.room.ledger().of(signed.signoff, 1).open
    restarted.submission.reconcile()
    assert restarted.submit(signed.signoff, 1).state == "done"
    assert restarted.all_effects() == 1


def test_a_restart_waits_before_it_reads_what_may_still_be_under_way(world: World) -> None:
    signed = world.signed()
    world.push().faults["before"] = die
    with pytest.raises(DiedError):
        world.submit(signed.signoff, 1)
    world.another().submission.reconcile()
    assert sum(world.clock.slept) >= 4


def test_a_lost_answer_is_resolved_by_reading(world: World) -> None:
    signed = world.signed()
    world.push().faults["after"] = lost
    assert world.submit(signed.signoff, 1).state == "done"
    assert world.all_effects() == 1


def test_a_call_without_answer_and_without_effect_stays_in_doubt_and_then_runs_once(world: World) -> None:
    signed = world.signed()
    world.push().faults["before"] = lost
    with pytest.raises(ToolRefusedError) as refusal:
        world.submit(signed.signoff, 1)
    assert refusal.value.name == "effect-unknown"
    assert states.signoff_state(world.room, world.room.ledger(), signed.signoff).grants[0].state == "intent"
    assert record(world).status == "failed"
    assert world.submit(signed.signoff, 1).state == "done"
    assert world.all_effects() == 1


def test_a_slow_target_that_did_it_after_all_is_not_asked_again(world: World) -> None:
    signed = world.signed()
    push = world.push()

    def later() -> None:
        key = f"{signed.change_id}/publish/1"
        push.faults["find"] = lambda: push.effects.update({key: {"commit": "c" * 40}})
        lost()

    push.faults["before"] = later
    world.submit(signed.signoff, 1)
    assert push.performed == []
    assert world.submit(signed.signoff, 1).state == "done"


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (ConflictError("the branch exists with another tree"), "target-conflict"),
        (ForbiddenError("may not"), "target-forbidden"),
        (RateLimitedError("slow down", 30), "target-rate-limited"),
    ],
)
def test_a_targets_no_is_named_and_leaves_the_grant_free(world: World, fault: TargetError, name: str) -> None:
    def refuse() -> None:
        raise fault

    signed = world.signed()
    world.push().faults["before"] = refuse
    with pytest.raises(ToolRefusedError) as refusal:
        world.submit(signed.signoff, 1)
    assert refusal.value.name == name
    if name == "target-rate-limited":
        assert "30 seconds" in refusal.value.advice
    assert world.submit(signed.signoff, 1).state == "done"
    assert world.all_effects() == 1


def test_a_target_that_cannot_be_read_before_the_call_is_not_called(world: World) -> None:
    signed = world.signed()
    world.push().faults["find"] = lost
    with pytest.raises(TargetError):
        world.submit(signed.signoff, 1)
    assert world.all_effects() == 0
    assert world.submit(signed.signoff, 1).state == "done"


def test_a_second_gate_on_the_same_folder_finds_the_grant_spent(world: World) -> None:
    signed = world.signed()
    other = world.another()
    assert world.submit(signed.signoff, 1).state == "done"
    assert other.submit(signed.signoff, 1).state == "done"
    assert world.all_effects() == 1


def test_two_gates_in_the_same_moment_spend_one_attempt(world: World) -> None:
    signed = world.signed()
    other = world.another()
    body = {"grant": "github.push_commit", "effect_key": "k", "arguments_digest": "d", "call": {}}
    world.journal.spend("run-1", signed.signoff, 1, 1, body)
    with pytest.raises(Exception, match="another gate"):
        other.journal.spend("run-1", signed.signoff, 1, 1, body)
    assert len([e for e in world.journal.entries("run-1") if e.kind == "intent"]) == 1


def test_two_clones_of_the_folder_make_one_effect(world: World, tmp_path: Path) -> None:
    signed = world.signed()
    world.journal.close()
    shutil.copytree(tmp_path / "gate", tmp_path / "clone")
    one, two = world.another(), world.another(folder=tmp_path / "clone")
    assert one.submit(signed.signoff, 1).state == "done"
    assert two.submit(signed.signoff, 1).state == "done"
    assert world.all_effects() == 1
    assert two.room.ledger().of(signed.signoff, 1).effect["found"] is True


def test_what_differs_when_read_back_is_an_alarm_and_ends_the_signoff(world: World) -> None:
    signed = world.signed()
    world.push().differs = "tree 1234 instead of 5678"
    assert world.submit(signed.signoff, 1).state == "diverged"
    for seq in (1, 2):
        with pytest.raises(ToolRefusedError) as refusal:
            world.submit(signed.signoff, seq)
        assert refusal.value.name == "diverged"
    assert world.all_effects() == 1
    told = record(world)
    assert told.status == "failed"
    assert told.phases[0].findings[0].rule == "gate/diverged"


def test_an_expired_signoff_still_has_its_open_intent_resolved(world: World) -> None:
    signed = world.signed()
    world.push().faults["after"] = die
    with pytest.raises(DiedError):
        world.submit(signed.signoff, 1)
    world.clock.sleep(3600)
    assert world.submit(signed.signoff, 1).state == "done"
    assert world.all_effects() == 1


def test_a_run_with_a_declared_phase_that_never_came_is_not_applied(world: World) -> None:
    change: ChangeSet = world.publish(world.open(phases=("publish", "deploy")))
    signed = world.desk.deposit(world.sign(change))
    for seq in (1, 2, 3):
        world.submit(signed.signoff, seq)
    assert record(world).status == "partial"
