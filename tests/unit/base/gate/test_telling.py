"""What is said of an ended run is kept with the gate's own record, and decides nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.gate import World
from tools.gate import states
from tools.gate.journal import JournalFaultError
from tools.gate.telling import tell, told
from tools.gate.words import RunRef, TellOutcome
from tools.tool import Role, ToolRefusedError


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "gate")


def test_the_record_and_the_changes_are_the_gates_own(world: World) -> None:
    signed = world.signed()
    world.submit(signed.signoff, 1)
    lie = {"goal": "nginx", "record": {"status": "applied"}, "run_id": "run-9", "changes": []}
    record = tell(world.room, TellOutcome(words=lie))
    (kept,) = told(world.journal, world.room.content)
    assert kept["words"] == lie
    assert kept["run_id"] == "run-1"
    assert kept["record"] == record.model_dump(mode="json")
    assert record.status == "partial"
    assert [change["change_id"] for change in kept["changes"]] == [signed.change_id]


def test_it_changes_neither_status_nor_grants(world: World) -> None:
    signed = world.signed()
    before = states.run_record(world.room, Role.SRE, RunRef(run_id="run-1"))
    tell(world.room, TellOutcome(words={"status": "applied"}))
    after = states.run_record(world.room, Role.SRE, RunRef(run_id="run-1"))
    assert after.model_dump(exclude={"journal_head"}) == before.model_dump(exclude={"journal_head"})
    assert world.submit(signed.signoff, 1).state == "done"


def test_every_telling_is_replayed_in_its_order(world: World) -> None:
    other = world.another(run_id="run-2")
    for room, word in ((world.room, "a"), (other.room, "b"), (world.room, "c")):
        tell(room, TellOutcome(words={"goal": word}))
    assert [one["words"]["goal"] for one in told(world.journal, world.room.content)] == ["a", "b", "c"]


def test_too_many_words_are_refused(world: World) -> None:
    with pytest.raises(ToolRefusedError) as refusal:
        tell(world.room, TellOutcome(words={"goal": "x" * (4 * 2**20)}))
    assert refusal.value.name == "outcome-too-large"
    assert list(told(world.journal, world.room.content)) == []


def test_words_that_were_changed_afterwards_are_not_replayed(world: World) -> None:
    tell(world.room, TellOutcome(words={"goal": "nginx"}))
    for path in (world.folder / "content").iterdir():
        path.write_bytes(path.read_bytes().replace(b"nginx", b"httpd"))
    with pytest.raises(JournalFaultError, match="were changed"):
        list(told(world.journal, world.room.content))
