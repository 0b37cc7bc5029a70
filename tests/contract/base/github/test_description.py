"""Everything that we send to GitHub, and everything that the sandbox answers, fits GitHub's own OpenAPI description."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.base.github.conftest import Description, Exchange, Recorder
from tests.fakes.rehearsal_github import Served, call, push_arguments, served
from tests.fakes.rehearsal_workflow import PLAIN, WORKFLOW

CHANGE = "cs-0123456789abcdef"
BRANCH = f"countersign/{CHANGE}"
ABSENT = "1" * 40


class Road:
    """A rehearsal GitHub that the whole road was walked on, with every exchange kept."""

    def __init__(self, hub: Served, recorder: Recorder) -> None:
        self.hub, self._recorder = hub, recorder
        self.ours: list[Exchange] = []
        self.probed: list[Exchange] = []

    def walk(self) -> None:
        self._walk_verbs()
        self._walk_reads()
        self.ours = list(self._recorder.exchanges)
        self._recorder.exchanges.clear()
        self._probe()
        self.probed = list(self._recorder.exchanges)

    def _done(
        self, verb: str, arguments: dict[str, Any], content: dict[str, str] | None = None
    ) -> dict[str, Any]:
        found, asked = (
            self.hub.target.verbs()[f"github.{verb}"],
            call(self.hub, f"github.{verb}", arguments, content),
        )
        assert found.find(asked) is None, verb
        found.perform(asked)
        receipt = found.find(asked)
        assert receipt is not None and receipt.matches, (verb, receipt)
        return dict(receipt.facts)

    def _walk_verbs(self) -> None:
        base = self.hub.tip()
        files = {".github/workflows/terraform.yml": WORKFLOW, "infra/main.tf": PLAIN, "infra/empty.txt": ""}
        commit = self._done("push_commit", push_arguments(base, files), files)["commit"]
        pull = self._done(
            "open_pull_request", {"head": BRANCH, "base": "main", "title": "A title", "body": "A body"}
        )
        self._done(
            "request_reviewers",
            {"number": pull["number"], "reviewers": ["platform-lead"], "team_reviewers": ["security"]},
        )
        self._done("comment", {"number": pull["number"], "body": "Signed"})
        self._done("advance_base", {"branch": "main", "from": base, "to": commit})
        inputs = {"change_id": CHANGE, "commit": commit, "mode": "plan", "plan_run_id": "", "plan_sha256": ""}
        run = self._done("dispatch_workflow", {"workflow": "terraform.yml", "ref": "main", "inputs": inputs})
        self.run, self.pull, self.commit = int(str(run["run_id"])), int(pull["number"]), str(commit)
        self.hub.settled(self.run)
        asked = call(
            self.hub,
            "github.dispatch_workflow",
            {"workflow": "terraform.yml", "ref": "main", "inputs": inputs},
        )
        assert self.hub.target.verbs()["github.dispatch_workflow"].find(asked) is not None

    def _walk_reads(self) -> None:
        target = self.hub.target
        target.tree(target.resolve().base_commit)
        target.workflow_outcome(self.run)
        target.artifact(self.run, "plan")
        given = {
            "run_id": self.run,
            "number": self.pull,
            "path": "infra/main.tf",
            "base": f"{self.commit}",
            "head": "main",
            "commit": self.commit,
            "ref": "main",
            "workflow": "terraform.yml",
        }
        for tool in target.reads:
            needed = {name for name, info in tool.arguments.model_fields.items() if info.is_required()}
            tool.call(tool.arguments.model_validate({name: given[name] for name in needed}))

    def _probe(self) -> None:
        """What the sandbox also answers, to other clients."""
        tip, run, pull = self.hub.tip(), self.run, self.pull
        jobs = self.hub.ask("GET", f"/actions/runs/{run}/jobs")[1]["jobs"]
        tree = self.hub.github.hub.git.commit(tip).tree
        reads = [
            "",
            "/branches",
            "/branches/main",
            "/contents/infra",
            "/contents/infra/main.tf",
            "/commits",
            f"/commits/{tip}",
        ]
        reads += [
            "/commits?path=infra/main.tf&sha=main",
            f"/compare/{tip}...main",
            f"/git/trees/{tree}?recursive=1",
            f"/git/commits/{tip}",
        ]
        reads += [
            "/git/ref/heads/main",
            "/git/matching-refs/heads/",
            "/pulls?state=all",
            f"/pulls/{pull}",
            f"/pulls/{pull}/files",
        ]
        reads += [
            f"/pulls/{pull}/commits",
            f"/pulls/{pull}/reviews",
            f"/pulls/{pull}/requested_reviewers",
            f"/issues/{pull}/comments",
        ]
        reads += [
            "/actions/workflows",
            "/actions/workflows/terraform.yml",
            "/actions/workflows/terraform.yml/runs?event=workflow_dispatch",
        ]
        reads += [
            f"/actions/runs?head_sha={tip}&status=completed",
            f"/actions/runs/{run}",
            f"/actions/runs/{run}/artifacts?name=plan",
        ]
        reads += [
            f"/actions/jobs/{jobs[0]['id']}",
            f"/check-runs/{jobs[0]['id']}/annotations",
            f"/commits/{tip}/check-runs",
            f"/commits/{tip}/status",
        ]
        reads += [f"/actions/runs/{run}/logs", f"/actions/jobs/{jobs[0]['id']}/logs"]
        reads += [
            "/git/ref/heads/none",
            "/branches/none",
            "/pulls/99",
            "/actions/runs/99",
            f"/git/commits/{ABSENT}",
            f"/commits/{ABSENT}",
        ]
        for path in reads:
            self.hub.ask("GET", path)
        self.hub.ask("GET", "//api/v3/user")
        self.hub.ask("GET", "", token="wrong")
        writes: list[tuple[str, str, Any]] = [
            ("POST", "/git/blobs", {"content": "x"}),
            ("POST", "/git/refs", {"ref": "refs/heads/main", "sha": tip}),
            ("POST", "/git/refs", {"ref": "refs/heads/probe", "sha": tip}),
            ("PATCH", "/git/refs/heads/main", {"sha": ABSENT, "force": False}),
            ("DELETE", "/git/refs/heads/probe", None),
            ("POST", "/git/trees", {"tree": [{"path": "a", "mode": "100644", "type": "blob", "content": "x"}]}),
            ("POST", "/pulls", {"title": "t", "head": "main", "base": "main"}),
            ("PATCH", f"/pulls/{pull}", {"title": "Another title"}),
            ("POST", f"/pulls/{pull}/requested_reviewers", {"reviewers": ["stranger"]}),
            ("POST", f"/pulls/{pull}/reviews", {"event": "APPROVE", "body": "x"}),
            ("POST", f"/pulls/{pull}/reviews", {"event": "COMMENT", "body": "x"}),
            ("POST", f"/issues/{pull}/comments", {"body": "x"}),
            ("PUT", f"/pulls/{pull}/merge", {"merge_method": "merge"}),
            ("POST", "/actions/workflows/terraform.yml/dispatches", {"ref": "main", "inputs": {"change_id": "x", "commit": tip, "mode": "plan"}, "return_run_details": True}),
            ("POST", "/actions/workflows/none.yml/dispatches", {"ref": "main"}),
        ]  # fmt: skip
        for method, path, body in writes:
            self.hub.ask(method, path, body)
        self._probe_reviews(pull)
        self.hub.commit({"later.txt": "x"}, branch="later")
        opened = self.hub.ask(
            "POST", "/pulls", {"title": "t", "head": "later", "base": "main", "draft": True}
        )[1]
        self.hub.ask("PUT", f"/pulls/{opened['number']}/merge", {"sha": ABSENT})
        self.hub.ask("PUT", f"/pulls/{opened['number']}/merge", {})

    def _probe_reviews(self, pull: int) -> None:
        lead, reviews = self.hub.person("platform-lead"), f"/pulls/{pull}/reviews"
        said = [
            self.hub.ask(
                "POST", reviews, {"event": event, "body": "x", "commit_id": self.commit}, token=lead
            )[1]
            for event in ("APPROVE", "REQUEST_CHANGES", "COMMENT")
        ]
        self.hub.ask("POST", reviews, {"event": "APPROVE", "commit_id": ABSENT}, token=lead)
        for review in said:
            self.hub.ask("PUT", f"{reviews}/{review['id']}/dismissals", {"message": "not any more"})
            self.hub.ask("GET", f"{reviews}/{review['id']}")
        self.hub.ask("GET", f"{reviews}/99999")
        self.hub.ask("GET", reviews)


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Road]:
    kept: list[Recorder] = []

    def recorded(app: Any) -> Recorder:
        kept.append(Recorder(app))
        return kept[0]

    folder: Path = tmp_path_factory.mktemp("description")
    with served(folder, wrap=recorded) as hub:
        walked = Road(hub, kept[0])
        walked.walk()
        yield walked


def test_everything_that_we_send_and_get_on_the_road_is_as_github_describes_it(
    description: Description, road: Road
) -> None:
    assert len({(e.method, e.path) for e in road.ours}) > 25
    assert [f"{e.name}: {fault}" for e in road.ours for fault in description.faults(e)] == []


def test_everything_else_that_the_sandbox_answers_is_as_github_describes_it(
    description: Description, road: Road
) -> None:
    assert [f"{e.name}: {fault}" for e in road.probed for fault in description.faults(e)] == []


BENT = [
    (Exchange("GET", "/repos/a/b/nothing", "", b"", 200, "application/json", b"{}"), "is no operation"),
    (Exchange("GET", "/repos/a/b/git/ref/heads/x", "", b"", 200, "application/json", b'{"ref": "x"}'), "required property"),
    (Exchange("GET", "/repos/a/b/git/ref/heads/x", "", b"", 299, "application/json", b"{}"), "does not answer 299"),
    (Exchange("GET", "/repos/a/b/pulls", "stat=all", b"", 200, "application/json", b"[]"), "stat is not GitHub's"),
    (Exchange("GET", "/repos/a/b/pulls", "state=any", b"", 200, "application/json", b"[]"), "not one of"),
    (Exchange("POST", "/repos/a/b/git/blobs", "", b'{"contents": "x"}', 201, "application/json", b'{"sha": "x", "url": "http://x"}'), "required property"),
    (Exchange("PATCH", "/repos/a/b/git/refs/heads/x", "", b'{"sha": "x", "farce": true}', 422, "application/json", b"{}"), "knows no field"),
]  # fmt: skip


@pytest.mark.parametrize(("exchange", "words"), BENT, ids=lambda v: v.name if isinstance(v, Exchange) else "")
def test_the_measure_itself_finds_what_is_bent(
    description: Description, exchange: Exchange, words: str
) -> None:
    assert any(words in fault for fault in description.faults(exchange))
