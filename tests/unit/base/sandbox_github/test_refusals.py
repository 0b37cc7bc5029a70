"""GitHub's own refusals, word for word where a client looks at them."""

from typing import Any

import pytest

from tests.fakes.rehearsal_github import Served

ABSENT = "1" * 40
DISPATCHABLE = """
on:
  workflow_dispatch:
    inputs:
      change_id: {required: true}
      mode: {type: choice, options: [plan, apply]}
jobs:
  a:
    runs-on: x
    steps: [{run: "true"}]
"""
PUSHED = "on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{run: 'true'}]\n"
FILES = {
    ".github/workflows/go.yml": DISPATCHABLE,
    ".github/workflows/pushed.yml": PUSHED,
}


@pytest.fixture(scope="module")
def filled(hub: Served) -> Served:
    hub.commit(FILES)
    hub.commit({".github/workflows/branch-only.yml": DISPATCHABLE}, branch="feature")
    hub.commit({"theirs.txt": "1"}, branch="diverged")
    hub.commit({"ours.txt": "1"})
    hub.ask("POST", "/pulls", {"title": "t", "head": "feature", "base": "main", "body": "b"})
    return hub


@pytest.mark.parametrize(
    ("token", "words"), [(None, "Requires authentication"), ("wrong", "Bad credentials")]
)
def test_nobody_reads_the_api_without_the_token(filled: Served, token: str | None, words: str) -> None:
    status, body = filled.ask("GET", "", token=token)
    assert (status, body["message"]) == (401, words)
    assert body["documentation_url"].startswith("https://docs.github.com/")


NOT_FOUND: list[tuple[str, str, Any]] = [
    ("GET", "///api/v3/repos/acme/other", None),
    ("GET", "///api/v3/repos/else/platform", None),
    ("GET", "///api/v3/nothing", None),
    ("GET", "/git/ref/heads/none", None),
    ("GET", "/git/ref/heads/mai", None),
    ("GET", f"/git/commits/{ABSENT}", None),
    ("GET", "/git/commits/main", None),
    ("GET", f"/git/blobs/{ABSENT}", None),
    ("GET", f"/git/trees/{ABSENT}", None),
    ("GET", "/branches/none", None),
    ("GET", "/contents/none", None),
    ("GET", "/compare/main...none", None),
    ("GET", "/pulls/99", None),
    ("GET", "/pulls/x", None),
    ("GET", "/actions/runs/999", None),
    ("GET", "/actions/jobs/999", None),
    ("GET", "/actions/artifacts/999/zip", None),
    ("GET", "/actions/workflows/none.yml", None),
    ("GET", "/check-runs/999/annotations", None),
    ("POST", "/actions/workflows/branch-only.yml/dispatches", {"ref": "feature"}),
    ("POST", "/actions/workflows/none.yml/dispatches", {"ref": "main"}),
]


@pytest.mark.parametrize(("method", "path", "body"), NOT_FOUND, ids=lambda v: v if isinstance(v, str) else "")
def test_what_is_not_there_is_404(filled: Served, method: str, path: str, body: Any) -> None:
    status, answer = filled.ask(method, path.removeprefix("/") if path.startswith("///") else path, body)
    assert status == 404, answer
    assert answer["status"] == "404"


def test_a_workflow_that_is_only_on_a_branch_cannot_be_dispatched_until_it_is_on_the_default_branch(
    fresh: Served,
) -> None:
    fresh.commit(FILES, branch="feature")
    dispatch = "/actions/workflows/go.yml/dispatches", {"ref": "feature", "inputs": {"change_id": "x"}}
    assert fresh.ask("POST", *dispatch)[0] == 404
    fresh.commit(FILES)
    assert fresh.ask("POST", *dispatch)[0] == 204


REFUSED: list[tuple[str, str, Any, str]] = [
    ("POST", "/git/refs", {"ref": "refs/heads/main", "sha": "@main"}, "Reference already exists"),
    ("POST", "/git/refs", {"ref": "refs/heads/new", "sha": ABSENT}, "Object does not exist"),
    ("POST", "/git/refs", {"ref": "refs/heads/a..b", "sha": "@main"}, "is not a valid ref name"),
    ("POST", "/git/refs", {"ref": "main", "sha": "@main"}, "Invalid request"),
    ("PATCH", "/git/refs/heads/none", {"sha": "@main"}, "Reference does not exist"),
    ("PATCH", "/git/refs/heads/main", {"sha": "@diverged"}, "Update is not a fast forward"),
    ("PATCH", "/git/refs/heads/main", {"sha": "@diverged", "force": False}, "Update is not a fast forward"),
    ("PATCH", "/git/refs/heads/main", {"sha": ABSENT}, "Object does not exist"),
    ("POST", "/git/trees", {"tree": [{"path": "a", "mode": "100644", "type": "blob", "sha": ABSENT}]}, "is not a valid blob"),
    ("POST", "/git/trees", {"base_tree": "@main", "tree": [{"path": "no", "mode": "100644", "type": "blob", "sha": None}]}, "BadObjectState"),
    ("POST", "/git/trees", {"tree": [{"path": "a", "mode": "100000", "type": "blob", "sha": ABSENT}]}, "Invalid request"),
    ("POST", "/git/commits", {"message": "m", "tree": ABSENT, "parents": []}, "Tree SHA does not exist"),
    ("POST", "/git/commits", {"message": "m", "tree": "@tree", "parents": [ABSENT]}, "Parent SHA does not exist"),
    ("POST", "/pulls", {"title": "t", "head": "none", "base": "main"}, "Validation Failed"),
    ("POST", "/pulls", {"title": "t", "head": "feature", "base": "none"}, "Validation Failed"),
    ("POST", "/pulls", {"title": "t", "head": "feature", "base": "main"}, "A pull request already exists for acme:feature."),
    ("POST", "/pulls", {"title": "t", "head": "main", "base": "main"}, "No commits between main and main"),
    ("POST", "/pulls/1/requested_reviewers", {"reviewers": ["stranger"]}, "Reviews may only be requested from collaborators"),
    ("POST", "/pulls/1/requested_reviewers", {"team_reviewers": ["strangers"]}, "Reviews may only be requested from collaborators"),
    ("POST", "/pulls/1/requested_reviewers", {"reviewers": ["countersign"]}, "Review cannot be requested from pull request author"),
    ("POST", "/pulls/1/reviews", {"event": "APPROVE", "body": "x"}, "Can not approve your own pull request"),
    ("POST", "/pulls/1/reviews", {"event": "REQUEST_CHANGES", "body": "x"}, "Can not request changes on your own pull request"),
    ("POST", "/pulls/1/reviews", {"event": "COMMENT", "body": ""}, "Body can't be blank"),
    ("POST", "/actions/workflows/go.yml/dispatches", {"ref": "none"}, "No ref found for: none"),
    ("POST", "/actions/workflows/pushed.yml/dispatches", {"ref": "main"}, "Workflow does not have 'workflow_dispatch' trigger"),
    ("POST", "/actions/workflows/go.yml/dispatches", {"ref": "main"}, "Required input 'change_id' not provided"),
    ("POST", "/actions/workflows/go.yml/dispatches", {"ref": "main", "inputs": {"change_id": "x", "no": "1"}}, 'Unexpected inputs provided: ["no"]'),
    ("POST", "/actions/workflows/go.yml/dispatches", {"ref": "main", "inputs": {"change_id": "x", "mode": "destroy"}}, "not in the list of allowed values"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body", "words"), REFUSED, ids=lambda v: v if isinstance(v, str) else ""
)
def test_what_github_refuses_is_refused_in_its_words(
    filled: Served, method: str, path: str, body: Any, words: str
) -> None:
    def resolved(value: Any) -> Any:
        if value == "@tree":
            return filled.github.hub.git.commit(filled.tip()).tree
        return filled.tip(value[1:]) if isinstance(value, str) and value.startswith("@") else value

    before = filled.github.hub.git.refs()
    status, answer = filled.ask(method, path, {key: resolved(value) for key, value in body.items()})
    assert status == 422, answer
    assert words in f"{answer['message']} {answer.get('errors', '')}"
    assert filled.github.hub.git.refs() == before


def test_a_body_that_is_no_json_object_is_400(filled: Served) -> None:
    assert filled.ask("POST", "/git/refs", [1])[0] == 400


def test_a_forced_update_moves_backwards(fresh: Served) -> None:
    first = fresh.tip()
    fresh.commit({"a": "1"})
    assert fresh.ask("PATCH", "/git/refs/heads/main", {"sha": first, "force": True})[0] == 200
    assert fresh.tip() == first
