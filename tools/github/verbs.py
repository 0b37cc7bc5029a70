"""What the gate can do to a repository. Each verb finds its effect by reading, or makes it once, create-only where GitHub can."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeVar

from github import InputGitAuthor, InputGitTreeElement
from pydantic import Field, JsonValue, ValidationError

from policies.change import CommitSha, Digest, RepoPath, Word, digest_of
from tools.github.repository import LiveRepository
from tools.verbs import Call, ConflictError, NotFoundError, Receipt, TargetError, UnreachableError, Verb

Facts = dict[str, JsonValue]
W = TypeVar("W", bound=Word)
MARK = "<!-- countersign {change_id} -->"
STARTING = 20.0


class Signed(Word):
    """An artifact in a call: its bytes are in the call's content under the digest."""

    path: RepoPath
    digest: Digest


class Author(Word):
    """Who the commit names, as author and committer."""

    name: str
    email: str


class FileChange(Word):
    """One path of the commit; a delete has no file."""

    path: RepoPath
    operation: Literal["add", "modify", "delete"]
    mode: Literal["100644", "100755"]
    file: Signed | None


class PushCommit(Word):
    """`github.push_commit`: one commit on `base_commit`, on a branch that does not exist yet."""

    branch: str
    base_commit: CommitSha
    message: str
    author: Author
    date: datetime
    files: tuple[FileChange, ...] = Field(min_length=1)


class OpenPullRequest(Word):
    """`github.open_pull_request`."""

    head: str
    base: str
    title: str
    body: str


class RequestReviewers(Word):
    """`github.request_reviewers`."""

    number: int
    reviewers: tuple[str, ...] = ()
    team_reviewers: tuple[str, ...] = ()


class AdvanceBase(Word):
    """`github.advance_base`: the branch goes from one commit to a descendant of it, never by force."""

    branch: str
    from_: CommitSha = Field(alias="from")
    to: CommitSha


class DispatchWorkflow(Word):
    """`github.dispatch_workflow`."""

    workflow: str = Field(pattern=r"^[\w.-]+\.ya?ml$")
    ref: str
    inputs: Mapping[str, str]


class CommentArguments(Word):
    """`github.comment`: text from our renderer, never an approval."""

    number: int
    body: str = Field(max_length=60_000)


def _parsed(kind: type[W], call: Call) -> W:
    try:
        return kind.model_validate(dict(call.arguments))
    except ValidationError as fault:
        first = fault.errors()[0]
        raise TargetError(f"the arguments of {call.verb} are not as its contract says: {first['loc']}: {first['msg']}") from fault


def blob_sha(data: bytes) -> str:
    """The name that git gives these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class _Verb:
    def __init__(self, repository: LiveRepository) -> None:
        self.live = repository
        self.client = repository.client


class PushCommitVerb(_Verb):
    """Blobs, tree and commit are content-addressed; the branch is the one thing that is made, create-only."""

    def find(self, call: Call) -> Receipt | None:
        """The branch, when it is there, compared file by file with what was signed."""
        wanted = _parsed(PushCommit, call)
        head = self.live.head(wanted.branch)
        if head is None:
            return None
        commit = self.live.commit(head)
        facts: Facts = {"commit": head, "tree": commit["tree"]["sha"], "branch": wanted.branch, "url": f"{self.client.repository().html_url}/tree/{wanted.branch}"}
        return Receipt(verb=call.verb, facts=facts, matches=not (odd := self._difference(wanted, call, head, commit)), difference=odd)

    def _difference(self, wanted: PushCommit, call: Call, head: str, commit: Mapping[str, Any]) -> str:
        if [parent["sha"] for parent in commit["parents"]] != [wanted.base_commit]:
            return f"the branch is not one commit on {wanted.base_commit[:12]}"
        if commit["message"].rstrip("\n") != wanted.message.rstrip("\n"):
            return "the commit has another message"
        before = {e["path"]: (e["mode"], e["sha"]) for e in self.live.entries(wanted.base_commit) if e["type"] != "tree"}
        after = {e["path"]: (e["mode"], e["sha"]) for e in self.live.entries(head) if e["type"] != "tree"}
        for file in wanted.files:
            if file.file is None:
                before.pop(file.path, None)
            else:
                before[file.path] = (file.mode, blob_sha(_bytes(file.file, call)))
        odd = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
        return f"{odd[0]} is not what was signed" if odd else ""

    def perform(self, call: Call) -> None:
        """Write the commit, then the branch."""
        wanted = _parsed(PushCommit, call)
        base = self.live.commit(wanted.base_commit)

        def write(vendor: Any) -> None:  # noqa: ANN401 - PyGithub's repository
            elements = [
                InputGitTreeElement(f.path, f.mode, "blob", sha=_blob(vendor, _bytes(f.file, call)) if f.file else None)
                for f in wanted.files
            ]
            tree = vendor.create_git_tree(elements, vendor.get_git_tree(base["tree"]["sha"]))
            who = InputGitAuthor(wanted.author.name, wanted.author.email, wanted.date.isoformat())
            parent = vendor.get_git_commit(wanted.base_commit)
            made = vendor.create_git_commit(wanted.message, tree, [parent], author=who, committer=who)
            vendor.create_git_ref(f"refs/heads/{wanted.branch}", made.sha)

        self.client.call(f"branch {wanted.branch}", write)


def _bytes(file: Signed, call: Call) -> bytes:
    data = call.content.get(file.digest)
    if data is None or digest_of(data) != file.digest:
        raise TargetError(f"the bytes of {file.path} are not those that were signed: nothing was sent")
    return data


def _blob(vendor: Any, data: bytes) -> str:  # noqa: ANN401 - PyGithub's repository
    return str(vendor.create_git_blob(base64.b64encode(data).decode(), "base64").sha)


class OpenPullRequestVerb(_Verb):
    """GitHub itself allows one open pull request per head and base."""

    def find(self, call: Call) -> Receipt | None:
        """The pull request of this head into this base, in whatever state."""
        wanted = _parsed(OpenPullRequest, call)
        owner = self.client.full_name.partition("/")[0]
        listed = self.client.json("/pulls", {"head": f"{owner}:{wanted.head}", "base": wanted.base, "state": "all"})
        found = [pull for pull in listed if pull["head"]["ref"] == wanted.head and pull["base"]["ref"] == wanted.base]
        if not found:
            return None
        pull = found[0]
        number = int(pull["number"])
        facts: Facts = {"number": number, "url": pull["html_url"], "head_sha": pull["head"]["sha"], "state": pull["state"]}
        commits = self.client.json(f"/pulls/{number}/commits")
        odd = ""
        if len(commits) > 1:
            odd = f"pull request {number} holds {len(commits)} commits, and one was signed"
        elif pull["title"] != wanted.title:
            odd = f"pull request {number} has another title"
        return Receipt(verb=call.verb, facts=facts, matches=not odd, difference=odd)

    def perform(self, call: Call) -> None:
        """Open it."""
        wanted = _parsed(OpenPullRequest, call)
        self.client.call(
            f"a pull request for {wanted.head}",
            lambda vendor: vendor.create_pull(base=wanted.base, head=wanted.head, title=wanted.title, body=wanted.body),
        )


class RequestReviewersVerb(_Verb):
    """Asking somebody twice is asking once."""

    def find(self, call: Call) -> Receipt | None:
        """Those asked, once all of them are, or have answered already."""
        wanted = _parsed(RequestReviewers, call)
        asked = self.client.json(f"/pulls/{wanted.number}/requested_reviewers")
        people = {user["login"] for user in asked["users"]} | {
            review["user"]["login"] for review in self.client.json(f"/pulls/{wanted.number}/reviews")
        }
        teams = {team["slug"] for team in asked["teams"]}
        if not set(wanted.reviewers) <= people or not set(wanted.team_reviewers) <= teams:
            return None
        facts: Facts = {"number": wanted.number, "reviewers": list(wanted.reviewers), "team_reviewers": list(wanted.team_reviewers)}
        return Receipt(verb=call.verb, facts=facts)

    def perform(self, call: Call) -> None:
        """Ask them."""
        wanted = _parsed(RequestReviewers, call)
        self.client.call(
            f"reviewers of pull request {wanted.number}",
            lambda vendor: vendor.get_pull(wanted.number).create_review_request(list(wanted.reviewers), list(wanted.team_reviewers)),
        )


class AdvanceBaseVerb(_Verb):
    """A fast-forward; GitHub refuses anything else without force, and force is never asked for."""

    def find(self, call: Call) -> Receipt | None:
        """Done when the branch holds `to`, now or below later commits; none while it is at `from`."""
        wanted = _parsed(AdvanceBase, call)
        head = self.live.head(wanted.branch)
        if head is None:
            raise NotFoundError(f"there is no branch {wanted.branch}")
        if head == wanted.from_:
            return None
        if head != wanted.to and self.client.json(f"/compare/{wanted.to}...{head}")["status"] not in {"ahead", "identical"}:
            raise ConflictError(f"{wanted.branch} moved to {head[:12]}: run again, the change must be judged on the new base")
        facts: Facts = {"branch": wanted.branch, "commit": wanted.to, "head": head}
        return Receipt(verb=call.verb, facts=facts)

    def perform(self, call: Call) -> None:
        """Move it, without force."""
        wanted = _parsed(AdvanceBase, call)
        self.client.call(
            f"branch {wanted.branch}",
            lambda vendor: vendor.get_git_ref(f"heads/{wanted.branch}").edit(sha=wanted.to, force=False),
        )


class DispatchWorkflowVerb(_Verb):
    """GitHub gives a dispatch no id; the run is known by its name, which carries change_id and mode."""

    def __init__(self, repository: LiveRepository, sleep: Callable[[float], None]) -> None:
        super().__init__(repository)
        self._sleep = sleep

    def find(self, call: Call) -> Receipt | None:
        """The run of this workflow whose name carries this change and this mode."""
        wanted = _parsed(DispatchWorkflow, call)
        listed = self.client.json(f"/actions/workflows/{wanted.workflow}/runs", {"event": "workflow_dispatch", "per_page": 100})
        words = [wanted.inputs.get("change_id", call.change_id), wanted.inputs.get("mode", "")]
        found = [run for run in listed["workflow_runs"] if all(word in str(run.get("display_title", "")) for word in words)]
        if not found:
            return None
        return Receipt(verb=call.verb, facts=self._facts(found[0]))

    def _facts(self, run: Mapping[str, Any]) -> Facts:
        run_id = int(run["id"])
        facts: Facts = {
            "run_id": str(run_id),
            "url": run["html_url"],
            "status": run["status"],
            "conclusion": run["conclusion"],
            "head_sha": run["head_sha"],
        }
        if run["status"] == "completed":
            jobs = self.live.jobs(run_id)
            facts["steps"] = [f"{job['name']} / {step['name']}: {step['conclusion']}" for job in jobs for step in job["steps"]]
            facts["rehearsed"] = list(self.live.rehearsed(jobs))
            files = self.live.artifact(run_id, "plan") or {}
            if "plan.sha256" in files:
                facts["plan_sha256"] = files["plan.sha256"].decode("ascii", "replace").split()[0]
        return facts

    def perform(self, call: Call) -> None:
        """Dispatch it and wait until its run can be seen."""
        wanted = _parsed(DispatchWorkflow, call)
        self.client.call(
            f"workflow {wanted.workflow}",
            lambda vendor: vendor.get_workflow(wanted.workflow).create_dispatch(wanted.ref, dict(wanted.inputs), throw=True),
        )
        pause, waited = 0.05, 0.0
        while self.find(call) is None:
            if waited > STARTING:
                raise UnreachableError(f"{wanted.workflow} was dispatched and no run of it can be seen yet: read again")
            self._sleep(pause)
            waited, pause = waited + pause, min(pause * 2, 2.0)


class CommentVerb(_Verb):
    """The one effect without a sign-off: words by Security on a pull request."""

    def find(self, call: Call) -> Receipt | None:
        """Our comment on that pull request, by its mark."""
        wanted = _parsed(CommentArguments, call)
        mark = MARK.format(change_id=call.change_id)
        listed = self.client.json(f"/issues/{wanted.number}/comments", {"per_page": 100})
        found = [comment for comment in listed if mark in str(comment.get("body", ""))]
        return Receipt(verb=call.verb, facts={"url": found[0]["html_url"], "number": wanted.number}) if found else None

    def perform(self, call: Call) -> None:
        """Write it."""
        wanted = _parsed(CommentArguments, call)
        text = f"{wanted.body}\n\n{MARK.format(change_id=call.change_id)}"
        self.client.call(f"pull request {wanted.number}", lambda vendor: vendor.get_issue(wanted.number).create_comment(text))


def verbs(repository: LiveRepository, sleep: Callable[[float], None] = time.sleep) -> Mapping[str, Verb]:
    """`github.verb` -> how it is done."""
    return {
        "github.push_commit": PushCommitVerb(repository),
        "github.open_pull_request": OpenPullRequestVerb(repository),
        "github.request_reviewers": RequestReviewersVerb(repository),
        "github.advance_base": AdvanceBaseVerb(repository),
        "github.dispatch_workflow": DispatchWorkflowVerb(repository, sleep),
        "github.comment": CommentVerb(repository),
    }
