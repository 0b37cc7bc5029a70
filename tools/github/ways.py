"""The verbs of a repository that another's server may perform, and what the gate keeps to itself of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import JsonValue

from policies.change import Operation
from tools.github.arguments import PushCommitArguments, parsed, place
from tools.github.claims import Claims
from tools.github.commit_verbs import PushCommit, bytes_of
from tools.github.dispatch import DispatchWorkflow
from tools.github.pull_verbs import CommentOn, OpenPullRequest, RequestReviewers
from tools.github.repository import LiveRepository
from tools.github.shapes import GitCommit
from tools.verbs import Call, ConflictError, Receipt, TargetError, Way


class PushedCommit(PushCommit):
    """`github.push_commit` by another's server, which writes author, committer and date as its own.

    Tree, parent and message are compared all the same. Our client makes the branch, at the signed base commit:
    such a server starts a branch from another branch, which may have moved.
    """

    def find(self, call: Call) -> Receipt | None:
        """As PushCommit; a branch that is still at the signed base holds no effect yet. Raises TargetError."""
        asked, _ = parsed(PushCommitArguments, call, self._repository)
        if self._repository.tip(asked.branch) == asked.base_commit:
            return None
        return super().find(call)

    def ready(self, call: Call) -> None:
        """Make the branch where it is missing. Raises TargetError; ConflictError when it is somewhere else."""
        asked, _ = parsed(PushCommitArguments, call, self._repository)
        self.words(call)
        self._refuse_unfit(asked)
        tip = self._repository.tip(asked.branch)
        if tip is None:
            body = {"ref": f"refs/heads/{asked.branch}", "sha": asked.base_commit}
            self._repository.client.tell("POST", f"{self._repository.path}/git/refs", body)
        elif tip != asked.base_commit:
            raise ConflictError(f"{asked.branch} is at {tip}, not at {asked.base_commit}: run again")

    def words(self, call: Call) -> Mapping[str, JsonValue]:
        """`owner`, `repo`, `branch`, `message`, `files` as path and text. Raises TargetError for what such a tool cannot carry."""
        asked, target = parsed(PushCommitArguments, call, self._repository)
        files: list[JsonValue] = []
        for file in asked.files:
            data = bytes_of(file, call)
            if data is None or file.operation is Operation.DELETE or file.mode != "100644":
                raise _unfit(file.path, "a delete or an executable file")
            try:
                files.append({"path": file.path, "content": data.decode()})
            except UnicodeDecodeError as fault:
                raise _unfit(file.path, "bytes that are no UTF-8") from fault
        return {**place(target), "branch": asked.branch, "message": asked.message, "files": files}

    def settle(self, call: Call) -> None:
        """A commit is there when it is answered."""

    def _authorship(self, asked: PushCommitArguments, commit: GitCommit) -> str:
        del asked, commit
        return ""


def _unfit(path: str, what: str) -> TargetError:
    return TargetError(
        f"{path}: {what} can only be pushed by the gate's own client: submit this grant by its number"
    )


def ways(
    repository: LiveRepository, *, sleep: Callable[[float], None], clock: Callable[[], float]
) -> Mapping[str, Way]:
    """`server.verb` -> how the gate looks at what another's server did."""
    return {
        "github.push_commit": PushedCommit(repository),
        "github.open_pull_request": OpenPullRequest(repository),
        "github.request_reviewers": RequestReviewers(repository),
        "github.dispatch_workflow": DispatchWorkflow(repository, sleep=sleep, clock=clock),
        "github.comment": CommentOn(repository, Claims(repository, sleep=sleep, clock=clock)),
    }
