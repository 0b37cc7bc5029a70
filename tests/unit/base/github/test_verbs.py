"""find and perform of each verb on the rehearsal GitHub: done once, found again, told apart from what somebody else did."""

import hashlib
import io
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from policies.change import Destination, digest_of
from tests.fakes.rehearsal_github import Served, call, push_arguments, served
from tools.github.client import Client, connect
from tools.github.pulls import Pulls
from tools.github.repository import LiveRepository
from tools.github.runs import unpack
from tools.github.verbs import verbs
from tools.tool import Nothing, ToolRefusedError
from tools.verbs import Call, ConflictError, NotFoundError, TargetError, UnreachableError

CHANGE = "cs-0123456789abcdef"
BRANCH = f"countersign/{CHANGE}"
FILES = {"infra/main.tf": "# one\n", "web/한글.yaml": "a: 1\n"}
PUSH, OPEN, REVIEW, ADVANCE, DISPATCH, COMMENT = (
    f"github.{name}"
    for name in (
        "push_commit",
        "open_pull_request",
        "request_reviewers",
        "advance_base",
        "dispatch_workflow",
        "comment",
    )
)
WORKFLOW = """\
name: terraform
run-name: terraform ${{ inputs.mode || 'plan' }} ${{ inputs.change_id || github.sha }}
on:
  workflow_dispatch:
    inputs:
      change_id: {type: string, required: true}
      commit: {type: string, required: true}
      mode: {type: choice, required: true, options: [plan, apply]}
jobs:
  plan:
    runs-on: ubuntu-24.04
    steps:
      - name: Say it
        run: |
          echo "hello from $GITHUB_SHA"
      - name: Nothing more
        run: "true"
"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as running:
        yield running


class LosesAnswers(Client):
    """Every change reaches GitHub, and its answer is lost."""

    def send(self, kind: Any, method: str, path: str, body: Mapping[str, Any]) -> Any:
        answer = super().send(kind, method, path, body)
        if "/git/blobs" in path or "/git/trees" in path or "/git/commits" in path:
            return answer
        raise UnreachableError("lost")

    def tell(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        super().tell(method, path, body)
        if str(body.get("ref")).startswith("refs/countersign/"):
            return
        raise UnreachableError("lost")


def lossy(hub: Served, verb: str) -> Any:
    client = LosesAnswers(hub.settings.api_url, hub.settings.token_file.read_text())
    return verbs(
        LiveRepository(client, hub.settings.repository, "main"), sleep=time.sleep, clock=time.monotonic
    )[verb]


def push(hub: Served, files: Mapping[str, str | None] = FILES, **edit: Any) -> Call:
    return call(
        hub,
        PUSH,
        push_arguments(hub.tip(), files, BRANCH) | edit,
        {k: v for k, v in files.items() if v is not None},
    )


def pull(hub: Served, **edit: Any) -> Call:
    return call(
        hub,
        OPEN,
        {"head": BRANCH, "base": "main", "title": "Add a cluster", "body": "Why:\r\n- asked"} | edit,
    )


def opened(hub: Served) -> int:
    hub.target.verbs()[PUSH].perform(push(hub))
    asked = pull(hub)
    hub.target.verbs()[OPEN].perform(asked)
    receipt = hub.target.verbs()[OPEN].find(asked)
    assert receipt is not None
    return int(str(receipt.facts["number"]))


def advance(hub: Served, base: str, to: str, branch: str = "main") -> Call:
    return call(hub, ADVANCE, {"branch": branch, "from": base, "to": to})


def dispatch(hub: Served, mode: str = "plan", **edit: Any) -> Call:
    inputs = {"change_id": CHANGE, "commit": hub.tip(), "mode": mode}
    return call(hub, DISPATCH, {"workflow": "terraform.yml", "ref": "main", "inputs": inputs} | edit)


def test_a_commit_is_pushed_once_and_read_back_whole(hub: Served) -> None:
    verb, asked = hub.target.verbs()[PUSH], push(hub)
    assert verb.find(asked) is None
    verb.perform(asked)
    receipt = verb.find(asked)
    assert receipt is not None
    assert receipt.matches, receipt
    assert set(receipt.facts) == {"commit", "tree", "branch", "url"}
    assert receipt.facts["commit"] == hub.tip(BRANCH)
    with pytest.raises(ConflictError, match="already exists"):
        verb.perform(asked)


def test_the_same_change_makes_the_same_commit_anywhere(tmp_path: Path) -> None:
    made = []
    for place in ("one", "two"):
        with served(tmp_path / place) as hub:
            base = hub.commit({"seed": "x"})
            hub.target.verbs()[PUSH].perform(push(hub))
            made.append(
                (
                    base,
                    hub.github.hub.git.commit(hub.tip(BRANCH)).tree,
                    hub.github.hub.git.commit(hub.tip(BRANCH)).author,
                )
            )
    assert made[0][1:] == made[1][1:]


def test_add_modify_delete_and_an_executable(hub: Served) -> None:
    hub.commit({"a/b": "old", "a/gone": "x", "run.sh": "echo\n"})
    base = hub.tip()
    arguments = push_arguments(base, {"a/b": "new"}, BRANCH, "modify")
    arguments["files"] += push_arguments(base, {"a/gone": None}, BRANCH)["files"]
    arguments["files"].append(
        push_arguments(base, {"run.sh": "echo\n"}, BRANCH, "modify")["files"][0] | {"mode": "100755"}
    )
    asked = call(hub, PUSH, arguments, {"a/b": "new", "run.sh": "echo\n"})
    hub.target.verbs()[PUSH].perform(asked)
    receipt = hub.target.verbs()[PUSH].find(asked)
    assert receipt is not None
    assert receipt.matches, receipt
    there = hub.target.tree(hub.tip(BRANCH))
    assert there["a/b"] == b"new"
    assert "a/gone" not in there


@pytest.mark.parametrize(
    ("files", "edit"),
    [
        (FILES | {"infra/main.tf": "# two\n"}, {}),
        (FILES | {"more": "x"}, {}),
        ({"infra/main.tf": "# one\n"}, {}),
        (FILES, {"message": "another"}),
        (FILES, {"author": {"name": "Mallory", "email": "m@example.com"}}),
        (FILES, {"date": "2026-11-23T09:00:01Z"}),
    ],
)
def test_a_branch_with_anything_else_on_it_is_told_apart(hub: Served, files, edit) -> None:
    hub.target.verbs()[PUSH].perform(push(hub, files, **edit))
    receipt = hub.target.verbs()[PUSH].find(push(hub))
    assert receipt is not None
    assert not receipt.matches
    assert receipt.difference


def test_a_second_commit_on_the_branch_is_told_apart(hub: Served) -> None:
    asked = push(hub)
    hub.target.verbs()[PUSH].perform(asked)
    hub.commit({"late": "x"}, branch=BRANCH)
    receipt = hub.target.verbs()[PUSH].find(asked)
    assert receipt is not None
    assert not receipt.matches
    with pytest.raises(ConflictError, match=r"2 commits|not one commit"):
        hub.target.verbs()[OPEN].perform(pull(hub))


@pytest.mark.parametrize(
    ("files", "operation"), [({"README.md": "x"}, "add"), ({"no": "x"}, "modify"), ({"no": None}, "delete")]
)
def test_a_change_that_does_not_fit_its_base_is_not_pushed(hub: Served, files, operation) -> None:
    asked = call(
        hub, PUSH, push_arguments(hub.tip(), files, BRANCH, operation), {k: v for k, v in files.items() if v}
    )
    with pytest.raises(ConflictError, match="there"):
        hub.target.verbs()[PUSH].perform(asked)
    assert hub.github.hub.git.tip(BRANCH) is None


def test_bytes_other_than_signed_are_not_pushed(hub: Served) -> None:
    asked = push(hub)
    for content in ({}, dict.fromkeys(asked.content, b"other")):
        with pytest.raises(TargetError, match="not those that were signed"):
            hub.target.verbs()[PUSH].perform(asked.model_copy(update={"content": content}))
    assert hub.github.hub.git.tip(BRANCH) is None


@pytest.mark.parametrize("field", [{"full_name": "acme/other"}, {"host": "api.github.com"}])
def test_a_call_signed_for_another_place_is_not_made(hub: Served, field) -> None:
    asked = push(hub)
    assert asked.destination.repository is not None
    other = Destination(repository=asked.destination.repository.model_copy(update=field))
    for elsewhere in (other, Destination()):
        with pytest.raises(TargetError, match=r"run again|sign a change"):
            hub.target.verbs()[PUSH].perform(asked.model_copy(update={"destination": elsewhere}))
    assert hub.github.hub.git.tip(BRANCH) is None


def test_a_pull_request_is_opened_once_and_found_by_its_branches(hub: Served) -> None:
    hub.target.verbs()[PUSH].perform(push(hub))
    verb, asked = hub.target.verbs()[OPEN], pull(hub)
    assert verb.find(asked) is None
    verb.perform(asked)
    receipt = verb.find(asked)
    assert receipt is not None
    assert receipt.matches, receipt
    assert receipt.facts["head_sha"] == hub.tip(BRANCH)
    assert receipt.facts["state"] == "open"
    with pytest.raises(ConflictError):
        verb.perform(asked)
    edited = verb.find(pull(hub, title="Another title"))
    assert edited is not None
    assert not edited.matches


@pytest.mark.parametrize("spoil", ["closed", "grown"])
def test_a_pull_request_that_became_another_is_told_apart(hub: Served, spoil: str) -> None:
    number = opened(hub)
    if spoil == "closed":
        hub.ask("PATCH", f"/pulls/{number}", {"state": "closed"})
    else:
        hub.commit({"late": "x"}, branch=BRANCH)
    receipt = hub.target.verbs()[OPEN].find(pull(hub))
    assert receipt is not None
    assert not receipt.matches


def test_reviewers_are_asked_once_and_only_those_who_may_review(hub: Served) -> None:
    number = opened(hub)
    verb = hub.target.verbs()[REVIEW]
    asked = call(
        hub, REVIEW, {"number": number, "reviewers": ["security-lead"], "team_reviewers": ["security"]}
    )
    assert verb.find(asked) is None
    verb.perform(asked)
    receipt = verb.find(asked)
    assert receipt is not None
    assert receipt.facts == {"number": number, "reviewers": ["security-lead"], "team_reviewers": ["security"]}
    more = call(hub, REVIEW, {"number": number, "reviewers": ["platform-lead"]})
    assert verb.find(more) is None
    with pytest.raises(ConflictError):
        verb.perform(call(hub, REVIEW, {"number": number, "reviewers": ["stranger"]}))
    with pytest.raises(TargetError, match="nobody"):
        verb.perform(call(hub, REVIEW, {"number": number}))


def test_the_base_moves_once_and_what_follows_does_not_hide_it(hub: Served) -> None:
    base = hub.tip()
    hub.target.verbs()[PUSH].perform(push(hub))
    asked = advance(hub, base, hub.tip(BRANCH))
    verb = hub.target.verbs()[ADVANCE]
    assert verb.find(asked) is None
    verb.perform(asked)
    receipt = verb.find(asked)
    assert receipt is not None
    signed = hub.github.hub.git.commit(hub.tip(BRANCH)).tree
    assert receipt.facts == {"branch": "main", "commit": hub.tip(BRANCH), "tree": signed}
    hub.commit({"later": "x"})
    assert verb.find(asked) is not None


def test_a_base_with_more_than_the_signed_commit_before_it_is_told_apart(hub: Served) -> None:
    base = hub.tip()
    hub.commit({"1": "x"}, branch="two")
    second = hub.commit({"2": "x"}, branch="two")
    hub.ask("PATCH", "/git/refs/heads/main", {"sha": second, "force": False})
    receipt = hub.target.verbs()[ADVANCE].find(advance(hub, base, second))
    assert receipt is not None
    assert (receipt.matches, receipt.difference) == (False, f"{second} is no single commit on {base}")


def test_a_file_is_known_by_its_digest_at_a_commit(hub: Served) -> None:
    commit = hub.commit({".github/workflows/terraform.yml": "name: x\n"})
    assert hub.target.file_digest(".github/workflows/terraform.yml", commit) == digest_of(b"name: x\n")
    assert (
        hub.target.file_digest(
            ".github/workflows/terraform.yml", hub.github.hub.git.commit(commit).parents[0]
        )
        is None
    )


def test_a_base_that_somebody_else_moved_stays(hub: Served) -> None:
    base = hub.tip()
    hub.target.verbs()[PUSH].perform(push(hub))
    asked = advance(hub, base, hub.tip(BRANCH))
    theirs = hub.commit({"theirs": "x"})
    with pytest.raises(ConflictError, match="run again"):
        hub.target.verbs()[ADVANCE].find(asked)
    with pytest.raises(ConflictError, match="fast forward"):
        hub.target.verbs()[ADVANCE].perform(asked)
    assert hub.tip() == theirs


def test_only_one_commit_and_only_the_base_branch_is_moved(hub: Served) -> None:
    base = hub.tip()
    hub.commit({"1": "x"}, branch="two")
    second = hub.commit({"2": "x"}, branch="two")
    with pytest.raises(ConflictError, match="no single commit"):
        hub.target.verbs()[ADVANCE].perform(advance(hub, base, second))
    with pytest.raises(TargetError, match="base branch"):
        hub.target.verbs()[ADVANCE].perform(advance(hub, base, second, branch="two"))
    assert hub.tip() == base


def test_a_workflow_is_started_once_per_mode_and_found_by_its_title(hub: Served) -> None:
    hub.commit({".github/workflows/terraform.yml": WORKFLOW})
    verb, asked = hub.target.verbs()[DISPATCH], dispatch(hub)
    assert verb.find(asked) is None
    verb.perform(asked)
    receipt = verb.find(asked)
    assert receipt is not None
    run_id = int(str(receipt.facts["run_id"]))
    hub.settled(run_id)
    receipt = verb.find(asked)
    assert receipt is not None
    assert receipt.matches, receipt
    assert (receipt.facts["status"], receipt.facts["conclusion"], receipt.facts["rehearsed"]) == (
        "completed",
        "success",
        [],
    )
    assert {"job": "plan", "name": "Say it", "conclusion": "success"} in list(receipt.facts["steps"])  # type: ignore[arg-type,call-overload]
    assert "plan_sha256" not in receipt.facts
    assert verb.find(dispatch(hub, "apply")) is None
    outcome = hub.target.workflow_outcome(run_id)
    assert (outcome.running, outcome.succeeded, outcome.rehearsed) == (False, True, False)
    assert hub.target.artifact(run_id, "plan") is None
    assert hub.target.plan_of(run_id) is None
    log = next(t for t in hub.target.reads if t.name == "get_workflow_log")
    shown = log.call(log.arguments(run_id=run_id))
    assert any(f"hello from {hub.tip()}" in line for step in shown.steps for line in step.lines)


REHEARSAL = """\
name: terraform
run-name: terraform ${{ inputs.mode }} ${{ inputs.change_id }}
on:
  workflow_dispatch:
    inputs:
      change_id: {type: string, required: true}
      commit: {type: string, required: true}
      mode: {type: choice, required: true, options: [plan, apply]}
jobs:
  plan:
    runs-on: ubuntu-24.04
    steps:
      - name: Plan
        run: terraform plan -out=tfplan
      - name: Write the plan down
        run: |
          mkdir plan
          echo "a plan" > plan/tfplan
          echo '{"resource_changes": []}' > plan/plan.json
          WRITTEN
      - name: Keep the plan
        uses: actions/upload-artifact@043fb46d1a93c77aae656e7c1c64a875d1fc6a0a
        with:
          name: plan
          path: plan
"""
SUM = "sha256sum plan/tfplan | cut -d ' ' -f 1 > plan/plan.sha256"


@pytest.mark.parametrize("written", [SUM, f"echo {'0' * 64} > plan/plan.sha256"], ids=["true", "false"])
def test_the_plan_of_a_run_is_read_and_a_rehearsed_step_is_named(hub: Served, written: str) -> None:
    hub.commit({".github/workflows/terraform.yml": REHEARSAL.replace("WRITTEN", written)})
    verb, asked = hub.target.verbs()[DISPATCH], dispatch(hub)
    verb.perform(asked)
    found = verb.find(asked)
    assert found is not None
    run_id = int(str(found.facts["run_id"]))
    hub.settled(run_id)
    receipt = verb.find(asked)
    assert receipt is not None
    assert receipt.facts["rehearsed"] == ["Plan"], receipt
    assert hub.target.workflow_outcome(run_id).rehearsed
    digest = hashlib.sha256(b"a plan\n").hexdigest()
    plan = hub.target.plan_of(run_id)
    assert plan is not None
    assert (plan.document, plan.actual) == ({"resource_changes": []}, digest)
    assert receipt.facts["plan_sha256"] == plan.stated
    assert receipt.matches == (plan.stated == digest) == (written == SUM)
    tools = {tool.name: tool for tool in hub.target.reads}
    log = tools["get_workflow_log"].call(tools["get_workflow_log"].arguments(run_id=run_id))
    assert "plan / Plan: skipped, rehearsed" in log.text
    shown = tools["get_workflow_run"].call(tools["get_workflow_run"].arguments(run_id=run_id))
    assert shown.rehearsed == ("Plan",)


def test_a_workflow_that_is_not_on_the_base_is_not_started(hub: Served) -> None:
    verb, asked = hub.target.verbs()[DISPATCH], dispatch(hub)
    assert verb.find(asked) is None
    with pytest.raises(NotFoundError, match="publish it first"):
        verb.perform(asked)


def test_a_workflow_is_not_started_on_another_commit(hub: Served) -> None:
    hub.commit({".github/workflows/terraform.yml": WORKFLOW})
    asked = dispatch(hub)
    hub.commit({"late": "x"})
    with pytest.raises(ConflictError, match="not at the signed"):
        hub.target.verbs()[DISPATCH].perform(asked)


def test_a_run_that_never_shows_is_unknown_not_failed(hub: Served) -> None:
    hub.commit(
        {
            ".github/workflows/terraform.yml": WORKFLOW.replace(
                "${{ inputs.change_id || github.sha }}", "quietly"
            )
        }
    )
    waited: list[float] = []
    live = LiveRepository(connect(hub.settings), hub.settings.repository, "main")
    verb = verbs(live, sleep=waited.append, clock=lambda: sum(waited), patience=20.0)[DISPATCH]
    with pytest.raises(UnreachableError, match="run-name"):
        verb.perform(dispatch(hub))
    assert 20 <= sum(waited) < 30


def test_a_remark_is_made_once_and_found_by_its_mark(hub: Served) -> None:
    number = opened(hub)
    verb = hub.target.verbs()[COMMENT]
    asked = call(hub, COMMENT, {"number": number, "body": "Looks sound.\n"})
    assert verb.find(asked) is None
    verb.perform(asked)
    receipt = verb.find(asked)
    assert receipt is not None
    assert receipt.matches, receipt
    assert verb.find(call(hub, COMMENT, {"number": number, "body": "Another remark"})) is None
    with pytest.raises(TargetError, match="mark"):
        verb.perform(call(hub, COMMENT, {"number": number, "body": "<!-- countersign/change cs-1 -->"}))


@pytest.mark.parametrize("verb", [PUSH, OPEN, REVIEW, ADVANCE, DISPATCH, COMMENT])
def test_an_effect_whose_answer_was_lost_is_found_by_reading(hub: Served, verb: str) -> None:
    hub.commit({".github/workflows/terraform.yml": WORKFLOW})
    base = hub.tip()
    asked = {
        PUSH: lambda: push(hub),
        OPEN: lambda: (hub.target.verbs()[PUSH].perform(push(hub)), pull(hub))[1],
        REVIEW: lambda: call(hub, REVIEW, {"number": opened(hub), "reviewers": ["security-lead"]}),
        ADVANCE: lambda: (hub.target.verbs()[PUSH].perform(push(hub)), advance(hub, base, hub.tip(BRANCH)))[
            1
        ],
        DISPATCH: lambda: dispatch(hub),
        COMMENT: lambda: call(hub, COMMENT, {"number": opened(hub), "body": "Seen."}),
    }[verb]()
    assert hub.target.verbs()[verb].find(asked) is None
    with pytest.raises(UnreachableError, match="lost"):
        lossy(hub, verb).perform(asked)
    receipt = hub.target.verbs()[verb].find(asked)
    assert receipt is not None
    assert receipt.matches, receipt


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        (PUSH, {"branch": "-x"}),
        (OPEN, {"head": BRANCH, "base": "main", "title": ""}),
        (REVIEW, {"number": "1", "reviewers": ["a"]}),
        (REVIEW, {"number": 1, "reviewers": ["../x"]}),
        (ADVANCE, {"branch": "main", "from": "main", "to": "x"}),
        (DISPATCH, {"workflow": "../x.yml", "ref": "main", "inputs": {"change_id": CHANGE}}),
        (DISPATCH, {"workflow": "x.yml", "ref": "main", "inputs": {"change_id": "cs-ffffffffffffffff"}}),
        (COMMENT, {"number": 1, "body": "x", "extra": 1}),
    ],
)
def test_arguments_out_of_contract_ask_nothing_of_github(hub: Served, verb: str, arguments) -> None:
    asked = call(hub, verb, arguments)
    for step in (hub.target.verbs()[verb].find, hub.target.verbs()[verb].perform):
        with pytest.raises(TargetError, match=r"contract|inputs"):
            step(asked)


def test_the_tree_is_every_regular_file_and_nothing_else(hub: Served) -> None:
    hub.commit({"a": "1", "b/c": "2"})
    assert hub.target.tree(hub.tip()) == {
        "a": b"1",
        "b/c": b"2",
        "README.md": hub.target.tree(hub.tip())["README.md"],
    }
    git = hub.github.hub.git
    tree = git.write_tree(
        git.commit(hub.tip()).tree,
        {"link": ("120000", git.write_blob(b"/etc/passwd"))},
        hub.github.hub.state / "index-link",
    )
    before = git.commit(hub.tip())
    odd = git.write_commit(type(before)("", tree, (before.sha,), before.author, before.committer, "link"))
    with pytest.raises(TargetError, match="symbolic link"):
        hub.target.tree(odd)


def test_the_read_tools_say_what_is_there(hub: Served) -> None:
    hub.commit({"a.tf": "# one\n", "bad.bin": "x"})
    number = opened(hub)
    tools = {tool.name: tool for tool in hub.target.reads}

    def ask(name: str, **arguments: Any) -> Any:
        return tools[name].call(tools[name].arguments(**arguments))

    assert "a.tf" in tools["list_repository_files"].call(Nothing()).paths
    assert ask("read_repository_file", path="a.tf").text == "# one\n"
    with pytest.raises(NotFoundError, match="list_repository_files"):
        ask("read_repository_file", path="absent")
    shown = ask("get_pull_request", number=number)
    assert (shown.state, shown.head, [file.path for file in shown.files]) == ("open", BRANCH, sorted(FILES))
    assert ask("list_reviews", number=number).reviews == ()
    assert ask("list_checks", commit=hub.tip()).checks == ()
    assert ask("list_workflow_runs").runs == ()
    compared = ask("compare_commits", base="main", head=BRANCH)
    assert (compared.status, compared.commits) == ("ahead", (hub.tip(BRANCH),))


def test_a_file_that_is_no_text_is_refused_by_name(hub: Served) -> None:
    git = hub.github.hub.git
    before = git.commit(hub.tip())
    tree = git.write_tree(
        before.tree, {"bin": ("100644", git.write_blob(b"\xff\xfe"))}, hub.github.hub.state / "index-bin"
    )
    made = git.write_commit(type(before)("", tree, (before.sha,), before.author, before.committer, "bin"))
    tool = next(tool for tool in hub.target.reads if tool.name == "read_repository_file")
    with pytest.raises(ToolRefusedError, match="file-is-no-text"):
        tool.call(tool.arguments(path="bin", commit=made))


def test_a_zip_is_read_whole_or_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("plan.sha256", hashlib.sha256(b"plan").hexdigest())
    assert set(unpack(out.getvalue(), "it")) == {"plan.sha256"}
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(65 * 2**20))
    with pytest.raises(TargetError, match="unpacks to more"):
        unpack(bomb.getvalue(), "it")
    with pytest.raises(TargetError, match="no readable zip"):
        unpack(b"PK no", "it")


def test_a_pull_request_is_read_with_every_review_of_it(hub: Served) -> None:
    number = opened(hub)
    first = hub.review("platform-lead", number)
    hub.review("security-lead", number, "REQUEST_CHANGES")
    hub.ask("PUT", f"/pulls/{number}/reviews/{first}/dismissals", {"message": "not any more"})
    found, head = hub.target.reviewed(number), hub.tip(BRANCH)
    assert (found.head, found.base, found.author, found.state) == (head, "main", "countersign", "open")
    assert [(r.login, r.state, r.commit) for r in found.reviews] == [
        ("platform-lead", "DISMISSED", head),
        ("security-lead", "CHANGES_REQUESTED", head),
    ]
    hub.ask("PATCH", "/git/refs/heads/main", {"sha": head, "force": False})
    assert hub.target.reviewed(number).state == "merged"


def test_more_reviews_than_can_be_read_are_no_answer(hub: Served) -> None:
    number, page = opened(hub), [{"id": 1, "user": {"login": "x"}, "state": "COMMENTED"}] * 100

    class Endless(Client):
        def one(self, kind: Any, path: str, **_: Any) -> Any:
            return kind.model_validate(hub.ask("GET", f"/pulls/{number}")[1])

        def _call(self, *_: Any) -> Any:
            return page

    client = Endless("http://127.0.0.1:1", "t")
    with pytest.raises(TargetError, match="too many reviews"):
        Pulls(LiveRepository(client, "acme/platform", "main")).reviewed(number)
    client.close()
