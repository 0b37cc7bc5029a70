"""The six things that the gate can do to a repository; each one's contract is with its class."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tools.github.claims import Claims
from tools.github.commit_verbs import AdvanceBase, PushCommit
from tools.github.dispatch import DispatchWorkflow
from tools.github.pull_verbs import CommentOn, OpenPullRequest, RequestReviewers
from tools.github.repository import LiveRepository
from tools.verbs import Verb


def verbs(
    repository: LiveRepository,
    *,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
    patience: float = 60.0,
) -> Mapping[str, Verb]:
    """`server.verb` -> how it is done on this repository; `patience` in seconds, by `clock`."""
    return {
        "github.push_commit": PushCommit(repository),
        "github.open_pull_request": OpenPullRequest(repository),
        "github.request_reviewers": RequestReviewers(repository),
        "github.advance_base": AdvanceBase(repository),
        "github.dispatch_workflow": DispatchWorkflow(repository, sleep=sleep, clock=clock, patience=patience),
        "github.comment": CommentOn(
            repository, Claims(repository, sleep=sleep, clock=clock, patience=patience)
        ),
    }
