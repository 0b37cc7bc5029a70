"""A second person's signature: what waits for it, whose counts, and that without it nothing happens at the target."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from policies import signoff
from policies.change import canonical, digest_of
from policies.refusal import GateError
from policies.signoff import SignoffStatement
from policies.trust import Trust
from tests.fakes.gate import World, trusted
from tests.fakes.signed import payload_of, seal_raw
from tools.gate import states
from tools.gate.cosigning import cosign
from tools.gate.words import Confirmation, Cosign, RunRef, SignoffRef, SignoffState
from tools.tool import Role, ToolRefusedError

APPROVER, SECOND = CryptoSigner.generate_ecdsa(), CryptoSigner.generate_ed25519()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return made(tmp_path / "gate")


def made(folder: Path, **fields: Any) -> World:
    said: dict[str, Any] = {"asks": {"signers": ("security", "person")}}
    world = World(folder, **{**said, **fields})
    trust(world)
    return world


def trust(world: World, approver: Any = None, **edits: Any) -> None:
    """Two approvers besides the person who asks; `approver` edits the first one's entry."""
    entries = (
        trusted(APPROVER, **{"rehearsal": True, "roles": ("person",), **(approver or {})}),
        trusted(SECOND, rehearsal=True, roles=("person",)),
    )
    world.trust(Trust(keys=(*world.keys(), *entries), **edits))


def signed(world: World, **edits: Any) -> tuple[SignoffState, str]:
    """A deposited publish phase, and the payload that the notary signed."""
    given = world.sign(world.publish(world.open()), approvers=world.profile.signers, **edits)
    return world.desk.deposit(given), given.bundle


def by(bundle: str, signer: CryptoSigner) -> str:
    return seal_raw(payload_of(bundle), signer)


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises((ToolRefusedError, GateError)) as no:
        call()
    return no.value.name


def record(world: World) -> Any:
    return states.run_record(world.room, Role.PERSON, RunRef(run_id="run-1"))


def test_nothing_happens_until_the_second_person_signed(world: World) -> None:
    waiting, bundle = signed(world)
    assert (waiting.state, waiting.unsigned_by) == ("awaiting_signature", ("person",))
    assert refused(lambda: world.submit(waiting.signoff, 1)) == "role-missing"
    told = record(world)
    assert told.status == "awaiting_signature"
    assert waiting.signoff in told.waits_for
    assert [s.signoff for s in states.pending(world.room, RunRef(run_id="run-1")).signoffs] == [
        waiting.signoff
    ]
    after = cosign(world.room, Cosign(signoff=waiting.signoff, bundle=by(bundle, APPROVER)))
    assert (after.state, after.unsigned_by) == ("open", ())
    assert world.submit(waiting.signoff, 1).state == "done"
    assert world.all_effects() == 1


def test_the_signature_is_journalled_and_a_new_process_knows_it(world: World) -> None:
    waiting, bundle = signed(world)
    mine = by(bundle, APPROVER)
    cosign(world.room, Cosign(signoff=waiting.signoff, bundle=mine))
    again = world.another()
    assert again.room.ledger().cosigned == {
        waiting.signoff: {APPROVER.public_key.keyid: digest_of(mine.encode())}
    }
    assert again.submit(waiting.signoff, 1).state == "done"


def test_the_same_key_twice_is_one_signature(world: World) -> None:
    trust(world, thresholds={"person": 2})
    waiting, bundle = signed(world)
    for _ in range(2):
        after = cosign(world.room, Cosign(signoff=waiting.signoff, bundle=by(bundle, APPROVER)))
        assert after.state == "awaiting_signature"
    assert refused(lambda: world.submit(waiting.signoff, 1)) == "role-missing"
    assert len([e for e in world.journal.entries("run-1") if e.kind == "cosigned"]) == 1
    after = cosign(world.room, Cosign(signoff=waiting.signoff, bundle=by(bundle, SECOND)))
    assert after.state == "open"
    assert world.submit(waiting.signoff, 1).state == "done"


def test_a_word_and_a_signature_are_both_waited_for(tmp_path: Path) -> None:
    world = made(tmp_path / "gate", ask_person=True)
    waiting, bundle = signed(world)
    assert waiting.state == "awaiting_person"
    cosign(world.room, Cosign(signoff=waiting.signoff, bundle=by(bundle, APPROVER)))
    assert refused(lambda: world.submit(waiting.signoff, 1)) == "confirmation-missing"
    yes = Confirmation(signoff=waiting.signoff, person="kim")
    assert states.answer(world.room, yes, yes=True).state == "open"


def other_payload(bundle: str) -> str:
    return seal_raw(payload_of(bundle).replace(b'"nonce":"0', b'"nonce":"1', 1), APPROVER)


ROWS: list[tuple[str, str, Callable[[World, str], str]]] = [
    ("the person who asked", "requester-approves", lambda w, b: by(b, w.person)),
    ("the notary again", "wrong-role", lambda w, b: b),
    ("an unknown key", "unknown-key", lambda w, b: by(b, CryptoSigner.generate_ed25519())),
    ("another payload", "wrong-role", lambda w, b: other_payload(b)),
    ("a statement of another kind", "wrong-role", lambda w, b: seal_raw(canonical({}), APPROVER)),
    ("another payload type", "payload-type", lambda w, b: seal_raw(payload_of(b), APPROVER, payload_type="text/plain")),
    ("a byte of the signature", "signature-invalid", lambda w, b: _flipped(by(b, APPROVER))),
    ("no bundle", "malformed", lambda w, b: "yes"),
    ("a waiver key", "wrong-role", lambda w, b: _as(w, b, roles=("waiver",))),
    ("a journal key", "wrong-role", lambda w, b: _as(w, b, roles=("journal",))),
    ("a real key at the sandbox", "wrong-role", lambda w, b: _as(w, b, rehearsal=False)),
    ("a revoked key", "unknown-key", lambda w, b: _as(w, b, revoked=True)),
    ("a key that is over", "wrong-role", lambda w, b: _as(w, b, days=0)),
    ("a key that ended before its holder signed", "wrong-role", lambda w, b: _ended(w, b)),
    ("after its time", "expired", lambda w, b: _later(w, b)),
    ("after a person's no", "revoked", lambda w, b: _refuse(w, b)),
]  # fmt: skip


def _flipped(bundle: str) -> str:
    at = bundle.index('"sig":"') + 20
    return bundle[:at] + ("A" if bundle[at] != "A" else "B") + bundle[at + 1 :]


def _as(world: World, bundle: str, **entry: Any) -> str:
    trust(world, approver=entry)
    return by(bundle, APPROVER)


def _ended(world: World, bundle: str) -> str:
    trust(world, approver={"days": 1 / 144})
    world.clock.sleep(1200)
    return by(bundle, APPROVER)


def _later(world: World, bundle: str) -> str:
    world.clock.sleep(3600)
    return by(bundle, APPROVER)


def _refuse(world: World, bundle: str) -> str:
    world.room.append("refused", {"signoff": digest_of(payload_of(bundle)), "person": "kim"})
    return by(bundle, APPROVER)


@pytest.mark.parametrize(("name", "make"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_whose_signature_does_not_count_is_refused_by_name(
    world: World, name: str, make: Callable[[World, str], str]
) -> None:
    waiting, bundle = signed(world)
    given = Cosign(signoff=waiting.signoff, bundle=make(world, bundle))
    assert refused(lambda: cosign(world.room, given)) == name
    assert world.room.ledger().cosigned == {}
    with pytest.raises((ToolRefusedError, GateError)):
        world.submit(waiting.signoff, 1)
    assert world.all_effects() == 0


def test_an_approver_who_is_revoked_afterwards_stops_what_is_left(world: World) -> None:
    waiting, bundle = signed(world)
    cosign(world.room, Cosign(signoff=waiting.signoff, bundle=by(bundle, APPROVER)))
    world.submit(waiting.signoff, 1)
    trust(world, approver={"revoked": True})
    assert refused(lambda: world.submit(waiting.signoff, 2)) == "unknown-key"
    assert states.signoff_state(world.room, world.room.ledger(), waiting.signoff).state == "revoked"
    assert world.all_effects() == 1


def test_a_stored_signature_that_was_changed_unlocks_nothing(world: World) -> None:
    waiting, bundle = signed(world)
    mine = by(bundle, APPROVER)
    cosign(world.room, Cosign(signoff=waiting.signoff, bundle=mine))
    (world.folder / "content" / digest_of(mine.encode())[7:]).write_text(by(bundle, SECOND))
    with pytest.raises(Exception, match="were changed"):
        world.submit(waiting.signoff, 1)
    assert world.all_effects() == 0


def test_a_profile_that_demands_none_takes_none(tmp_path: Path) -> None:
    world = made(tmp_path / "gate", asks={})
    waiting, bundle = signed(world)
    assert waiting.state == "open"
    given = Cosign(signoff=waiting.signoff, bundle=by(bundle, APPROVER))
    assert refused(lambda: cosign(world.room, given)) == "profile-mismatch"


def test_what_is_shown_carries_what_was_signed(world: World) -> None:
    waiting, bundle = signed(world)
    shown = states.shown(world.room, SignoffRef(signoff=waiting.signoff))
    assert shown.bundle == bundle
    assert digest_of(bytes(shown.manifest)) == record(world).phases[0].manifest_digest
    found = signoff.read(shown.bundle, trust=world.room.gate().trust, required_roles=("security",))
    again = SignoffStatement(subject=found.subjects, predicate=found.predicate)
    assert payload_of(signoff.sign(again, APPROVER)) == payload_of(bundle)
