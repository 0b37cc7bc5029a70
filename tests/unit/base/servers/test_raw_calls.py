"""A raw call of another's tool: never without a grant, once with one, through the one road of every mutating call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from policies.change import Phase, digest_of
from tests.fakes.gate import FILES, World, no_notary
from tests.fakes.servers import GITHUB, KUBERNETES, Counting, Other, ask, behind, counting, example, mounted
from tests.unit.base.servers.test_adapter import CHANGES, WRITES
from tools.gate import states
from tools.gate import stop as switch
from tools.gate.case import case_of
from tools.gate.plan import PlanOfRecord
from tools.gate.servers.performing import PerformedBy
from tools.gate.servers.upstream import ServerAsksError, ServerRefusedError
from tools.gate.submit import Submission
from tools.gate.words import RunRef, Submit
from tools.tool import Role
from tools.verbs import ConflictError, UnreachableError

DOCUMENTS = (
    b'{"apiVersion":"v1","kind":"Namespace","metadata":{"annotations":{"countersign/change":"%s"},"name":"web"}}',
    b'{"apiVersion":"v1","kind":"Service","metadata":{"annotations":{"countersign/change":"%s"},"name":"web","namespace":"web"}}',
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "gate")


@pytest.fixture
def github(world: World) -> Counting:
    return counting(world, "gh", GITHUB)


@pytest.fixture
def kubernetes(world: World) -> Counting:
    return counting(world, "k8s", KUBERNETES)


def deployed(world: World) -> tuple[str, list[str]]:
    """A deposited deploy phase of two objects: its sign-off and the objects."""
    opened = world.open(Phase.DEPLOY, namespaces=("web",))
    data = [each % opened.change_id.encode() for each in DOCUMENTS]
    files = {f"objects/{n}.json": each for n, each in enumerate(data)}
    grants: list[Any] = [
        ("kubernetes", "apply", {"object": {"$artifact": path}, "namespace": "web"}, ("previous_done",))
        for path in sorted(files)
    ]
    signed = world.desk.deposit(world.sign(world.change(opened, files, grants), files))
    return signed.signoff, [each.decode() for each in data]


def pushed(world: World) -> tuple[str, dict[str, Any]]:
    """A deposited publish phase: its sign-off and the raw call that its first grant allows."""
    signed = world.signed()
    change = world.room.change(world.room.ledger().deposited[signed.signoff])
    files = [{"path": path, "digest": digest_of(data)} for path, data in sorted(FILES.items())]
    branch = change.grants[0].arguments["branch"]
    return signed.signoff, {
        "owner": "acme",
        "repo": "platform",
        "branch": branch,
        "message": "m",
        "files": files,
    }


def opening_of(world: World, call: dict[str, Any]) -> dict[str, Any]:
    return {
        "owner": "acme",
        "repo": "platform",
        "head": call["branch"],
        "base": "main",
        "title": "t",
        "body": "b",
    }


@pytest.mark.parametrize("tool", sorted(WRITES))
@pytest.mark.parametrize("signed", [False, True], ids=["nothing signed", "something else signed"])
def test_a_github_tool_that_writes_does_nothing_without_its_grant(
    world: World, github: Counting, tool: str, signed: bool
) -> None:
    if signed:
        world.signed()
    schema = GITHUB.pins.schema(tool)
    cases = schema["properties"].get(GITHUB.file.switch.get(tool, ""), {}).get("enum", [None])
    for case in cases:
        given = example(schema) | ({GITHUB.file.switch[tool]: case} if case else {})
        for role in ("planner", "devops", "security", "sre"):
            assert ask(world, role, f"gh__{tool}", given)["refused"] in {
                "no-grant",
                "not-allowed",
                "tool-not-granted",
            }
    assert github.calls == []


@pytest.mark.parametrize("tool", sorted(CHANGES))
def test_a_kubernetes_tool_that_changes_something_does_nothing_without_its_grant(
    world: World, kubernetes: Counting, tool: str
) -> None:
    deployed(world)
    given = example(KUBERNETES.pins.schema(tool))
    for role in ("planner", "devops", "security", "sre"):
        assert ask(world, role, f"k8s__{tool}", given)["refused"] in {
            "no-grant",
            "not-allowed",
            "tool-not-granted",
        }
    assert kubernetes.calls == []


def test_the_granted_calls_go_through_in_their_order_and_once(world: World, github: Counting) -> None:
    signoff, call = pushed(world)
    early = ask(world, "devops", "gh__create_pull_request", opening_of(world, call))
    assert early["refused"] == "grant-not-next"
    done = ask(world, "devops", "gh__push_files", call)
    assert [(g["seq"], g["state"]) for g in done["grants"]] == [(1, "done")]
    assert ask(world, "devops", "gh__push_files", call)["refused"] == "grant-not-next"
    assert (
        ask(world, "devops", "gh__create_pull_request", opening_of(world, call))["grants"][0]["state"]
        == "done"
    )
    review = {"owner": "acme", "repo": "platform", "pullNumber": 7, "reviewers": ["platform-lead"]}
    world.repository.all["github.request_reviewers"].name = "seen"
    answer = ask(world, "devops", "gh__update_pull_request", review | {"pullNumber": 8})
    assert answer["refused"] == "no-grant"
    assert [tool for tool, _ in github.calls] == ["push_files", "create_pull_request"]
    assert github.calls[0][1] == call
    assert world.all_effects() == 0, "our own client performed what the server was asked to"
    assert states.signoff_state(world.room, world.room.ledger(), signoff).grants[1].state == "done"


EDITS: list[tuple[str, dict[str, Any]]] = [
    ("another repository", {"repo": "secrets"}),
    ("another owner", {"owner": "evil"}),
    ("another branch", {"branch": "main"}),
    ("another message", {"message": "m "}),
    ("one file less", {"files": []}),
    ("other bytes", {"files": [{"path": "infra/main.tf", "digest": "sha256:" + "0" * 64}]}),
    ("an argument more", {"force": True}),
    ("an argument that is null", {"force": None}),
    ("a reference", {"branch": {"$artifact": "infra/main.tf"}}),
    ("a word of the adapter", {"branch": "{branch}"}),
]


@pytest.mark.parametrize(("what", "edit"), EDITS, ids=[what for what, _ in EDITS])
def test_one_edit_of_the_granted_call_and_it_is_denied(
    world: World, github: Counting, what: str, edit: dict[str, Any]
) -> None:
    _, call = pushed(world)
    assert ask(world, "devops", "gh__push_files", call | edit)["refused"] == "no-grant"
    assert github.calls == []
    assert "grants" in ask(world, "devops", "gh__push_files", call)


@pytest.mark.parametrize("role", ["planner", "security", "sre"])
def test_a_grant_is_spent_by_who_may_submit(world: World, github: Counting, role: str) -> None:
    _, call = pushed(world)
    assert ask(world, role, "gh__push_files", call)["refused"] == "tool-not-granted"
    assert github.calls == []


def test_documents_are_taken_apart_and_sent_one_by_one_as_they_were_signed(
    world: World, kubernetes: Counting
) -> None:
    signoff, objects = deployed(world)
    spelled = (
        "---\n"
        + objects[0]
        + "\n---\n"
        + objects[1].replace('{"apiVersion":"v1",', '{"apiVersion": v1,   ')
        + "\n"
    )
    answer = ask(world, "devops", "k8s__resources_create_or_update", {"resource": spelled})
    assert [(g["seq"], g["state"]) for g in answer["grants"]] == [(1, "done"), (2, "done")]
    assert kubernetes.calls == [("resources_create_or_update", {"resource": each}) for each in objects]
    assert states.signoff_state(world.room, world.room.ledger(), signoff).state == "spent"


def test_documents_in_another_order_are_sent_in_the_signed_one(world: World, kubernetes: Counting) -> None:
    _, objects = deployed(world)
    given = {"resource": f"{objects[1]}\n---\n{objects[0]}"}
    assert [g["seq"] for g in ask(world, "devops", "k8s__resources_create_or_update", given)["grants"]] == [
        1,
        2,
    ]
    assert [each["resource"] for _, each in kubernetes.calls] == objects


PAYLOADS = [
    ("an unsigned third", lambda a, b: f"{a}\n---\n{b}\n---\n" + '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"}}', "no-grant"),
    ("an unsigned first", lambda a, b: '{"kind":"Role"}\n---\n' + f"{a}\n---\n{b}", "no-grant"),
    ("the second alone", lambda a, b: b, "grant-not-next"),
    ("the first twice", lambda a, b: f"{a}\n---\n{a}", "grant-not-next"),
    ("one byte more", lambda a, b: a.replace('"web"', '"web2"'), "no-grant"),
    ("a key twice", lambda a, b: a[:-1] + ',"kind":"Secret"}', "arguments-refused"),
    ("an alias", lambda a, b: "a: &x 1\nb: *x", "arguments-refused"),
    ("a tag", lambda a, b: "!!python/object:os.system x", "arguments-refused"),
    ("a merge", lambda a, b: "<<: {a: 1}", "arguments-refused"),
    ("a hidden character", lambda a, b: a.replace("web", "we\u200bb"), "arguments-refused"),
    ("NUL", lambda a, b: a.replace("web", "web\0"), "arguments-refused"),
    ("nothing", lambda a, b: "", "arguments-refused"),
    ("no text", lambda a, b: {"kind": "Pod"}, "arguments-refused"),
    ("a separator inside a text", lambda a, b: a + "\n--- |\n" + b, "arguments-refused"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "edit", "name"), PAYLOADS, ids=[what for what, _, _ in PAYLOADS])
def test_all_documents_are_judged_before_the_first_is_sent(
    world: World, kubernetes: Counting, what: str, edit: Any, name: str
) -> None:
    _, objects = deployed(world)
    answer = ask(world, "devops", "k8s__resources_create_or_update", {"resource": edit(*objects)})
    assert answer["refused"] == name
    assert "holds 0 documents" not in answer["message"] or what == "nothing", "the reason is the text's own"
    assert kubernetes.calls == []


def test_a_grant_of_another_verb_with_the_same_words_is_no_grant(world: World, github: Counting) -> None:
    opened = world.open()
    said = {"head": "a", "base": "main", "title": "t", "body": "b"}
    change = world.change(opened, {}, [("github", "comment", said, ("previous_done",))])
    world.desk.deposit(world.sign(change, {}))
    given = {"owner": "acme", "repo": "platform", **said}
    assert ask(world, "devops", "gh__create_pull_request", given)["refused"] == "no-grant"
    assert (github.calls, world.all_effects()) == ([], 0)


def test_a_sign_off_of_another_run_grants_nothing_here(world: World, kubernetes: Counting) -> None:
    _, objects = deployed(world)
    elsewhere = world.another(run_id="run-2")
    upstream = counting(elsewhere, "k8s", KUBERNETES)
    answer = ask(elsewhere, "devops", "k8s__resources_create_or_update", {"resource": objects[0]})
    assert (answer["refused"], upstream.calls, kubernetes.calls) == ("no-grant", [], [])


def test_a_stopped_run_a_dry_run_and_an_expired_sign_off_send_nothing(
    world: World, kubernetes: Counting
) -> None:
    _, objects = deployed(world)
    given = {"resource": objects[0]}
    switch.stop(world.journal, world.run_id, person="somebody", reason="")
    assert ask(world, "devops", "k8s__resources_create_or_update", given)["refused"] == "stopped"
    switch.lift(world.journal, world.run_id, person="somebody", reason="")
    object.__setattr__(world.room, "dry_run", True)
    assert ask(world, "devops", "k8s__resources_create_or_update", given)["refused"] == "dry-run"
    object.__setattr__(world.room, "dry_run", False)
    world.clock.sleep(3600)
    assert ask(world, "devops", "k8s__resources_create_or_update", given)["refused"] == "expired"
    assert kubernetes.calls == []


def test_a_stop_between_the_look_and_the_call_is_heeded(world: World, kubernetes: Counting) -> None:
    _, objects = deployed(world)
    verb = world.cluster.all["kubernetes.apply"]
    verb.faults["ready"] = lambda: switch.stop(world.journal, world.run_id, person="somebody", reason="")
    answer = ask(world, "devops", "k8s__resources_create_or_update", {"resource": objects[0]})
    assert (answer["refused"], kubernetes.calls) == ("stopped", [])


FAULTS = [
    ("a fault of the tool", ServerRefusedError("no"), "target-error"),
    ("a question", ServerAsksError("no result but inputRequests"), "target-error"),
    ("no answer", UnreachableError("no answer"), "effect-unknown"),
    ("a conflict", ConflictError("another manager"), "target-conflict"),
]


@pytest.mark.parametrize(("what", "fault", "name"), FAULTS, ids=[what for what, _, _ in FAULTS])
def test_a_call_that_failed_is_resolved_by_reading(
    world: World, kubernetes: Counting, what: str, fault: Exception, name: str
) -> None:
    signoff, objects = deployed(world)
    kubernetes.answer = fault
    assert (
        ask(world, "devops", "k8s__resources_create_or_update", {"resource": objects[0]})["refused"] == name
    )
    kubernetes.answer = "done"
    world.clock.sleep(10)
    answer = ask(world, "devops", "k8s__resources_create_or_update", {"resource": objects[0]})
    assert [g["state"] for g in answer["grants"]] == ["done"]
    assert world.room.ledger().of(signoff, 1).attempts == 2


def test_the_server_that_was_called_is_on_record_and_reads_are_by_our_own_client(
    world: World, kubernetes: Counting
) -> None:
    signoff, objects = deployed(world)
    ask(world, "devops", "k8s__resources_create_or_update", {"resource": objects[0]})
    assert world.room.ledger().of(signoff, 1).through == "k8s"
    assert world.submit(signoff, 2).state == "done"  # the next one by our own client
    assert world.room.ledger().of(signoff, 2).through == ""
    assert len(world.cluster.all["kubernetes.apply"].performed) == 1


def test_what_a_server_was_asked_is_looked_for_in_its_own_way_after_a_death(
    world: World, kubernetes: Counting
) -> None:
    """A commit that such a server pushed has its author, so only its own way of looking finds it as signed."""
    signoff, _ = deployed(world)
    kubernetes.answer = DiedError()
    with pytest.raises(DiedError):
        world_through(world).submit(Submit(signoff=signoff, seq=1))
    ledger = world.room.ledger()
    interrupted, untouched = (case_of(world.room, ledger, signoff, seq).verb() for seq in (1, 2))
    assert isinstance(interrupted, PerformedBy)
    assert interrupted.server.name == "k8s"
    assert not isinstance(untouched, PerformedBy)
    world.submission.reconcile()
    assert world.room.ledger().of(signoff, 1).reason.startswith("read after an interruption")


class DiedError(Exception):
    """The process is killed here; nobody catches it on the way."""


def world_through(world: World) -> Submission:
    through = replace(world.room.targets, through={"kubernetes.apply": "k8s"})
    return Submission(world.room.with_targets(through), PlanOfRecord(world.room, no_notary))


def test_a_configured_server_performs_what_is_submitted_by_its_number(
    world: World, kubernetes: Counting
) -> None:
    signoff, objects = deployed(world)
    told = Other(world.folder).settings(performs=("kubernetes.apply",))
    behind(world, world.room.servers, {"k8s": told})
    assert ask(world, "devops", "submit", {"signoff": signoff, "seq": 1})["state"] == "done"
    assert kubernetes.calls == [("resources_create_or_update", {"resource": objects[0]})]


def test_a_server_that_was_shut_out_between_look_and_call_leaves_the_grant_free(
    world: World, kubernetes: Counting
) -> None:
    signoff, objects = deployed(world)
    kubernetes.definitions.append({"name": "more", "inputSchema": {"type": "object"}})
    answer = ask(world, "devops", "k8s__resources_create_or_update", {"resource": objects[0]})
    assert answer["refused"] == "server-quarantined"
    assert kubernetes.calls == []
    assert world.submit(signoff, 1).state == "done"


def test_a_server_that_cannot_be_started_leaves_the_grant_free_at_once(world: World) -> None:
    (world.folder / "other").mkdir()
    other = Other(world.folder / "other")
    told = other.settings(performs=("kubernetes.apply",))
    behind(world, {"other": other.guarded(argv=("/nowhere/server",))}, {"other": told})
    signoff, objects = deployed(world)
    raw = ask(world, "devops", "other__make", {"resource": objects[0]})
    assert (raw["refused"], world.room.ledger().of(signoff, 1).attempts) == ("target-unreachable", 0)
    numbered = ask(world, "devops", "submit", {"signoff": signoff, "seq": 1})
    assert (numbered["refused"], "nothing was called" in numbered["message"]) == ("target-error", True)
    assert not world.room.ledger().of(signoff, 1).open


def test_a_server_that_speaks_to_another_target_than_the_signed_one_is_asked_nothing(world: World) -> None:
    """A rehearsal's sign-off must not reach a real cluster by another server's own kubeconfig."""
    upstream = counting(world, "k8s", KUBERNETES)
    upstream.place = "uid: 99999999-0000-0000-0000-000000000000"
    signoff, objects = deployed(world)
    answer = ask(world, "devops", "k8s__resources_create_or_update", {"resource": objects[0]})
    assert (answer["refused"], "another target" in answer["message"]) == ("target-forbidden", True)
    assert (upstream.calls, world.room.ledger().of(signoff, 1).open) == ([], False)
    assert world.submit(signoff, 1).state == "done", "by our own client it still can be"


def test_without_a_target_of_our_own_nobody_could_read_back_so_nothing_is_called(world: World) -> None:
    world.room = world.another(cluster=None).room  # type: ignore[arg-type]
    upstream = counting(world, "k8s", KUBERNETES)
    answer = ask(world, "devops", "k8s__resources_create_or_update", {"resource": "{}"})
    assert (answer["refused"], upstream.calls) == ("no-such-verb", [])


def test_each_role_is_shown_what_it_may_call_with_our_effect_and_no_hint_of_the_server(
    world: World, kubernetes: Counting
) -> None:
    shown = {
        role: {t["name"]: t for t in mounted(world, Role(role)).listing() if "__" in t["name"]}
        for role in ("planner", "devops", "sre")
    }
    assert set(shown["planner"]) == {
        f"k8s__{n}" for n in ("resources_get", "resources_list", "namespaces_list", "projects_list")
    }
    assert set(shown["devops"]) == {"k8s__resources_create_or_update"}
    assert "k8s__pods_log" in shown["sre"]
    assert shown["devops"]["k8s__resources_create_or_update"]["annotations"]["destructiveHint"]
    assert kubernetes.calls == []


def test_a_denied_call_is_on_record_by_its_name(world: World, kubernetes: Counting) -> None:
    ask(world, "devops", "k8s__pods_exec", {"name": "web", "command": ["sh"]})
    record = states.run_record(world.room, Role.PERSON, RunRef(run_id=world.run_id))
    assert [(d.role, d.tool, d.name) for d in record.denials] == [("devops", "k8s__pods_exec", "not-allowed")]
