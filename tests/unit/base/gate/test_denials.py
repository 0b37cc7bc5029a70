"""Every no has its name, leaves no effect, and is written down. One valid case, one edit per row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from policies.change import Phase, digest_of
from policies.refusal import GateError
from policies.trust import Trust, instant
from tests.fakes.gate import World, deposit_of
from tools.gate import states
from tools.gate.server import tools_of
from tools.gate.words import Confirmation, FetchChange, RunRef, Submit
from tools.serve import mount
from tools.tool import Role, ToolRefusedError


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "gate")


def refused(act: Callable[[], Any]) -> str:
    with pytest.raises((ToolRefusedError, GateError)) as refusal:
        act()
    name: str = refusal.value.name
    assert str(refusal.value).startswith(f"{name}: ")
    return name


DEPOSITS: list[tuple[str, str, Callable[[World], Any]]] = [
    ("a change that nobody opened", "unknown-change", lambda w: w.sign(w.publish(w.open().model_copy(update={"change_id": "cs-" + "0" * 16})))),
    ("another goal", "not-issued", lambda w: _with(w, goal_digest=digest_of(b"other"))),
    ("another run", "not-issued", lambda w: _with(w, run_id="run-2")),
    ("another phase", "not-issued", lambda w: _with(w, phase=Phase.RELEASE)),
    ("an unknown key", "unknown-key", lambda w: replace(w, signer=CryptoSigner.generate_ed25519()).sign(w.publish(w.open()))),
    ("a missing file", "bytes-mismatch", lambda w: w.sign(w.publish(w.open()), {"infra/main.tf": b"# signed\n"})),
    ("a changed byte", "bytes-mismatch", lambda w: _content(w, lambda d: {k: v + b"x" for k, v in d.items()})),
    ("a file too many", "bytes-mismatch", lambda w: _content(w, lambda d: {**d, digest_of(b"more"): b"more"})),
    ("a manifest with another spelling", "not-canonical", lambda w: _manifest(w, lambda m: m + b"\n")),
    ("a manifest that was edited", "bytes-mismatch", lambda w: _manifest(w, lambda m: m.replace(b'"title":"t"', b'"title":"u"'))),
    ("a rehearsal flag that is not so", "wrong-role", lambda w: w.sign(w.publish(w.open()), rehearsal=False)),
    ("a sign-off that is over", "expired", lambda w: w.sign(w.publish(w.open()), not_before=instant(w.clock.now - timedelta(hours=1)), expires=instant(w.clock.now))),
    ("a sign-off of tomorrow", "not-yet-valid", lambda w: w.sign(w.publish(w.open()), not_before=instant(w.clock.now + timedelta(minutes=1)))),
    ("a sign-off for ever", "profile-mismatch", lambda w: w.sign(w.publish(w.open()), expires=instant(w.clock.now + timedelta(days=9)))),
    ("another profile", "profile-mismatch", lambda w: w.sign(w.publish(w.open()), profile_digest=digest_of(b"other"))),
    ("another base commit than was issued", "destination-not-issued", lambda w: _moved(w)),
]  # fmt: skip


def _with(world: World, **edits: Any) -> Any:
    """Opened honestly, then other words in manifest and predicate alike."""
    change = world.publish(world.open())
    return world.sign(change.model_copy(update=edits))


def _content(world: World, edit: Callable[[dict[str, bytes]], dict[str, bytes]]) -> Any:
    given = world.sign(world.publish(world.open()))
    return deposit_of(given.bundle, given.manifest, edit(dict(given.content)))


def _manifest(world: World, edit: Callable[[bytes], bytes]) -> Any:
    given = world.sign(world.publish(world.open()))
    return deposit_of(given.bundle, edit(given.manifest), dict(given.content))


def _moved(world: World) -> Any:
    change = world.publish(world.open())
    world.repository.head = "2" * 40
    world.open()
    return world.sign(change)


@pytest.mark.parametrize(("name", "make"), [row[1:] for row in DEPOSITS], ids=[row[0] for row in DEPOSITS])
def test_a_deposit_is_refused_by_name(world: World, name: str, make: Callable[[World], Any]) -> None:
    given = make(world)
    assert refused(lambda: world.desk.deposit(given)) == name
    assert world.room.ledger().deposited == {}


def _revoke(world: World, signoff: str) -> None:
    world.trust(Trust(keys=world.keys(), revoked=(signoff,)))


def _revoke_key(world: World, _: str) -> None:
    world.trust(Trust(keys=world.keys(revoked=True)))


def _spoil(world: World, what: str) -> None:
    for path in (world.folder / "content").iterdir():
        if what in path.read_text(errors="replace"):
            path.write_bytes(b"other")


SUBMITS: list[tuple[str, str, int, Callable[[World, str], Any]]] = [
    ("a grant that is not there", "not-granted", 4, lambda w, s: None),
    ("a grant before its turn", "out-of-order", 2, lambda w, s: None),
    ("after its time", "expired", 1, lambda w, s: w.clock.sleep(3600)),
    ("a revoked sign-off", "revoked", 1, _revoke),
    ("a revoked key", "unknown-key", 1, _revoke_key),
    ("another repository behind the same name", "destination-mismatch", 1, lambda w, s: setattr(w.repository, "full_name", "evil/platform")),
    ("a person's no", "revoked", 1, lambda w, s: w.room.append("refused", {"signoff": s, "person": "kim"})),
    ("a superseded sign-off", "revoked", 1, lambda w, s: w.desk.deposit(w.sign(w.publish(w.open()), nonce="1" * 32))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "seq", "spoil"), [row[1:] for row in SUBMITS], ids=[row[0] for row in SUBMITS]
)
def test_a_submit_is_refused_by_name_and_touches_nothing(
    world: World, name: str, seq: int, spoil: Callable[[World, str], Any]
) -> None:
    signed = world.signed()
    spoil(world, signed.signoff)
    assert refused(lambda: world.submit(signed.signoff, seq)) == name
    assert world.all_effects() == 0
    assert not world.room.ledger().touched(signed.signoff)


def test_an_unknown_signoff_is_refused(world: World) -> None:
    assert refused(lambda: world.submit(digest_of(b"none"), 1)) == "unknown-signoff"


def test_the_signoff_of_another_run_is_unknown_here(world: World) -> None:
    signed = world.signed()
    assert refused(lambda: world.another(run_id="run-2").submit(signed.signoff, 1)) == "unknown-signoff"


def test_a_dry_run_submits_nothing(world: World) -> None:
    signed = world.signed()
    assert refused(lambda: world.another(dry_run=True).submit(signed.signoff, 1)) == "dry-run"
    assert world.all_effects() == 0


def test_a_rehearsal_signoff_counts_on_no_real_target(world: World) -> None:
    signed = world.signed()
    assert refused(lambda: world.another(rehearsal=False).submit(signed.signoff, 1)) == "rehearsal-mismatch"
    assert world.all_effects() == 0


def test_stored_bytes_that_were_changed_are_not_submitted(world: World) -> None:
    signed = world.signed()
    _spoil(world, "# signed")
    tool = {t.name: t for t in tools_of(world.room, world.judge, Role.DEVOPS)}["submit"]
    assert refused(lambda: tool.call(Submit(signoff=signed.signoff, seq=1))) == "journal-unusable"
    assert world.all_effects() == 0


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_trust_file_that_cannot_be_read_is_a_no(world: World, text: str) -> None:
    signed = world.signed()
    (world.folder / "trust.json").write_text(text)
    tool = {t.name: t for t in tools_of(world.room, world.judge, Role.DEVOPS)}["submit"]
    assert refused(lambda: tool.call(Submit(signoff=signed.signoff, seq=1))) == "trust-unusable"


def test_a_moved_base_stops_only_the_call_that_would_overwrite_it(world: World) -> None:
    signed = world.signed()
    world.repository.head = "2" * 40
    assert world.submit(signed.signoff, 1).state == "done"
    commit = world.room.ledger().expected_commit
    opened = world.open(Phase.RELEASE)
    change = world.change(
        opened, {}, [("github", "advance_base", {"from": "2" * 40, "to": commit}, ("previous_done",))]
    )
    release = world.desk.deposit(world.sign(change, {}))
    world.repository.head = "3" * 40
    assert refused(lambda: world.submit(release.signoff, 1)) == "base-moved"
    assert world.all_effects() == 1


def test_a_person_is_asked_and_only_a_yes_opens_the_way(world: World) -> None:
    asking = world.another(ask_person=True)
    signed = asking.signed()
    assert signed.state == "awaiting_person"
    assert refused(lambda: asking.submit(signed.signoff, 1)) == "confirmation-missing"
    assert [s.signoff for s in states.pending(asking.room, RunRef(run_id="run-1")).signoffs] == [
        signed.signoff
    ]
    answered = states.answer(asking.room, Confirmation(signoff=signed.signoff, person="kim"), yes=True)
    assert answered.state == "open"
    assert asking.submit(signed.signoff, 1).state == "done"


def test_a_persons_no_stands(world: World) -> None:
    asking = world.another(ask_person=True)
    signed = asking.signed()
    word = Confirmation(signoff=signed.signoff, person="kim")
    assert states.answer(asking.room, word, yes=False).state == "refused_by_person"
    assert refused(lambda: states.answer(asking.room, word, yes=True)) == "nothing-waits"
    assert refused(lambda: asking.submit(signed.signoff, 1)) == "revoked"
    assert states.run_record(asking.room, Role.PERSON, RunRef(run_id="run-1")).status == "refused"


def test_a_resumed_crew_gets_the_same_change_until_something_was_submitted(world: World) -> None:
    first = world.open()
    assert world.open().change_id == first.change_id
    signed = world.desk.deposit(world.sign(world.publish(first)))
    assert world.open().change_id == first.change_id
    world.submit(signed.signoff, 1)
    assert world.open().change_id != first.change_id


def test_the_signed_goal_is_kept_with_what_was_opened_for_it(world: World) -> None:
    change_id = world.open().change_id
    opened = world.room.ledger().opened[change_id]
    assert world.room.content.read(opened.request).decode() == world.room.request


@pytest.mark.parametrize(
    ("edit", "name"),
    [
        (lambda w: None, "goal-unsigned"),
        (lambda w: w.request(goal_digest=digest_of(b"other")), "request-mismatch"),
        (lambda w: w.request(run_id="run-2"), "request-mismatch"),
        (lambda w: w.request(rehearsal=False), "request-mismatch"),
    ],
)
def test_nothing_is_opened_for_a_goal_that_no_person_signed(
    world: World, edit: Callable[[World], str | None], name: str
) -> None:
    object.__setattr__(world.room, "request", edit(world))
    assert refused(world.open) == name
    assert world.room.ledger().opened == {}


def test_a_change_that_is_in_use_is_signed_once(world: World) -> None:
    change = world.publish(world.open())
    given = world.sign(change)
    signed = world.desk.deposit(given)
    assert world.desk.deposit(given) == signed
    world.submit(signed.signoff, 1)
    assert refused(lambda: world.desk.deposit(world.sign(change, nonce="1" * 32))) == "already-signed"


def test_a_base_tree_over_the_limit_is_refused(world: World) -> None:
    world.repository.files = {"big": b"x" * (33 * 1024 * 1024)}
    opened = world.open()
    assert (
        refused(lambda: world.desk.fetch_change(FetchChange(change_id=opened.change_id))) == "tree-too-large"
    )


def test_fetch_change_gives_the_base_tree_at_the_issued_commit(world: World) -> None:
    opened = world.open()
    world.repository.head = "2" * 40
    fetched = world.desk.fetch_change(FetchChange(change_id=opened.change_id))
    assert fetched.base_tree == {"README.md": b"base\n"}
    assert fetched.destination.repository.base_commit == "1" * 40


def test_a_deploy_without_namespaces_is_refused(world: World) -> None:
    assert refused(lambda: world.open(Phase.DEPLOY)) == "namespaces-missing"


def test_the_sre_sees_only_its_own_run(world: World) -> None:
    assert refused(lambda: states.run_record(world.room, Role.SRE, RunRef(run_id="other"))) == "other-run"


def test_two_runs_on_one_target_wait_and_then_are_told_who_is_there(world: World) -> None:
    signed = world.signed()
    other = world.another()
    with world.room.alone("127.0.0.1:1/acme/platform@main"):
        with pytest.raises(ToolRefusedError, match="run run-1 has been at") as refusal:
            other.submit(signed.signoff, 1)
        assert refusal.value.name == "target-busy"
    assert other.submit(signed.signoff, 1).state == "done"


@pytest.mark.parametrize("role", list(Role))
def test_only_devops_has_submit_and_only_the_notary_deposits(world: World, role: Role) -> None:
    tools = {t["name"] for t in _listed(world, role)}
    assert ("submit" in tools) == (role is Role.DEVOPS)
    assert ("deposit" in tools) == (role is Role.NOTARY)
    assert ("confirm" in tools) == ("refuse" in tools) == (role is Role.PERSON)
    assert ("run_record" in tools) == (role in {Role.SRE, Role.PERSON})
    if role is Role.GATE:
        assert tools == set()


def _listed(world: World, role: Role) -> list[dict[str, Any]]:
    import anyio

    from tools import catalog
    from tools.serve import Mount

    assert mount(tools_of(world.room, world.judge, role), name="gate", role=role)
    chosen = catalog.mounted("gate", role, tools_of(world.room, world.judge, role))
    return Mount("gate", role, chosen, anyio.CapacityLimiter(1), 1.0).listing()


def test_a_denied_call_is_written_down(world: World) -> None:
    refusal = ToolRefusedError("tool-not-granted", "no")
    world.room.deny(Role.SRE, "submit", {"signoff": "\udcff"}, refusal)
    told = states.run_record(world.room, Role.PERSON, RunRef(run_id="run-1"))
    assert [(d.role, d.tool, d.name) for d in told.denials] == [("sre", "submit", "tool-not-granted")]


def test_a_flood_of_denials_does_not_fill_the_journal(world: World) -> None:
    for _ in range(1100):
        world.room.deny(Role.SRE, "submit", {}, ToolRefusedError("tool-not-granted", "no"))
    assert len(world.room.ledger().denials) == 1000
