"""What the gate remembers between calls is only what cannot change: a changed trust file counts at the next call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from policies.denials import BytesMismatchError
from policies.refusal import GateError
from policies.trust import Trust
from tests.fakes.gate import FILES, World, trusted
from tests.fakes.signed import Case
from tools.gate.words import Submit


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "gate")


@pytest.mark.parametrize("edit", [{"revoked": True}, {"days": 0}, {"roles": ("waiver",)}])
def test_a_key_that_loses_its_right_between_two_calls_opens_no_further_one(
    world: World, edit: dict[str, object]
) -> None:
    signed = world.signed()
    world.submit(signed.signoff, 1)
    world.trust(Trust(keys=(trusted(world.signer, rehearsal=True, **edit),)))
    with pytest.raises(GateError):
        world.submit(signed.signoff, 2)
    assert world.all_effects() == 1


def test_time_passes_between_two_calls(world: World) -> None:
    signed = world.signed()
    world.submit(signed.signoff, 1)
    world.clock.sleep(31 * 60)
    with pytest.raises(GateError, match=r"^expired"):
        world.submit(signed.signoff, 2)


def test_the_store_is_read_once_and_what_was_judged_is_what_goes_out(world: World) -> None:
    signed = world.signed()
    world.submit(signed.signoff, 1)
    kept = world.room.ledger().deposited[signed.signoff]
    first = world.room.evidence(kept)
    for path in (world.folder / "content").iterdir():
        path.write_bytes(b"other")
    assert world.room.evidence(kept) is first
    assert sorted(first.content.values()) == sorted(FILES.values())
    assert world.submission.submit(Submit(signoff=signed.signoff, seq=2)).state == "done"


def test_evidence_with_other_bytes_remembers_nothing_of_the_first() -> None:
    case = Case.publish()
    evidence = case.evidence()
    found = evidence.signoff(case.trust, ("security",))
    evidence.change(found)
    with pytest.raises(BytesMismatchError):
        replace(evidence, content={}).change(found)


def test_evidence_keeps_its_own_copy_of_what_it_was_given() -> None:
    case = Case.publish()
    given = dict(case.content)
    evidence = replace(case.evidence(), content=given)
    given.clear()
    assert evidence.change(evidence.signoff(case.trust, ("security",))) == case.change
