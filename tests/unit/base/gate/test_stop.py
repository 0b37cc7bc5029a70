"""The kill switch: wherever a mutating call is when the stop comes, it changes nothing more; reads go on."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel

from policies.change import Word, digest_of
from policies.profile import Limits
from tests.fakes.gate import World
from tests.fakes.scripted_github import Scripted, scripted
from tools.gate import states
from tools.gate.ledger import EVERY_RUN
from tools.gate.server import guarded
from tools.gate.stop import StoppedError, lift, stop
from tools.gate.words import RunRef, SignoffState
from tools.github.client import connect as connect_github
from tools.kubernetes.client import APPLY
from tools.kubernetes.client import connect as connect_cluster
from tools.launch import stopping
from tools.launch.config import ConfigFaultError
from tools.sandbox.cluster.kubeconfig import kubeconfig
from tools.settings import GitHubSettings, KubernetesSettings
from tools.tool import Effect, Nothing, Role, Tool, ToolRefusedError


class Anything(BaseModel):
    """Whatever a server answers."""


class DiedError(BaseException):
    """The process is killed here."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "gate")


def stopped(world: World, run_id: str = "run-1") -> None:
    """By another process on the same folder."""
    other = world.another().journal
    stop(other, run_id, person="kim", reason="the wrong cluster")
    other.close()


def while_sleeping(world: World, act: Callable[[], None]) -> None:
    """`act` happens in the first sleep from now on."""
    sleep = world.clock.sleep

    def sleeping(seconds: float) -> None:
        world.clock.sleep = sleep  # type: ignore[method-assign]
        act()
        sleep(seconds)

    world.clock.sleep = sleeping  # type: ignore[method-assign]
    object.__setattr__(world.room, "sleep", lambda seconds: world.clock.sleep(seconds))


@pytest.fixture
def held(world: World) -> Iterator[None]:
    """Somebody else holds the lock of the repository."""
    where = "127.0.0.1:1/acme/platform@main"
    folder = world.folder / "locks"
    folder.mkdir()
    handle = os.open(folder / digest_of(where.encode())[7:], os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    yield
    os.close(handle)


def before_everything(world: World, _: SignoffState) -> None:
    stopped(world)


def between_look_and_call(world: World, _: SignoffState) -> None:
    world.push().faults["find"] = lambda: stopped(world)


def before_the_intent(world: World, _: SignoffState) -> None:
    resolve = world.repository.resolve

    def resolving() -> object:
        world.repository.resolve = resolve  # type: ignore[method-assign]
        stopped(world)
        return resolve()

    world.repository.resolve = resolving  # type: ignore[method-assign,assignment]


def while_an_interrupted_call_settles(world: World, signed: SignoffState) -> None:
    def die() -> None:
        raise DiedError

    world.push().faults["before"] = die
    with pytest.raises(DiedError):
        world.submit(signed.signoff, 1)
    while_sleeping(world, lambda: stopped(world))


POINTS = [before_everything, before_the_intent, between_look_and_call, while_an_interrupted_call_settles]


@pytest.mark.parametrize("point", POINTS)
def test_a_stop_at_any_point_leaves_no_effect_and_after_lifting_the_grant_runs_once(
    world: World, point: Callable[[World, SignoffState], None]
) -> None:
    signed = world.signed()
    point(world, signed)
    with pytest.raises(StoppedError, match=r"kim stopped run run-1 at .*: the wrong cluster.*--lift"):
        world.submit(signed.signoff, 1)
    assert world.all_effects() == 0
    assert lift(world.journal, "run-1", person="kim", reason="")
    assert world.submit(signed.signoff, 1).state == "done"
    assert world.all_effects() == 1


def test_a_stopped_run_is_not_even_looked_up_at_the_target(world: World) -> None:
    signed = world.signed()

    def asked() -> None:
        raise AssertionError("the target was asked")

    world.repository.resolve = asked  # type: ignore[method-assign,assignment]
    stopped(world)
    with pytest.raises(StoppedError):
        world.submit(signed.signoff, 1)


def test_no_intent_is_written_after_a_stop(world: World) -> None:
    signed = world.signed()
    before_the_intent(world, signed)
    with pytest.raises(StoppedError):
        world.submit(signed.signoff, 1)
    assert not [e for e in world.journal.entries("run-1") if e.kind == "intent"]


def test_who_waits_for_a_lock_hears_of_a_stop_at_its_next_breath(world: World, held: None) -> None:
    signed = world.signed()
    while_sleeping(world, lambda: stopped(world))
    with pytest.raises(StoppedError):
        world.submit(signed.signoff, 1)
    assert sum(world.clock.slept) < 0.2


def test_a_settling_call_hears_of_it_within_a_second(world: World) -> None:
    signed = world.signed()
    while_an_interrupted_call_settles(world, signed)
    with pytest.raises(StoppedError):
        world.submit(signed.signoff, 1)
    assert sum(world.clock.slept) < 1


def test_a_stop_between_two_requests_of_one_call_is_read_back_and_told(world: World) -> None:
    """A verb of several requests asks before each of them."""
    signed = world.signed()

    def interrupted() -> None:
        stopped(world)
        world.room.switch.check()

    world.push().faults["before"] = interrupted
    with pytest.raises(StoppedError):
        world.submit(signed.signoff, 1)
    assert not world.room.ledger().of(signed.signoff, 1).open
    lift(world.journal, "run-1", person="kim", reason="")
    assert world.submit(signed.signoff, 1).state == "done"


def test_one_whose_effect_is_there_is_recorded_though_it_was_stopped(world: World) -> None:
    signed = world.signed()

    def late() -> None:
        stopped(world)
        world.room.switch.check()

    world.push().faults["after"] = late
    with pytest.raises(StoppedError):
        world.submit(signed.signoff, 1)
    assert world.room.ledger().of(signed.signoff, 1).effect
    lift(world.journal, "run-1", person="kim", reason="")
    assert world.submit(signed.signoff, 1).state == "done"
    assert world.all_effects() == 1


def test_every_run_can_be_stopped_at_once_and_one_run_alone(world: World) -> None:
    other = world.another(run_id="run-2")
    mine, theirs = world.signed(), other.signed()
    stopped(world, "run-1")
    with pytest.raises(StoppedError):
        world.submit(mine.signoff, 1)
    assert other.submit(theirs.signoff, 1).state == "done"
    stopped(world, EVERY_RUN)
    with pytest.raises(StoppedError, match=r"every run.*stop all --lift"):
        other.submit(theirs.signoff, 2)
    lift(world.journal, EVERY_RUN, person="kim", reason="")
    with pytest.raises(StoppedError):
        world.submit(mine.signoff, 1)


def test_it_survives_a_restart_and_is_on_record(world: World) -> None:
    signed = world.signed()
    stopped(world)
    world.journal.close()
    again = world.another()
    with pytest.raises(StoppedError):
        again.submit(signed.signoff, 1)
    last = again.journal.entries("run-1")[-1]
    assert (last.kind, dict(last.body)) == ("stopped", {"person": "kim", "reason": "the wrong cluster"})


def test_reads_go_on_and_say_that_it_is_stopped(world: World) -> None:
    signed = world.signed()
    stopped(world, EVERY_RUN)
    assert states.signoff_state(world.room, world.room.ledger(), signed.signoff).state == "open"
    told = states.run_record(world.room, Role.PERSON, RunRef(run_id="run-1"))
    assert "stop all --lift" in told.stopped
    world.submission.reconcile()


@pytest.mark.parametrize("effect", list(Effect))
def test_only_what_changes_a_target_is_refused(world: World, effect: Effect) -> None:
    """Whoever mounts a tool at the gate."""
    called: list[Word] = []

    def call(asked: Word) -> Word:
        called.append(asked)
        return Nothing()

    stopped(world)
    tool = guarded(world.room, Tool("any", "any", Nothing, Nothing, call, effect))
    if effect is Effect.MUTATE:
        with pytest.raises(StoppedError):
            tool.call(Nothing())
    else:
        tool.call(Nothing())
    assert len(called) == (effect is not Effect.MUTATE)


def test_the_command_stops_and_lifts_by_name_beginning_or_all(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    signed = world.signed()
    document, text = stopping.stop("run-1", lift=False, reason="why", state_dir=tmp_path)
    assert (document["run"], document["stopped"], document["reason"]) == ("run-1", True, "why")
    assert "countersign stop run-1 --lift" in text
    with pytest.raises(StoppedError):
        world.submit(signed.signoff, 1)
    assert stopping.stop("run-1", lift=True, reason="", state_dir=tmp_path)[1] == "run run-1 may go on"
    assert stopping.stop("all", lift=True, reason="", state_dir=tmp_path)[1] == "every run was not stopped"
    stopping.stop("all", lift=False, reason="", state_dir=tmp_path)
    with pytest.raises(StoppedError):
        world.submit(signed.signoff, 1)
    with pytest.raises(ConfigFaultError, match="there is no run 'run-9'"):
        stopping.stop("run-9", lift=False, reason="", state_dir=tmp_path)
    with pytest.raises(ConfigFaultError, match="no gate ever ran"):
        stopping.stop("all", lift=False, reason="", state_dir=tmp_path / "elsewhere")


def test_a_stop_is_written_though_the_journal_is_not_what_it_was(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    signed = world.signed()
    (world.folder / "journal.head").write_text("torn")
    stopping.stop("all", lift=False, reason="", state_dir=tmp_path)
    with pytest.raises(StoppedError):
        world.submit(signed.signoff, 1)


LIMITS = [
    ("effects", {"effects": 2}, "limit-effects", 3),
    ("effects_per_minute", {"effects_per_minute": 2}, "limit-rate", 3),
    ("minutes", {"minutes": 1}, "limit-time", 3),
]


@pytest.mark.parametrize(
    ("limits", "name", "seq"), [row[1:] for row in LIMITS], ids=[row[0] for row in LIMITS]
)
def test_each_limit_is_a_stop_of_its_own_name(
    tmp_path: Path, limits: dict[str, int], name: str, seq: int
) -> None:
    world = World(tmp_path / "gate", limits=Limits(**limits))
    signed = world.signed()
    for done in range(1, seq):
        world.submit(signed.signoff, done)
    if name == "limit-time":
        world.clock.now += timedelta(minutes=1)
    with pytest.raises(ToolRefusedError) as refusal:
        world.submit(signed.signoff, seq)
    assert refusal.value.name == name
    assert refusal.value.advice
    assert world.all_effects() == seq - 1


def test_the_rate_counts_a_minute_and_no_more(tmp_path: Path) -> None:
    world = World(tmp_path / "gate", limits=Limits(effects_per_minute=1))
    signed = world.signed()
    for seq in (1, 2, 3):
        assert world.submit(signed.signoff, seq).state == "done"
        world.clock.now += timedelta(seconds=60)


def test_more_signed_bytes_than_the_profile_allows_are_not_kept(tmp_path: Path) -> None:
    manifest = 2000
    world = World(tmp_path / "gate", limits=Limits(signed_bytes=2 * manifest))
    for files in ({"infra/a.tf": b"a"}, {"infra/b.tf": b"b"}):
        kept = world.desk.deposit(world.sign(world.publish(world.open(), files), files))
    large = {"infra/c.tf": b"c" * 2 * manifest}
    with pytest.raises(ToolRefusedError) as refusal:
        world.desk.deposit(world.sign(world.publish(world.open(), large), large))
    assert refusal.value.name == "limit-size"
    assert [k.signoff for k in world.room.ledger().live()] == [kept.signoff]


@pytest.mark.parametrize(
    ("limits", "name"), [({"calls": 2}, "limit-calls"), ({"calls_per_minute": 2}, "limit-call-rate")]
)
def test_calls_of_any_kind_are_counted(tmp_path: Path, limits: dict[str, int], name: str) -> None:
    world = World(tmp_path / "gate", limits=Limits(**limits))
    tool = guarded(world.room, Tool("any", "any", Nothing, Nothing, lambda asked: asked))
    tool.call(Nothing())
    tool.call(Nothing())
    with pytest.raises(ToolRefusedError) as refusal:
        tool.call(Nothing())
    assert refusal.value.name == name
    world.clock.now += timedelta(seconds=60)
    if name == "limit-call-rate":
        tool.call(Nothing())


class HaltError(Exception):
    """Raised before a request that would change something."""


def halt() -> None:
    raise HaltError


def test_each_single_request_that_would_change_github_asks_first(tmp_path: Path) -> None:
    (token := tmp_path / "token").touch(mode=0o600)
    token.write_text("t")
    with scripted(Scripted()) as server:
        told = GitHubSettings(api_url=server.address, repository="a/b", token_file=token)
        client = connect_github(told, before_write=halt)
        for method in ("POST", "PATCH", "PUT", "DELETE"):
            with pytest.raises(HaltError):
                client.tell(method, "/repos/a/b/git/refs", {})
        client.one(Anything, "/repos/a/b")
        client.close()
    assert [method for method, _, _ in server.asked] == ["GET"]


def test_each_single_request_that_would_change_a_cluster_asks_first_and_a_dry_run_does_not(
    tmp_path: Path,
) -> None:
    with scripted(Scripted()) as server:
        (tmp_path / "kubeconfig").write_text(kubeconfig(server.address, "t", b""))
        told = KubernetesSettings(kubeconfig=tmp_path / "kubeconfig")
        client = connect_cluster(told, before_write=halt)
        for query in ({}, {"dryRun": "None"}):
            with pytest.raises(HaltError):
                client.json("PATCH", "/api/v1/namespaces/web", query=query, body={}, media_type=APPLY)
        client.json("PATCH", "/api/v1/namespaces/web", query={"dryRun": "All"}, body={}, media_type=APPLY)
        client.json("GET", "/api/v1/namespaces/web")
        client.close()
    assert [method for method, _, _ in server.asked] == ["PATCH", "GET"]
